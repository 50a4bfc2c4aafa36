import { createReadStream, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { gunzipSync, gzipSync } from 'node:zlib';
import { BSON, Double, Int32, Timestamp, UUID } from 'mongodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type BackupOptions, createBackup } from '../../src/mongodb/backup.ts';
import {
  previewRestore,
  restore,
  RestoreFailedError,
  type RestoreOptions,
} from '../../src/mongodb/restore.ts';
import { Throttle } from '../../src/mongodb/throttle.ts';
import { stagingPrefix } from '../../src/mongodb/staging.ts';
import type { BackupManifest } from '../../src/specs/manifest.ts';
import { DirectoryStorage } from '../../src/storage/directory.ts';
import { hashes, type MongoServer, programOnPath, run, startMongod } from './backup-engine.support.ts';

const fixtures = new URL('../fixtures/mongodump/', import.meta.url);
const expected = JSON.parse(readFileSync(new URL('expected.json', fixtures), 'utf8')) as {
  dbHash: Record<string, string>;
  indexes: Record<string, string[]>;
};

let source: MongoServer;
let target: MongoServer;
let directory: string;
let storage: DirectoryStorage;
let number = 0;

const backup = (options: Partial<BackupOptions> = {}) =>
  createBackup(source.client, storage, {
    policy: 'test',
    owner: `run-${++number}`,
    id: `dump-${number}`,
    compression: 'gzip',
    toolVersion: 'slipway test',
    ...options,
  });
const restored = (manifest: BackupManifest, options: Partial<RestoreOptions> = {}) =>
  restore(target.client, {
    id: `r${++number}`,
    open: (signal) => storage.pieces(manifest.archive.name, signal),
    manifest,
    ...options,
  });
const fixture = (name: string) => async () => createReadStream(new URL(name, fixtures));
const emptied = async (server: MongoServer, ...databases: string[]) => {
  for (const name of databases) await server.client.db(name).dropDatabase();
};

beforeAll(async () => {
  [source, target] = await Promise.all([startMongod(), startMongod()]);
  directory = await mkdtemp(join(tmpdir(), 'slipway-backups-'));
  storage = new DirectoryStorage(directory);
  await restore(source.client, { id: 'seed', open: fixture('shop.archive.gz') });
});

afterAll(async () => {
  await Promise.all([source?.stop(), target?.stop()]);
  if (directory) await rm(directory, { recursive: true });
});

describe('an archive of the real mongodump', () => {
  it.each(['shop.archive.gz', 'full-oplog.archive.gz'])(
    '%s comes back with the same dbHash in every collection',
    async (name) => {
      await restore(target.client, { id: `r${++number}`, open: fixture(name) });
      expect(await hashes(target.client, 'shop')).toEqual(expected.dbHash);
      for (const [collection, names] of Object.entries(expected.indexes)) {
        if (collection === 'events') continue;
        const found = await target.client.db('shop').collection(collection).indexes();
        expect(new Set(found.map((index) => index.name)), collection).toEqual(new Set(names));
      }
      expect(
        (await target.client.db('shop').collection('products').indexes()).find(
          ({ name: index }) => index === 'updated_1',
        ),
      ).toHaveProperty('expireAfterSeconds');
      await emptied(target, 'shop');
    },
  );
});

describe('a backup of ours', () => {
  it.each(['none', 'gzip', 'zstd'] as const)(
    'with compression %s comes back with the same dbHash in every collection',
    async (compression) => {
      const manifest = await backup({ compression, databases: ['shop'] });
      expect(manifest.consistency.kind).toBe('snapshot');
      await restored(manifest);
      expect(await hashes(target.client, 'shop')).toEqual(expected.dbHash);
      expect(await hashes(source.client, 'shop')).toEqual(expected.dbHash);
      await emptied(target, 'shop');
    },
  );

  const mongorestore = programOnPath('mongorestore', 'MONGORESTORE');
  it.skipIf(!mongorestore).each(['none', 'gzip'] as const)(
    'with compression %s is restored by the real mongorestore',
    async (compression) => {
      const manifest = await backup({ compression, databases: ['shop'] });
      const args = [`--uri=${target.uri}`, `--archive=${join(directory, manifest.archive.name)}`];
      const { code, output } = run(
        mongorestore as string,
        compression === 'gzip' ? [...args, '--gzip'] : args,
      );
      expect(code, output).toBe(0);
      const found = await hashes(target.client, 'shop');
      // mongorestore drops the document that violates its collection's validator, and says so only in its log.
      for (const [name, hash] of Object.entries(expected.dbHash))
        if (name !== 'strict') expect(found[name], name).toBe(hash);
      await emptied(target, 'shop');
    },
  );

  const mongodump = programOnPath('mongodump', 'MONGODUMP');
  it.skipIf(!mongodump)('holds the same CRCs as one of the real mongodump', async () => {
    const file = join(directory, 'theirs.archive');
    expect(run(mongodump as string, [`--uri=${source.uri}`, '--db=shop', `--archive=${file}`]).code).toBe(0);
    const { proof } = await previewRestore(target.client, { open: async () => createReadStream(file) });
    const sums = (namespaces: { collection: string; crc: string }[]) =>
      Object.fromEntries(namespaces.map(({ collection, crc }) => [collection, crc]));
    expect(sums(proof.namespaces)).toEqual(sums((await backup({ databases: ['shop'] })).namespaces));
    await rm(file);
  });

  it('keeps what drivers tend to change: zero timestamps, types of numbers, order of keys, odd names', async () => {
    const odd = source.client.db('odd').collection('c.with.dots');
    const id = new UUID();
    await odd.insertOne({ _id: id as never, z: new Double(1), a: new Int32(1), 2: 'two', 'x.y': 1, $d: 1 });
    await odd.createIndex({ z: 1, 2: -1 } as never, { name: 'order', collation: { locale: 'de' } });
    await odd.updateOne({ _id: id as never }, [
      {
        $replaceWith: {
          $setField: { field: 'ts', input: '$$ROOT', value: { $literal: new Timestamp({ t: 0, i: 0 }) } },
        },
      },
    ]);
    await restored(await backup({ databases: ['odd'] }));
    expect(await hashes(target.client, 'odd')).toEqual(await hashes(source.client, 'odd'));
    const stored = await target.client.db('odd').collection('c.with.dots').findOne({});
    expect(stored?.['ts']).toEqual(new Timestamp({ t: 0, i: 0 }));
    await Promise.all([emptied(source, 'odd'), emptied(target, 'odd')]);
  });

  it('brings users and roles of the whole server', async () => {
    const admin = source.client.db('admin');
    await admin.command({ createRole: 'teller', privileges: [], roles: ['read'] });
    await admin.command({ createUser: 'ann', pwd: 'not in any log', roles: ['teller'] });
    const result = await restored(await backup());
    expect(result.usersAndRoles).toBe(true);
    const { users } = await target.client.db('admin').command({ usersInfo: 'ann' });
    expect(users[0].roles).toEqual([{ role: 'teller', db: 'admin' }]);
    await admin.command({ dropUser: 'ann' });
    await admin.command({ dropRole: 'teller' });
    await emptied(target, 'shop');
  });

  it.each(['snapshot', 'oplog'] as const)(
    'shows one moment (%s): no transfer between accounts is half in it',
    async (consistency) => {
      const bank = source.client.db('bank');
      const names = ['a', 'b', 'c', 'd'];
      for (const name of names) {
        const filler = Array.from({ length: 300 }, (_, at) => ({
          _id: at as never,
          balance: 100,
          pad: 'x'.repeat(2000),
        }));
        await bank.collection(name).insertMany(filler);
      }
      let running = true;
      const transfers = (async () => {
        while (running) {
          await source.client.withSession((session) =>
            session.withTransaction(async () => {
              const [from, to] = [
                names[Math.floor(Math.random() * 4)] as string,
                names[Math.floor(Math.random() * 4)] as string,
              ];
              await bank
                .collection(from)
                .updateOne({ _id: 7 as never }, { $inc: { balance: -5 } }, { session });
              await bank.collection(to).updateOne({ _id: 8 as never }, { $inc: { balance: 5 } }, { session });
            }),
          );
        }
      })();
      const manifest = await backup({
        databases: ['bank'],
        concurrency: 1,
        consistency,
        throttle: new Throttle(3),
      });
      running = false;
      await transfers;
      await restored(manifest);
      let total = 0;
      for (const name of names) {
        for await (const { balance } of target.client.db('bank').collection(name).find())
          total += balance as number;
      }
      expect(total).toBe(4 * 300 * 100);
      expect(manifest.consistency.kind).toBe(consistency);
      const oplog = manifest.namespaces.find(({ name }) => name === 'oplog');
      expect((oplog?.documents ?? 0) > 0).toBe(consistency === 'oplog');
      await Promise.all([emptied(source, 'bank'), emptied(target, 'bank')]);
    },
  );
});

describe('a restore', () => {
  const collections = async () =>
    (await target.client.db('shop').listCollections({}, { nameOnly: true }).toArray())
      .map(({ name }) => name)
      .sort();

  it('refuses to replace data unless told to, and then replaces collections, views and time-series of any kind', async () => {
    const manifest = await backup({ databases: ['shop'] });
    const shop = target.client.db('shop');
    await shop.createCollection('orders', { viewOn: 'x', pipeline: [] });
    await shop.collection('cheap').insertOne({ a: 1 });
    await shop.collection('events').insertOne({ a: 1 });
    await shop.createCollection('products', { timeseries: { timeField: 't' } });
    await expect(restored(manifest)).rejects.toThrow(
      /shop\.cheap, shop\.events, shop\.orders, shop\.products exist already/,
    );
    expect(await shop.collection('cheap').findOne()).toMatchObject({ a: 1 });
    await restored(manifest, { replace: true });
    expect(await hashes(target.client, 'shop')).toEqual(expected.dbHash);
    await emptied(target, 'shop');
  });

  it('of a part under another name touches only that', async () => {
    const manifest = await backup({ databases: ['shop'] });
    const result = await restored(manifest, {
      include: ['shop.orders'],
      nsFrom: ['shop.*'],
      nsTo: ['copy.old_*'],
    });
    expect(result.restored).toMatchObject([
      { source: 'shop.orders', target: 'copy.old_orders', documents: 3000 },
    ]);
    expect(await hashes(target.client, 'copy')).toEqual({ old_orders: expected.dbHash['orders'] });
    expect(await collections()).toEqual([]);
    await emptied(target, 'copy');
  });

  it('that a document keeps from being complete changes nothing, and names the document', async () => {
    const double = source.client.db('double').collection('d');
    await double.insertMany([
      { _id: 1 as never, u: 1 },
      { _id: 2 as never, u: 2 },
    ]);
    const manifest = await backup({ databases: ['double'], compression: 'none' });
    await target.client
      .db('double')
      .collection('d')
      .insertOne({ _id: 99 as never, keep: true });
    const before = await hashes(target.client, 'double');
    // The same archive with a document that comes twice, and CRCs that agree: what mongorestore counts as success.
    const twice = async () => duplicated(await streamBytes(join(directory, manifest.archive.name)));
    const failure = restore(target.client, { id: 'twice', open: twice, replace: true });
    await expect(failure).rejects.toThrow(RestoreFailedError);
    await expect(failure).rejects.toMatchObject({
      failed: [{ namespace: 'double.d', id: '{"$numberInt":"1"}', code: 11000 }],
    });
    expect(await hashes(target.client, 'double')).toEqual(before);
    await Promise.all([emptied(source, 'double'), emptied(target, 'double')]);
  });

  it('whose archive is another once it was proven, whatever gzip says of it, changes nothing', async () => {
    const manifest = await backup({ databases: ['shop'] });
    const orders = target.client.db('shop').collection('orders');
    await orders.insertOne({ _id: 1 as never, old: true });
    const before = await hashes(target.client, 'shop');
    const archive = gunzipSync(await streamBytes(join(directory, manifest.archive.name)));
    archive.write('tutal', archive.indexOf('total', archive.length >> 1)); // a field of one order
    const opened: string[] = [];
    const open = async (signal?: AbortSignal) => {
      const isToLoad =
        (await orders.db.listCollections({ name: { $regex: stagingPrefix } }).toArray()).length > 0;
      opened.push(isToLoad ? 'load' : 'prove');
      return isToLoad ? Readable.from([gzipSync(archive)]) : storage.pieces(manifest.archive.name, signal);
    };
    const failure = restored(manifest, { open, replace: true });
    await expect(failure).rejects.toThrow(/the restored content is not the archive's/);
    expect(opened.at(-1)).toBe('load');
    expect(await hashes(target.client, 'shop')).toMatchObject(before);
    expect((await collections()).filter((name) => name !== 'system.views')).toEqual(['orders']);
    await emptied(target, 'shop');
  });

  it('that was killed leaves the old data, and the same call finishes it', async () => {
    const manifest = await backup({ databases: ['shop'] });
    for (const phase of ['load', 'compare', 'indexes', 'swap'] as const) {
      await emptied(target, 'shop');
      await target.client
        .db('shop')
        .collection('orders')
        .insertOne({ _id: 1 as never, old: true });
      const kill = new Error(`killed in ${phase}`);
      const options = { id: `killed-${phase}`, replace: true };
      let reports = 0;
      const onProgress = (progress: { phase: string }) => {
        if (progress.phase === phase && ++reports === 3) throw kill;
      };
      await expect(restored(manifest, { ...options, onProgress })).rejects.toThrow(kill);
      await restored(manifest, options);
      expect(await hashes(target.client, 'shop'), phase).toEqual(expected.dbHash);
      expect((await collections()).filter((name) => name.includes(stagingPrefix))).toEqual([]);
    }
    await emptied(target, 'shop');
  });
});

async function streamBytes(path: string): Promise<Buffer> {
  return readFileSync(path);
}

/** Doubles the first document of an archive with one collection, and corrects its CRC. */
async function* duplicated(archive: Buffer): AsyncGenerator<Buffer> {
  const { crc64 } = await import('../../src/mongodb/kernels.ts');
  const { encodeBlockHeader } = await import('../../src/mongodb/archive/format.ts');
  const namespace = { db: 'double', collection: 'd' };
  const start =
    archive.indexOf(encodeBlockHeader(namespace, false, 0n)) + encodeBlockHeader(namespace, false, 0n).length;
  const documents = [
    { _id: new Int32(1), u: 1 },
    { _id: new Int32(2), u: 2 },
    { _id: new Int32(1), u: 1 },
  ];
  const data = Buffer.concat(documents.map((document) => BSON.serialize(document)));
  const end = Buffer.from([255, 255, 255, 255]);
  yield Buffer.concat([
    archive.subarray(0, start),
    data,
    end,
    encodeBlockHeader(namespace, true, crc64(data)),
    end,
  ]);
}
