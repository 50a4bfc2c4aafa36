// `npm run bench -- backup [--size MB] [--runs N] [--collections N]`: backup and restore as the worker does them, beside
// mongodump and mongorestore when they are on PATH (or named by MONGODUMP and MONGORESTORE). One mongod, one machine, one
// after the other; in every round each of ours is followed by its peer, so that both meet the same load.
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type MongoServer, programOnPath, startMongod } from '../test/e2e/backup-engine.support.ts';
import { manyCollections } from './backup/collections.ts';
import { fill } from './backup/data.ts';
import { measure } from './backup/processes.ts';
import { backup, build, type Place, policyFor, restore } from './backup/slipway.ts';
import { collect, type Row, table } from './backup/table.ts';

export interface BackupBenchOptions {
  /** MB of documents. */
  size: number;
  runs: number;
  /** Small collections for the second part; 0 leaves it out. */
  collections: number;
}

interface Rows {
  plain: Row[];
  packed: Row[];
  restores: Row[];
}

async function dumpRound(place: Place, rows: Rows, number: number): Promise<string> {
  const mongodump = programOnPath('mongodump', 'MONGODUMP');
  const theirs = async (into: Row[], flags: string[]) => {
    if (!mongodump) return;
    const archive = join(place.directory, 'theirs');
    const args = ['--quiet', `--uri=${place.uri}`, '--db=bench', `--archive=${archive}`, ...flags];
    const row = await measure(['mongodump', ...flags].join(' '), place.server, mongodump, args);
    collect(into, { ...row, outputMegabytes: (await stat(archive)).size / 1e6 });
    await rm(archive);
  };
  const plain = await backup(place, policyFor(place.directory, 'none'), number);
  collect(rows.plain, plain.dumped);
  await theirs(rows.plain, []);
  const zstd = await backup(place, policyFor(place.directory, 'zstd'), number);
  const gzip = await backup(place, policyFor(place.directory, 'gzip'), number);
  collect(rows.packed, zstd.dumped, gzip.dumped, gzip.proven);
  await theirs(rows.packed, ['--gzip']);
  return gzip.id;
}

async function restoreRound(place: Place, server: MongoServer, rows: Rows, id: string): Promise<void> {
  const mongorestore = programOnPath('mongorestore', 'MONGORESTORE');
  const { loaded, whole } = await restore(place, policyFor(place.directory, 'gzip'), id, 'ours');
  collect(rows.restores, loaded, whole);
  await server.client.db('ours').dropDatabase();
  if (!mongorestore) return;
  const archive = join(place.directory, `${id}.gz`);
  const renames = ['--nsFrom=bench.*', '--nsTo=theirs.*'];
  const args = ['--quiet', `--uri=${place.uri}`, '--gzip', `--archive=${archive}`, ...renames];
  collect(rows.restores, await measure('mongorestore --gzip', place.server, mongorestore, args));
  await server.client.db('theirs').dropDatabase();
}

/** Runs the benchmark and prints its tables. */
export async function run({ size, runs, collections }: BackupBenchOptions): Promise<void> {
  build();
  const directory = await mkdtemp(join(tmpdir(), 'slipway-bench-'));
  const server = await startMongod({ cacheGigabytes: 2 });
  const place: Place = { uri: server.uri, server: server.pid, directory };
  const rows: Rows = { plain: [], packed: [], restores: [] };
  try {
    if (!programOnPath('mongodump', 'MONGODUMP')) console.log('mongodump is not on PATH: no comparison\n');
    await fill(server.client.db('bench'), size);
    const megabytes = Number((await server.client.db('bench').stats())['dataSize']) / 1e6;
    console.log(`${megabytes.toFixed(0)} MB of BSON in 4 collections, ${runs} rounds\n`);
    for (let number = 1; number <= runs; number++) {
      const id = await dumpRound(place, rows, number);
      await restoreRound(place, server, rows, id);
    }
    console.log(`Dump\n\n${table(rows.plain, megabytes, 'mongodump')}`);
    console.log(table(rows.packed, megabytes, 'mongodump --gzip'));
    console.log(`Restore from gzip\n\n${table(rows.restores, megabytes, 'mongorestore --gzip')}`);
    if (collections === 0) return;
    const many: Row[] = [];
    collect(many, ...(await manyCollections(directory, collections)));
    console.log(`${collections} collections\n\n${table(many, 0, '')}`);
  } finally {
    await server.stop();
    await rm(directory, { recursive: true, force: true });
  }
}
