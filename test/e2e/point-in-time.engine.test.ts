/** Slices of a real oplog, and restores to moments in the midst of it: what was there then is what comes back. */
import { mkdtemp, readdir, readFile, rm, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { MongoClient } from 'mongodb';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Moment } from '../../src/domain/moment.ts';
import { planRecovery } from '../../src/domain/point-in-time.ts';
import { createBackup } from '../../src/mongodb/backup.ts';
import { majorityTime } from '../../src/mongodb/dump/consistency.ts';
import { listSlices, readSliceManifest } from '../../src/mongodb/oplog/catalog.ts';
import { type SliceOptions, type SliceOutcome, writeSlice } from '../../src/mongodb/oplog/write.ts';
import { restore } from '../../src/mongodb/restore.ts';
import type { RestoreSelection } from '../../src/mongodb/restore/plan.ts';
import { RollForward } from '../../src/mongodb/restore/roll-forward.ts';
import type { BackupManifest } from '../../src/specs/manifest.ts';
import { DirectoryStorage } from '../../src/storage/directory.ts';
import { type EncryptionKey, parseKey } from '../../src/storage/encryption.ts';
import { hashes, type MongoServer, startMongod } from './backup-engine.support.ts';

let source: MongoServer;
let target: MongoServer;
let folder: string;
let storage: DirectoryStorage;
let base: BackupManifest;
let runs = 0;

beforeAll(async () => {
  [source, target] = await Promise.all([startMongod(), startMongod()]);
});
afterAll(async () => {
  await Promise.all([source?.stop(), target?.stop()]);
});
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'slipway-slices-'));
  storage = new DirectoryStorage(folder);
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
  for (const name of ['shop', 'other', 'restored']) {
    await Promise.all([source, target].map(({ client }) => client.db(name).dropDatabase()));
  }
});

const take = async (databases = ['shop'], key?: EncryptionKey) => {
  base = await createBackup(source.client, storage, {
    policy: 'p',
    owner: `run-${runs}`,
    id: `dump-${runs++}`,
    compression: 'gzip',
    key,
    databases,
    toolVersion: 'test',
  });
  return base;
};
const baseTime = (manifest: BackupManifest): Moment => {
  if (manifest.consistency.kind !== 'snapshot') throw new Error('not a snapshot');
  return manifest.consistency.clusterTime;
};
const slice = (change: Partial<SliceOptions> = {}): Promise<SliceOutcome> =>
  writeSlice(source.client, storage, {
    policy: 'p',
    filter: { databases: ['shop'] },
    compression: 'zstd',
    maxBytes: 64 << 20,
    bases: async () => [baseTime(base)],
    toolVersion: 'test',
    ...change,
  });
/** Everything until now is in slices. */
const now = async (): Promise<Moment> => {
  await source.client
    .db('shop')
    .collection('tick')
    .insertOne({}, { writeConcern: { w: 'majority' } });
  await source.client
    .db('shop')
    .collection('tick')
    .deleteMany({}, { writeConcern: { w: 'majority' } });
  return majorityTime(source.client);
};

async function rollForward(until: Moment, selection: RestoreSelection = {}, key?: EncryptionKey) {
  const { slices } = await listSlices(storage, 'p');
  const recovery = planRecovery([{ id: base.id, at: baseTime(base) }], slices, until);
  if (typeof recovery === 'string') throw new Error(recovery);
  const sources = await Promise.all(
    recovery.slices.map(async (each) => {
      const manifest = await readSliceManifest(storage, 'p', each);
      return { manifest, open: async () => storage.read(manifest.data?.name ?? '') };
    }),
  );
  return new RollForward({ slices: sources, after: recovery.base.at, until, key, selection });
}

async function restoreAt(until: Moment, selection: RestoreSelection = {}, key?: EncryptionKey) {
  return await restore(target.client, {
    ...selection,
    id: `r${runs++}`,
    open: async () => storage.read(base.archive.name),
    key,
    manifest: base,
    rollForward: await rollForward(until, selection, key),
    replace: true,
  });
}

