// `npm run bench -- backup [--size MB] [--runs N] [--collections N] [--destination s3] [--encrypt]`: backup and restore as
// the worker does them, beside mongodump and mongorestore when they are on PATH (or named by MONGODUMP and MONGORESTORE),
// which always have a directory. One mongod, one machine, one after the other; in every round each of ours is followed by its
// peer, each on a server at rest.
import { existsSync } from 'node:fs';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { type MongoServer, programOnPath, startMongod } from '../test/e2e/backup-engine.support.ts';
import { Bucket, S3Server } from '../test/e2e/support/s3-server.ts';
import { manyCollections } from './backup/collections.ts';
import { fill } from './backup/data.ts';
import { cpuSecondsOf, measure } from './backup/processes.ts';
import {
  backup,
  build,
  type Destination,
  encrypted,
  inDirectory,
  onS3,
  type Place,
  policyFor,
  restore,
} from './backup/slipway.ts';
import { collect, type Row, table } from './backup/table.ts';

export interface BackupBenchOptions {
  /** MB of documents. */
  size: number;
  runs: number;
  /** Small collections for the second part; 0 leaves it out. */
  collections: number;
  destination: 'directory' | 's3';
  encrypt: boolean;
}

/** Where theirs go, and ours unless told otherwise; also what is only there for a moment. */
type Folder = string;

interface Stage {
  place: Place;
  folder: Folder;
  server: MongoServer;
}

interface Rows {
  plain: Row[];
  packed: Row[];
  restores: Row[];
}

/** Longest that a server is waited for to come to rest. */
const REST_MS = 20_000;
const LOOK_MS = 500;

/** What the server still had to do for the one before is not measured with the next: it writes all, and does nothing for a while. */
async function atRest({ server: pid }: Place, server: MongoServer): Promise<void> {
  await server.client.db('admin').command({ fsync: 1 });
  for (let waited = 0; waited < REST_MS; waited += LOOK_MS) {
    const before = cpuSecondsOf(pid);
    await setTimeout(LOOK_MS);
    if (cpuSecondsOf(pid) - before < (LOOK_MS / 1_000) * 0.05) return;
  }
}

/** What the restores between two dumps pushed out of the server's cache would be read from disk by the first of them alone. */
async function inCache({ place, server }: Stage): Promise<void> {
  const bytes = { $sum: { $bsonSize: '$$ROOT' } };
  for (const collection of await server.client.db('bench').collections())
    await collection.aggregate([{ $group: { _id: null, bytes } }]).toArray();
  await atRest(place, server);
}

/** One mongodump to a file, where there is one to compare with. */
async function theirDump(stage: Stage, into: Row[], flags: string[]): Promise<void> {
  const { place, folder } = stage;
  const mongodump = programOnPath('mongodump', 'MONGODUMP');
  if (!mongodump) return;
  await inCache(stage);
  const archive = join(folder, 'theirs');
  const args = ['--quiet', `--uri=${place.uri}`, '--db=bench', `--archive=${archive}`, ...flags];
  const row = await measure(['mongodump', ...flags].join(' '), place.server, mongodump, args);
  collect(into, { ...row, outputMegabytes: (await stat(archive)).size / 1e6 });
  await rm(archive);
}

async function ourDump(stage: Stage, compression: string, number: number) {
  await inCache(stage);
  return await backup(stage.place, policyFor(stage.place, compression), number);
}

async function plainRound(stage: Stage, into: Row[], number: number): Promise<void> {
  const { dumped } = await ourDump(stage, 'none', number);
  collect(into, dumped);
  await theirDump(stage, into, []);
}

async function packedRound(stage: Stage, into: Row[], number: number): Promise<string> {
  const zstd = await ourDump(stage, 'zstd', number);
  const gzip = await ourDump(stage, 'gzip', number);
  collect(into, zstd.dumped, gzip.dumped, gzip.proven);
  await theirDump(stage, into, ['--gzip']);
  return gzip.id;
}

async function restoreRound({ place, folder, server }: Stage, rows: Rows, id: string): Promise<void> {
  const mongorestore = programOnPath('mongorestore', 'MONGORESTORE');
  await atRest(place, server);
  const { loaded, whole } = await restore(place, policyFor(place, 'gzip'), id, 'ours');
  collect(rows.restores, loaded, whole);
  await server.client.db('ours').dropDatabase();
  const archive = join(folder, `${id}.gz`);
  if (!mongorestore || !existsSync(archive)) return;
  await atRest(place, server);
  const renames = ['--nsFrom=bench.*', '--nsTo=theirs.*'];
  const args = ['--quiet', `--uri=${place.uri}`, '--gzip', `--archive=${archive}`, ...renames];
  collect(rows.restores, await measure('mongorestore --gzip', place.server, mongorestore, args));
  await server.client.db('theirs').dropDatabase();
}

/** Gives `work` the destination that was asked for, with a server of its own where it needs one. */
async function withDestination(
  { destination, encrypt }: BackupBenchOptions,
  folder: Folder,
  work: (destination: Destination) => Promise<void>,
): Promise<void> {
  const wrapped = (plain: Destination) => (encrypt ? encrypted(plain) : plain);
  if (destination === 'directory') return await work(wrapped(inDirectory(folder)));
  const server = await S3Server.start();
  const bucket = await Bucket.make(server, 'bench');
  const { accessKeyId: id, secretAccessKey: secret } = server.credentials;
  try {
    await work(wrapped(onS3(server.endpoint, bucket.name, { id, secret })));
  } finally {
    bucket.close();
    await server.stop();
  }
}

async function rounds(
  { size, runs, collections }: BackupBenchOptions,
  server: MongoServer,
  folder: Folder,
  destination: Destination,
): Promise<void> {
  const place: Place = { uri: server.uri, server: server.pid, destination };
  const rows: Rows = { plain: [], packed: [], restores: [] };
  await fill(server.client.db('bench'), size);
  const megabytes = Number((await server.client.db('bench').stats())['dataSize']) / 1e6;
  console.log(`${megabytes.toFixed(0)} MB of BSON in 4 collections, ${runs} rounds\n`);
  const stage: Stage = { place, folder, server };
  await plainRound(stage, [], 0); // neither a first start nor a first reading is measured
  for (let number = 1; number <= runs; number++) {
    await plainRound(stage, rows.plain, number);
    const id = await packedRound(stage, rows.packed, number);
    await restoreRound(stage, rows, id);
  }
  console.log(`Dump\n\n${table(rows.plain, megabytes, 'mongodump')}`);
  console.log(table(rows.packed, megabytes, 'mongodump --gzip'));
  console.log(`Restore from gzip\n\n${table(rows.restores, megabytes, 'mongorestore --gzip')}`);
  if (collections === 0) return;
  const many: Row[] = [];
  collect(many, ...(await manyCollections(destination, collections)));
  console.log(`${collections} collections\n\n${table(many, 0, '')}`);
}

/** Runs the benchmark and prints its tables. */
export async function run(options: BackupBenchOptions): Promise<void> {
  build();
  if (!programOnPath('mongodump', 'MONGODUMP')) console.log('mongodump is not on PATH: no comparison\n');
  const folder = await mkdtemp(join(tmpdir(), 'slipway-bench-'));
  const server = await startMongod({ cacheGigabytes: 2 });
  try {
    await withDestination(options, folder, (destination) => rounds(options, server, folder, destination));
  } finally {
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  }
}
