// `npm run bench -- backup [--size MB]`: dump and restore of mixed documents, beside mongodump and mongorestore when they
// are on PATH (or named by MONGODUMP and MONGORESTORE). One mongod, one machine, one after the other.
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { programOnPath, startMongod } from '../test/e2e/backup-engine.support.ts';
import { fill } from './backup-data.ts';

interface Measurement {
  name: string;
  wallSeconds: number;
  cpuSeconds: number;
  peakMegabytes: number;
  /** Size of the archive, for dumps. */
  outputMegabytes?: number;
}

const worker = fileURLToPath(new URL('backup-worker.ts', import.meta.url));
const clockTicks = 100;

/** CPU seconds and peak memory of a process, read while it runs. */
function watch(child: ChildProcess): { cpuSeconds: number; peakMegabytes: number; end: () => void } {
  const seen = { cpuSeconds: 0, peakMegabytes: 0, end: () => clearInterval(timer) };
  const timer = setInterval(() => {
    try {
      const fields = readFileSync(`/proc/${child.pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
      seen.cpuSeconds = (Number(fields[11]) + Number(fields[12])) / clockTicks;
      const peak = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1];
      seen.peakMegabytes = Math.max(seen.peakMegabytes, Number(peak ?? 0) / 1024);
    } catch {
      // it has just ended
    }
  }, 20);
  return seen;
}

async function measure(name: string, command: string, args: string[]): Promise<Measurement> {
  const start = performance.now();
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  const seen = watch(child);
  let complaint = '';
  child.stderr?.on('data', (chunk: Buffer) => (complaint = (complaint + chunk.toString()).slice(-2000)));
  const code = await new Promise((resolve, reject) => child.once('exit', resolve).once('error', reject));
  seen.end();
  if (code !== 0) throw new Error(`${name} ended with ${String(code)}: ${complaint}`);
  const { cpuSeconds, peakMegabytes } = seen;
  return { name, wallSeconds: (performance.now() - start) / 1000, cpuSeconds, peakMegabytes };
}

function print(rows: Measurement[], megabytes: number, peer: string): void {
  const base = rows.find(({ name }) => name === peer);
  console.log(
    '| | wall s | MB/s | CPU s | peak MB | archive MB | times the peer |\n|---|---|---|---|---|---|---|',
  );
  for (const { name, wallSeconds, cpuSeconds, peakMegabytes, outputMegabytes } of rows) {
    const ratio = base ? (base.wallSeconds / wallSeconds).toFixed(2) : '-';
    const output = outputMegabytes?.toFixed(0) ?? '-';
    const rate = (megabytes / wallSeconds).toFixed(0);
    console.log(
      `| ${name} | ${wallSeconds.toFixed(1)} | ${rate} | ${cpuSeconds.toFixed(1)} | ${peakMegabytes.toFixed(0)} | ${output} | ${ratio} |`,
    );
  }
  console.log();
}

async function largestFile(directory: string): Promise<{ path: string; megabytes: number }> {
  const files = await Promise.all(
    (await readdir(directory)).map(async (name) => {
      const path = join(directory, name);
      return { path, megabytes: (await stat(path)).size / 1e6 };
    }),
  );
  const [largest] = files.sort((a, b) => b.megabytes - a.megabytes);
  if (!largest) throw new Error('no archive was written');
  return largest;
}

/** Each of our dumps beside mongodump's of the same kind; gives the directory of our gzip archive. */
async function dumps(uri: string, megabytes: number, root: string): Promise<string> {
  const mongodump = programOnPath('mongodump', 'MONGODUMP');
  const rows: { plain: Measurement[]; packed: Measurement[] } = { plain: [], packed: [] };
  let gzipArchive = '';
  for (const compression of ['none', 'gzip', 'zstd']) {
    const out = await mkdtemp(join(root, `${compression}-`));
    const row = await measure(`slipway ${compression}`, process.execPath, [
      worker,
      'dump',
      uri,
      out,
      compression,
    ]);
    const { path, megabytes: outputMegabytes } = await largestFile(out);
    if (compression === 'gzip') gzipArchive = path;
    rows[compression === 'none' ? 'plain' : 'packed'].push({ ...row, outputMegabytes });
  }
  if (mongodump) {
    for (const flag of ['', '--gzip']) {
      const archive = join(root, `theirs${flag}.archive`);
      const args = [`--uri=${uri}`, '--db=bench', `--archive=${archive}`, ...(flag ? [flag] : [])];
      const row = await measure(`mongodump ${flag || 'plain'}`, mongodump, args);
      rows[flag ? 'packed' : 'plain'].push({ ...row, outputMegabytes: (await stat(archive)).size / 1e6 });
      await rm(archive);
    }
  } else console.log('mongodump is not on PATH: no comparison\n');
  console.log('Dump (ours: without reading back, which `createBackup` adds)\n');
  print(rows.plain, megabytes, 'mongodump plain');
  print(rows.packed, megabytes, 'mongodump --gzip');
  return gzipArchive;
}

async function restores(uri: string, archive: string, megabytes: number): Promise<void> {
  const rows = [
    await measure('slipway, proven and loaded', process.execPath, [worker, 'load', uri, archive]),
    await measure('slipway, also compared and swapped', process.execPath, [worker, 'restore', uri, archive]),
  ];
  const mongorestore = programOnPath('mongorestore', 'MONGORESTORE');
  if (mongorestore) {
    const args = [`--uri=${uri}`, '--gzip', `--archive=${archive}`, '--nsFrom=bench.*', '--nsTo=theirs.*'];
    rows.push(await measure('mongorestore', mongorestore, args));
  } else console.log('mongorestore is not on PATH: no comparison\n');
  console.log(
    'Restore from gzip (proven: the whole archive is read through before the first write; compared: all data is read back)\n',
  );
  print(rows, megabytes, 'mongorestore');
}

/** Runs the benchmark. `--size` is in MB of documents, 1000 when missing. */
export async function run(args: string[]): Promise<void> {
  const { values } = parseArgs({ args, options: { size: { type: 'string', default: '1000' } } });
  const size = Number(values.size);
  if (!(size >= 1)) throw new Error(`--size ${values.size}: megabytes of documents are needed, at least 1`);
  const root = await mkdtemp(join(tmpdir(), 'slipway-bench-'));
  const server = await startMongod({ cacheGigabytes: 2 });
  try {
    await fill(server.client.db('bench'), size);
    const megabytes = Number((await server.client.db('bench').stats())['dataSize']) / 1e6;
    console.log(`${megabytes.toFixed(0)} MB of BSON in 4 collections\n`);
    await restores(server.uri, await dumps(server.uri, megabytes, root), megabytes);
  } finally {
    await server.stop();
    await rm(root, { recursive: true, force: true });
  }
}