/** All that can be known of a database: contents by the server's own hash, options and indexes. */
async function picture(client: MongoClient, name: string) {
  const db = client.db(name);
  const all = await db.listCollections().toArray();
  // Views and time-series that were there leave an empty system.views behind.
  const kept = all.filter((each) => each.name !== 'tick' && each.name !== 'system.views');
  const described = await Promise.all(
    kept.map(async (each) => ({
      name: each.name,
      type: each.type,
      options: (each as { options?: object }).options,
      indexes:
        each.type === 'view'
          ? []
          : (await db.collection(each.name).indexes()).sort((a, b) =>
              (a.name ?? '') < (b.name ?? '') ? -1 : 1,
            ),
    })),
  );
  const { tick: _, 'system.views': __, ...contents } = await hashes(client, name);
  return { described: described.sort((a, b) => (a.name < b.name ? -1 : 1)), contents };
}

/** Things that happen, one after the other; each is a moment to come back to. */
const story: [what: string, happens: (client: MongoClient) => Promise<unknown>][] = [
  [
    'documents change',
    async (client) => {
      const orders = client.db('shop').collection('orders');
      await orders.insertMany(
        Array.from({ length: 1500 }, (_, i) => ({
          _id: (1000 + i) as never,
          n: i,
          tags: ['a', { 2: 1, 1: 2 }],
        })),
      );
      await orders.updateMany({ n: { $lt: 700 } }, { $inc: { n: 10_000 }, $push: { tags: 'b' as never } });
      await orders.replaceOne({ _id: 1 as never }, { b: 1, 10: 'ten', 2: 'two' });
      await orders.deleteMany({ n: { $gt: 10_600 } });
    },
  ],
  [
    'indexes come, change and go',
    async (client) => {
      const orders = client.db('shop').collection('orders');
      await orders.createIndex({ n: 1 }, { name: 'short', expireAfterSeconds: 5000 });
      await orders.createIndex({ 'tags.x': -1, n: 1 }, { sparse: true });
      await orders.createIndex({ gone: 1 });
      await client.db('shop').collection('empty').createIndex({ a: 1 }, { unique: true });
      await client
        .db('shop')
        .command({ collMod: 'orders', index: { name: 'short', expireAfterSeconds: 9000 } });
      await client.db('shop').command({ collMod: 'orders', index: { name: 'gone_1', hidden: true } });
    },
  ],
  [
    'an index is dropped, another hidden one shown',
    async (client) => {
      await client.db('shop').collection('orders').dropIndex('tags.x_-1_n_1');
      await client.db('shop').command({ collMod: 'orders', index: { name: 'gone_1', hidden: false } });
      await client.db('shop').collection('orders').dropIndex('a_1');
    },
  ],
  [
    'a collection is dropped and made anew',
    async (client) => {
      await client.db('shop').collection('users').drop();
      await client.db('shop').createCollection('users', { collation: { locale: 'de' } });
      await client
        .db('shop')
        .collection('users')
        .insertOne({ _id: 'Ä' as never });
    },
  ],
  [
    'collections are renamed, also over another',
    async (client) => {
      await client.db('shop').collection('orders').rename('sales');
      await client.db('shop').collection('users').rename('empty', { dropTarget: true });
      await client.db('shop').collection('orders').insertOne({ fresh: true });
    },
  ],
  [
    'an aggregation writes a collection, twice',
    async (client) => {
      for (const limit of [10, 3])
        await client
          .db('shop')
          .collection('sales')
          .aggregate([{ $sort: { _id: 1 } }, { $limit: limit }, { $out: 'report' }])
          .toArray();
    },
  ],
  [
    'views come, change and go',
    async (client) => {
      const db = client.db('shop');
      await db.createCollection('view', { viewOn: 'sales', pipeline: [{ $match: { n: 1 } }] });
      await db.createCollection('passing', { viewOn: 'sales', pipeline: [] });
      await db.command({ collMod: 'view', viewOn: 'report', pipeline: [{ $limit: 2 }] });
      await db.collection('passing').drop();
      await db.collection('old-view').drop();
    },
  ],
  [
    'a time-series comes, with indexes',
    async (client) => {
      const db = client.db('shop');
      await db.createCollection('weather', {
        timeseries: { timeField: 't', metaField: 'm' },
        expireAfterSeconds: 3_000_000,
      });
      const weather = db.collection('weather');
      await weather.createIndex({ 'm.place': 1, t: -1 });
      await weather.createIndex({ wind: 1 });
      for (let i = 0; i < 20; i++)
        await weather.insertOne({ t: new Date(Date.now() - i * 1000), m: { place: i % 3 }, wind: i });
      await db.command({ collMod: 'weather', expireAfterSeconds: 4_000_000 });
    },
  ],
  [
    'the time-series goes on, and another is dropped',
    async (client) => {
      const db = client.db('shop');
      await db.collection('weather').insertMany([
        { t: new Date(), m: { place: 7 }, wind: 1 },
        { t: new Date(), m: { place: 1 }, wind: 2 },
      ]);
      await db.collection('old-weather').drop();
    },
  ],
  [
    'options change',
    async (client) => {
      await client
        .db('shop')
        .command({ collMod: 'sales', validator: { n: { $exists: true } }, validationLevel: 'moderate' });
      await client.db('shop').collection('sales').insertOne({ n: 'valid' });
    },
  ],
  [
    'a capped collection turns over',
    async (client) => {
      await client.db('shop').createCollection('ring', { capped: true, size: 4096, max: 3 });
      for (let i = 0; i < 8; i++)
        await client
          .db('shop')
          .collection('ring')
          .insertOne({ _id: i as never });
      await client.db('shop').command({ convertToCapped: 'report', size: 8192 });
    },
  ],
  [
    'transactions, one too large for one entry, one aborted',
    async (client) => {
      const db = client.db('shop');
      await client.withSession((session) =>
        session.withTransaction(async () => {
          await db.collection('orders').insertOne({ _id: 'small' as never }, { session });
          await db.collection('within').insertOne({ _id: 1 as never }, { session });
        }),
      );
      await client.withSession((session) =>
        session.withTransaction(async () => {
          for (let i = 0; i < 5; i++)
            await db
              .collection('orders')
              .insertOne({ _id: `large-${i}` as never, pad: 'x'.repeat(5_000_000) }, { session });
        }),
      );
      await client.withSession(async (session) => {
        session.startTransaction();
        await db.collection('orders').insertOne({ _id: 'never' as never }, { session });
        await session.abortTransaction();
      });
    },
  ],
  [
    'a clustered collection comes',
    async (client) => {
      await client.db('shop').createCollection('clustered', {
        clusteredIndex: { key: { _id: 1 }, unique: true, name: 'c' },
        expireAfterSeconds: 9_000_000,
      });
      await client
        .db('shop')
        .collection('clustered')
        .insertOne({ _id: new Date() as never });
    },
  ],
  ['everything is dropped', (client) => client.db('shop').dropDatabase()],
  [
    'and begins again',
    (client) =>
      client
        .db('shop')
        .collection('orders')
        .insertOne({ _id: 'phoenix' as never }),
  ],
];

