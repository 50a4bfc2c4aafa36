/** A story for an oplog: everything that can happen to documents, indexes, collections and views, and what is there then. */
import type { MongoClient } from 'mongodb';
import { hashes } from '../backup-engine.support.ts';

/** All that can be known of a database: contents by the server's own hash, options and indexes. */
export async function picture(client: MongoClient, name: string) {
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
export const story: [what: string, happens: (client: MongoClient) => Promise<unknown>][] = [
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
