// The lab itself, with simulated nodes and in a folder of its own, so that it may be killed while the shared one serves others.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MongoClient } from 'mongodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { labPaths } from '../../lab/paths.ts';
import { findDaemons } from '../../lab/processes.ts';
import { type LabState, readState } from '../../lab/state.ts';
import { eventually } from '../../lab/wait.ts';

const MAIN = new URL('../../lab/main.ts', import.meta.url).pathname;
const dir = mkdtempSync(join(tmpdir(), 'slipway-lab-e2e-'));
const env = { ...process.env, SLIPWAY_LAB_DIR: dir };
const paths = labPaths(env);

function start(...args: string[]): ChildProcess {
  return spawn(process.execPath, [MAIN, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
}

function lab(...args: string[]): Promise<{ code: number | null; output: string }> {
  const child = start(...args);
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding('utf8').on('data', (text: string) => (output += text));
  return new Promise((done) => child.once('close', (code) => done({ code, output })));
}

async function expectUp(): Promise<LabState> {
  const { code, output } = await lab('up', '--nodes', 'simulated');
  expect(code, output).toBe(0);
  return readState(paths.state);
}

const pids = (state: LabState) =>
  Object.fromEntries(Object.entries(state.processes).map(([name, { pid }]) => [name, pid]));

async function withDatabase<T>(work: (client: MongoClient) => Promise<T>): Promise<T> {
  const uri = /MONGODB_URI='([^']+)'/.exec(readFileSync(paths.env, 'utf8'))?.[1] as string;
  const client = new MongoClient(uri, { serverSelectionTimeoutMS: 10_000 });
  try {
    return await work(client);
  } finally {
    await client.close();
  }
}

const apiServerReady = async () => (await lab('status', '-o', 'json')).output;

describe('the lab', () => {
  let state: LabState;
  beforeAll(async () => {
    state = await expectUp();
  });
  afterAll(async () => {
    await lab('down', '--wipe');
    rmSync(dir, { recursive: true, force: true });
  });

  it('brought up a second time starts nothing and writes nothing', async () => {
    const written = statSync(paths.state).mtimeMs;
    expect(pids(await expectUp())).toEqual(pids(state));
    expect(statSync(paths.state).mtimeMs).toBe(written);
  });

  it('keeps its secrets from other users', () => {
    for (const file of [paths.env, paths.gatewayToken, paths.kubeconfig, paths.auditLog]) {
      expect(statSync(file).mode & 0o077, file).toBe(0);
    }
  });

  it('listens on 127.0.0.1 only', () => {
    const own = new Set(findDaemons(dir).map(({ pid }) => pid));
    expect(own.size).toBeGreaterThan(5);
    expect(foreignListeners(own)).toEqual([]);
  });

  it('heals after kill -9 of any of its parts: that part comes back on the same port, the others stay', async () => {
    const victims = ['temporal', 'mongod', 'kube-apiserver', 'kwok'];
    const before = readState(paths.state);
    for (const name of victims) process.kill(before.processes[name]?.pid as number, 'SIGKILL');
    expect(JSON.parse(await apiServerReady()).components).toContainEqual({ name: 'temporal', alive: false });
    const after = await expectUp();
    for (const [name, pid] of Object.entries(pids(after))) {
      if (victims.includes(name)) expect(pid, name).not.toBe(before.processes[name]?.pid);
      else expect(pid, name).toBe(before.processes[name]?.pid);
    }
    expect(after.ports).toEqual(before.ports);
  });

  it('taken down leaves no process; brought up again has its data', async () => {
    await withDatabase((client) => client.db('kept').collection('things').insertOne({ name: 'anchor' }));
    expect((await lab('down')).code).toBe(0);
    expect(findDaemons(dir)).toEqual([]);
    expect((await lab('env')).output).toMatch(/the lab is not up: run "npm run lab -- up"/);
    await expectUp();
    expect(await withDatabase((client) => client.db('kept').collection('things').countDocuments())).toBe(1);
  });

  it('whose up command is killed half way is finished by the next up, with one process a part', async () => {
    await lab('down');
    const interrupted = start('up', '--nodes', 'simulated');
    const some = await eventually(() => findDaemons(dir).length >= 3, { timeoutMs: 60_000, pauseMs: 5 });
    interrupted.kill('SIGKILL');
    expect(some).toBe(true);
    const healed = await expectUp();
    const names = findDaemons(dir).map(({ name }) => name);
    expect(names.toSorted()).toEqual(Object.keys(healed.processes).toSorted());
  });

  it('whose up command is killed half way is ended by down without a trace', async () => {
    await lab('down');
    const interrupted = start('up', '--nodes', 'simulated');
    await eventually(() => findDaemons(dir).length >= 2, { timeoutMs: 60_000, pauseMs: 5 });
    interrupted.kill('SIGKILL');
    expect((await lab('down')).code).toBe(0);
    expect(findDaemons(dir)).toEqual([]);
  });

  it('brought up by two commands at once is brought up once', async () => {
    const results = await Promise.all([lab('up', '--nodes', 'simulated'), lab('up', '--nodes', 'simulated')]);
    expect(results.map(({ code }) => code)).toEqual([0, 0]);
    const names = findDaemons(dir).map(({ name }) => name);
    expect(names).toHaveLength(new Set(names).size);
  });

  it('never signals a stranger that got the id of one of its processes', async () => {
    await lab('down');
    const stranger = spawn('sleep', ['60'], { stdio: 'ignore' });
    try {
      const file = readState(paths.state);
      const record = { pid: stranger.pid as number, startTime: 'of a process long gone' };
      const { writeState } = await import('../../lab/state.ts');
      writeState(paths.state, { ...file, phase: 'up', processes: { mongod: record } });
      expect((await lab('down')).code).toBe(0);
      expect(stranger.exitCode ?? stranger.signalCode).toBeNull();
    } finally {
      stranger.kill('SIGKILL');
    }
  });

  it('whose folder was deleted while it ran is still ended by down', async () => {
    await expectUp();
    rmSync(dir, { recursive: true, force: true });
    expect((await lab('down')).code).toBe(0);
    expect(findDaemons(dir)).toEqual([]);
  });

  it('answers a mistake in one line that names what is allowed', async () => {
    expect(await lab('up', '--with', 's4')).toEqual({ code: 1, output: '--with s4: known are s3\n' });
    expect((await lab('up', '--nodes', 'none')).output).toMatch(/Allowed choices are real, simulated/);
    expect((await lab('parts', 'etdc')).output).toMatch(/^no part is named "etdc"; the parts are /);
  });
});

/** Listening TCP sockets of these processes on any address but 127.0.0.1, as /proc tells them. */
function foreignListeners(own: ReadonlySet<number>): string[] {
  const { readdirSync, readlinkSync } = process.getBuiltinModule('node:fs');
  const sockets = new Set<string>();
  for (const pid of own) {
    for (const fd of readdirSync(`/proc/${pid}/fd`)) {
      try {
        const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1];
        if (inode) sockets.add(inode);
      } catch {
        // closed meanwhile
      }
    }
  }
  return ['tcp', 'tcp6'].flatMap((family) =>
    readFileSync(`/proc/net/${family}`, 'utf8')
      .trim()
      .split('\n')
      .slice(1)
      .map((line) => line.trim().split(/\s+/))
      .filter((fields) => fields[3] === '0A' && sockets.has(fields[9] as string))
      .map((fields) => fields[1] as string)
      .filter((address) => !/^(0100007F|0{16}FFFF00000100007F):/.test(address)),
  );
}