describe('a moment in the midst of the oplog', () => {
  it('comes back as it was, whatever happened to documents, indexes, collections and views', async () => {
    const { client } = source;
    const db = client.db('shop');
    await db.collection('orders').insertMany([1, 2, 3].map((i) => ({ _id: i as never, a: i })));
    await db.collection('orders').createIndex({ a: 1 });
    await db.collection('users').insertOne({ _id: 'ann' as never });
    await db.createCollection('old-view', { viewOn: 'orders', pipeline: [] });
    await db.createCollection('old-weather', { timeseries: { timeField: 't' } });
    await db.collection('old-weather').insertOne({ t: new Date() });
    await take();
    const moments: { what: string; at: Moment; expected: unknown }[] = [];
    for (const [what, happens] of story) {
      await happens(client);
      moments.push({ what, at: await now(), expected: await picture(client, 'shop') });
      // Slices end where they end, also between two moments.
      if (moments.length % 2 === 0) await slice({ maxBytes: 300_000 });
    }
    while ((await slice({ maxBytes: 2 << 20 })).more);
    for (const { what, at, expected } of moments) {
      const { restored } = await restoreAt(at);
      for (const { target: name } of restored) expect(name).toMatch(/^shop\./);
      expect({ what, ...(await picture(target.client, 'shop')) }).toEqual({ what, ...(expected as object) });
      await target.client.db('shop').dropDatabase();
    }
  });
});
