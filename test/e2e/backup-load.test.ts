/** How documents get from an archive into a server, and what happens when they do not. */
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BSON, Int32, MongoClient, Timestamp } from 'mongodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createBackup } from '../../src/mongodb/backup.ts';
import { rawInsert } from '../../src/mongodb/raw-write.ts';
import { restore, RestoreFailedError } from '../../src/mongodb/restore.ts';
import { stagingPrefix } from '../../src/mongodb/staging.ts';
import type { BackupManifest } from '../../src/specs/manifest.ts';
import { DirectoryStorage } from '../../src/storage/directory.ts';
import { hashes, type MongoServer, startMongod } from './backup-engine.support.ts';

let source: MongoServer;
let standalone: MongoServer;
let directory: string;
let storage: DirectoryStorage;
let number = 0;

beforeAll(async () => {
  [source, standalone, directory] = await Promise.all([
    startMongod(),
    startMongod({ replicaSet: false }),
    mkdtemp(join(tmpdir(), 'slipway-load-')),
  ]);
  storage = new DirectoryStorage(directory);
});

afterAll(async () => {
  await Promise.all([source?.stop(), standalone?.stop()]);
  if (directory) await rm(directory, { recursive: true });
});

const backup = (database: string) =>
  createBackup(source.client, storage, {
    policy: 'test',
    owner: `run-${++number}`,
    id: `dump-${number}`,
    compression: 'none',
    toolVersion: 'slipway test',
    databases: [database],
  });
const bytesOf = (manifest: BackupManifest) => readFileSync(join(directory, manifest.archive.name));

/** Cut where no document ends or begins, except by chance. */
function cut(bytes: Buffer): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0, size = 1; at < bytes.length; at += size, size = (size * 7 + 3) % 9_973)
    pieces.push(bytes.subarray(at, at + size));
  return pieces;
}

describe('documents that are sent in pieces', () => {
  const documents = Array.from({ length: 5_000 }, (_, at) => ({
    _id: new Int32(at),
    text: 'x'.repeat(at % 700),
    ...(at % 1_000 === 0 && { ts: new Timestamp({ t: 0, i: 0 }) }),
  }));
  const bytes = Buffer.concat(documents.map((document) => BSON.serialize(document)));
  const insert = (client: MongoClient, collection: string, all = bytes) =>
    rawInsert({
      db: client.db('pieces'),
      collection,
      pieces: cut(all),
      ordered: false,
      keepsZeroTimestamps: false,
    });

  it.each(['', '&compressors=zlib'])('arrive whole (connection string with "%s")', async (options) => {
    const client = await MongoClient.connect(`${source.uri}${options}`);
    const collection = client.db('pieces').collection(`arrived${options.length}`);
    expect(await insert(client, collection.collectionName)).toEqual([]);
    const found = await collection.find({}, { raw: true, sort: { _id: 1 } }).toArray();
    expect(Buffer.concat(found as unknown as Buffer[]).equals(bytes)).toBe(true);
    await client.close();
  });

  it('are named when the server does not take them, and the others are taken', async () => {
    const taken = source.client.db('pieces').collection('taken');
    await taken.insertMany([{ _id: 17 as never }, { _id: 4_321 as never }]);
    const failed = await insert(source.client, 'taken');
    expect(failed.map(({ id, code }) => [id, code])).toEqual([
      ['{"$numberInt":"17"}', 11_000],
      ['{"$numberInt":"4321"}', 11_000],
    ]);
    expect(await taken.countDocuments()).toBe(5_000);
  });

  it('leave a connection usable when they are given up on their way', async () => {
    const client = await MongoClient.connect(source.uri, { maxPoolSize: 1 });
    const stop = new AbortController();
    const large = Buffer.concat(
      Array.from({ length: 40 }, (_, at) => BSON.serialize({ _id: at, text: 'y'.repeat(1 << 20) })),
    );
    const sending = rawInsert({
      db: client.db('pieces'),
      collection: 'given_up',
      pieces: cut(large),
      ordered: false,
      keepsZeroTimestamps: false,
      signal: stop.signal,
    });
    setImmediate(() => stop.abort(new Error('given up')));
    await expect(sending).rejects.toThrow('given up');
    expect(await client.db('pieces').command({ ping: 1 })).toMatchObject({ ok: 1 });
    await client.close();
  });
});

describe('a restore', () => {
  it('brings the largest documents among small ones, to a server without an oplog as well', async () => {
    const db = source.client.db('sizes');
    for (let round = 0; round < 3; round++) {
      const small = Array.from({ length: 3_000 }, (_, n) => ({ round, n, text: 'z'.repeat(n % 900) }));
      await db.collection('small').insertMany(small);
      const bytes = Buffer.alloc(16_700_000, round);
      await db.collection('large').insertMany([{ bytes }, { round }]);
    }
    await db.createCollection('ring', { capped: true, size: 1_000_000 });
    await db
      .collection('ring')
      .insertMany(Array.from({ length: 2_000 }, (_, n) => ({ n, text: 'r'.repeat(100) })));
    const manifest = await backup('sizes');
    const options = {
      open: (signal?: AbortSignal) => storage.read(manifest.archive.name, { signal }),
      manifest,
    };
    await restore(standalone.client, { id: 'standalone', ...options });
    await restore(source.client, { id: 'beside', ...options, nsFrom: ['sizes.*'], nsTo: ['beside.*'] });
    const expected = await hashes(source.client, 'sizes');
    expect(await hashes(source.client, 'beside')).toEqual(expected);
    const order = async (client: MongoClient, name: string) =>
      (
        await client
          .db(name)
          .collection('ring')
          .find({}, { projection: { n: 1 } })
          .toArray()
      ).map(({ n }) => n as number);
    expect(await order(standalone.client, 'sizes')).toEqual(await order(source.client, 'sizes'));
    for (const name of ['small', 'large']) {
      const read = (client: MongoClient) =>
        client
          .db('sizes')
          .collection(name)
          .find({}, { raw: true, sort: { _id: 1 } })
          .toArray();
      const [ours, theirs] = await Promise.all([read(standalone.client), read(source.client)]);
      expect(Buffer.concat(ours as never[]).equals(Buffer.concat(theirs as never[])), name).toBe(true);
    }
  });

  it('of bytes that changed after they were proven fails, and what was there stays', async () => {
    const db = source.client.db('changed');
    await db
      .collection('c')
      .insertMany(Array.from({ length: 100 }, (_, n) => ({ _id: n as never, text: 'whole' })));
    const manifest = await backup('changed');
    await db.collection('c').insertOne({ _id: 1_000 as never, text: 'newer' });
    const before = await hashes(source.client, 'changed');
    let opened = 0;
    const open = async () => {
      const bytes = bytesOf(manifest);
      // Once for the hash, once for the definitions, then for the documents.
      if (++opened === 3) bytes.write('other', bytes.lastIndexOf('whole'));
      return (async function* () {
        yield bytes;
      })();
    };
    const failing = restore(source.client, { id: 'changed', open, manifest, replace: true });
    await expect(failing).rejects.toThrow(RestoreFailedError);
    await expect(failing).rejects.toThrow("changed.c: the restored content is not the archive's");
    expect(opened).toBe(3);
    expect(await hashes(source.client, 'changed')).toEqual(before);
    const names = await db.listCollections({}, { nameOnly: true }).toArray();
    expect(names.filter(({ name }) => name.startsWith(stagingPrefix))).toEqual([]);
  });
});
