/** Slices of a real oplog, and restores to moments in the midst of it: what was there then is what comes back. */
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { copyFile, mkdtemp, readdir, readFile, rm, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import type { MongoClient } from 'mongodb';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { momentOf } from '../../src/backups/slices.ts';
import { type Moment, momentText } from '../../src/domain/point-in-time/moment.ts';
import { planRecovery } from '../../src/domain/point-in-time/reach.ts';
import { createBackup } from '../../src/mongodb/backup.ts';
import { documentsOf } from '../../src/mongodb/bson/raw.ts';
import { majorityTime } from '../../src/mongodb/dump/consistency.ts';
import { entryTime, readOplog } from '../../src/mongodb/dump/oplog.ts';
import { listSlices, readSliceManifest } from '../../src/mongodb/oplog/catalog.ts';
import { readSlice } from '../../src/mongodb/oplog/read.ts';
import { keepEntries, sliceSelection } from '../../src/mongodb/oplog/selection.ts';
import { type SliceOptions, type SliceOutcome, writeSlice } from '../../src/mongodb/oplog/write.ts';
import { previewRestore, restore } from '../../src/mongodb/restore.ts';
import type { RestoreSelection } from '../../src/mongodb/restore/plan.ts';
import { RollForward } from '../../src/mongodb/restore/roll-forward.ts';
import type { BackupManifest } from '../../src/specs/manifest.ts';
import { Throttle } from '../../src/mongodb/throttle.ts';
import { DirectoryStorage } from '../../src/storage/directory.ts';
import { S3Storage } from '../../src/storage/s3.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { type EncryptionKey, parseKey } from '../../src/storage/encryption.ts';
import { S3 } from './backup.support.ts';
import { hashes, type MongoServer, startMongod, until } from './backup-engine.support.ts';

let source: MongoServer;
let target: MongoServer;
let folder: string;
let storage: Storage;
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

async function makeBucket(endpoint: string, bucket: string, secretAccessKey: string): Promise<void> {
  const credentials = { accessKeyId: S3.accessKey, secretAccessKey };
  const client = new S3Client({ endpoint, forcePathStyle: true, region: 'us-east-1', credentials });
  await client.send(new CreateBucketCommand({ Bucket: bucket }));
  client.destroy();
}

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
  const moment = momentOf(manifest);
  if (!moment) throw new Error('a backup of no one moment');
  return moment;
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

async function rollForward(moment: Moment, selection: RestoreSelection = {}, key?: EncryptionKey) {
  const { slices } = await listSlices(storage, 'p');
  const recovery = planRecovery([{ id: base.id, at: baseTime(base) }], slices, moment);
  if (typeof recovery === 'string') throw new Error(recovery);
  const sources = await Promise.all(
    recovery.slices.map(async (each) => {
      const manifest = await readSliceManifest(storage, 'p', each);
      return { manifest, open: async () => storage.read(manifest.data?.name ?? '') };
    }),
  );
  return new RollForward({ slices: sources, after: recovery.base.at, until: moment, key, selection });
}

async function restoreAt(moment: Moment, selection: RestoreSelection = {}, key?: EncryptionKey) {
  return await restore(target.client, {
    ...selection,
    id: `r${runs++}`,
    open: async () => storage.read(base.archive.name),
    key,
    manifest: base,
    rollForward: await rollForward(moment, selection, key),
    replace: true,
  });
}

/** Collections and documents as a dry run tells them. */
async function planAt(moment: Moment): Promise<string[]> {
  const { plan } = await previewRestore(target.client, {
    open: async () => storage.read(base.archive.name),
    manifest: base,
    rollForward: await rollForward(moment),
  });
  return plan.items.map((item) => `${item.db}.${item.collection} ${item.documents}`);
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
      const planned = await planAt(at);
      const { restored } = await restoreAt(at);
      for (const { target: name } of restored) expect(name).toMatch(/^shop\./);
      // The plan knows what there will be; a capped collection says by itself what it drops.
      expect(planned).toEqual(restored.map((each) => `${each.target} ${each.documents}`));
      expect({ what, ...(await picture(target.client, 'shop')) }).toEqual({ what, ...(expected as object) });
      await target.client.db('shop').dropDatabase();
    }
  });
});

/** The times of all entries: of the slices, one after the other, and of the oplog between their ends. */
async function entries(): Promise<{ sliced: string[]; logged: string[] }> {
  const { slices } = await listSlices(storage, 'p');
  const sliced: string[] = [];
  for (const each of slices) {
    const manifest = await readSliceManifest(storage, 'p', each);
    for await (const { data } of readSlice(
      manifest,
      async () => storage.read(manifest.data?.name ?? ''),
      undefined,
    ))
      for (const entry of documentsOf(data)) sliced.push(momentText(entryTime(entry)));
  }
  const range = { from: slices[0]?.from as Moment, to: slices.at(-1)?.to as Moment, exclusive: true };
  const logged: string[] = [];
  for await (const run of readOplog(source.client, range))
    for (const entry of documentsOf(keepEntries(run, sliceSelection({ databases: ['shop'] })).data))
      logged.push(momentText(entryTime(entry)));
  return { sliced, logged };
}

describe('slices', () => {
  it('lose and repeat no entry, wherever the process that stores one is killed', async () => {
    const orders = source.client.db('shop').collection('orders');
    await take();
    await slice();
    const killed: string[] = [];
    for (let step = 1; ; step++) {
      await orders.insertMany(Array.from({ length: 50 }, (_, n) => ({ step, n })));
      await now();
      const script = new URL('support/slice-killed.ts', import.meta.url).pathname;
      const child = spawnSync(process.execPath, [script, source.uri, folder, String(step)], {
        encoding: 'utf8',
      });
      if (child.signal !== 'SIGKILL') {
        expect(child).toMatchObject({ status: 0, stdout: 'done\n' });
        break;
      }
      killed.push((await readdir(folder)).filter((name) => /attempt|partial/.test(name)).join());
      // What a killed process left counts only when it is whole.
      const { sliced, logged } = await entries();
      expect(sliced).toEqual(logged);
    }
    const left = await readdir(folder);
    expect(killed.length).toBeGreaterThan(8);
    expect(killed.filter((leftovers) => leftovers.includes('partial')).length).toBeGreaterThan(0);
    expect(left.filter((name) => /attempt|partial/.test(name))).toEqual([]);
    const { sliced, logged } = await entries();
    expect(sliced).toEqual(logged);
    expect(logged.length).toBeGreaterThan(50 * killed.length);
    const { slices, orphans } = await listSlices(storage, 'p');
    expect(new Set(slices.map(({ chain }) => chain))).toEqual(new Set([1]));
    expect(orphans).toEqual([]);
  });

  it('that another attempt stored at the same time do no harm', async () => {
    const orders = source.client.db('shop').collection('orders');
    await take();
    await slice();
    await orders.insertOne({ _id: 1 as never });
    const middle = await now();
    // A worker that was given up for dead and lives: both go on from the same slice, and both store theirs.
    const beside = await mkdtemp(join(tmpdir(), 'slipway-slices-'));
    for (const name of await readdir(folder)) await copyFile(join(folder, name), join(beside, name));
    await slice();
    await orders.insertOne({ _id: 2 as never });
    const end = await now();
    await writeSlice(source.client, new DirectoryStorage(beside), {
      policy: 'p',
      filter: { databases: ['shop'] },
      compression: 'none',
      maxBytes: 1 << 20,
      bases: async () => [],
      toolVersion: 'test',
    });
    for (const name of await readdir(beside)) await copyFile(join(beside, name), join(folder, name));
    await slice();
    for (const [moment, expected] of [
      [middle, [1]],
      [end, [1, 2]],
    ] as const) {
      await restoreAt(moment);
      const found = await target.client.db('shop').collection('orders').find().sort({ _id: 1 }).toArray();
      expect(found.map(({ _id }) => _id)).toEqual(expected);
    }
    await rm(beside, { recursive: true });
  });

  it('begin a new chain when the policy takes other namespaces, and none leads over the seam', async () => {
    await source.client.db('shop').collection('orders').insertOne({});
    await take();
    await slice();
    const narrow = await now();
    await slice();
    const { slice: head } = await slice({ filter: { databases: ['shop', 'other'] } });
    expect(head).toMatchObject({ chain: 2, gap: { reason: 'the policy takes other namespaces' } });
    const wide = await now();
    await slice({ filter: { databases: ['shop', 'other'] } });
    await rollForward(narrow);
    await expect(rollForward(wide)).rejects.toThrow(/cannot be reached/);
  });

  it('of another server are not gone on from', async () => {
    await source.client.db('shop').collection('orders').insertOne({});
    await take();
    await slice();
    await now();
    await slice();
    // The clock of the other server is the same, its history is not; as long as it lies behind, nothing can be told.
    let head: SliceOutcome['slice'] = null;
    await until('the other history is seen', async () => {
      await target.client
        .db('shop')
        .collection('orders')
        .insertOne({}, { writeConcern: { w: 'majority' } });
      const { slice: stored } = await writeSlice(target.client, storage, {
        policy: 'p',
        filter: { databases: ['shop'] },
        compression: 'gzip',
        maxBytes: 1 << 20,
        bases: async () => [],
        toolVersion: 'test',
      });
      head ??= stored;
      return head !== null;
    });
    expect(head).toMatchObject({ chain: 2, gap: { reason: expect.stringContaining('history') as string } });
  });

  it('need a replica set, and say so', async () => {
    const alone = await startMongod({ replicaSet: false });
    try {
      const refused = writeSlice(alone.client, storage, {
        policy: 'p',
        filter: {},
        compression: 'gzip',
        maxBytes: 1,
        bases: async () => [],
        toolVersion: 'test',
      });
      await expect(refused).rejects.toThrow(
        'spec.pointInTime needs a replica set, for only that has an oplog; this is a standalone server',
      );
    } finally {
      await alone.stop();
    }
  });
});

describe('a restore to a moment', () => {
  it('of some collections takes what they came from, and nothing else', async () => {
    const db = source.client.db('shop');
    await db.collection('stock').insertOne({ _id: 'old' as never });
    await db.collection('draft').insertOne({ _id: 'drafted' as never });
    await db.collection('orders').insertOne({ _id: 1 as never });
    await take();
    await db.collection('draft').rename('stock', { dropTarget: true });
    await db
      .collection('orders')
      .aggregate([{ $out: 'report' }])
      .toArray();
    await db.collection('orders').insertOne({ _id: 2 as never });
    const at = await now();
    await slice();
    const { restored } = await restoreAt(at, {
      include: ['shop.stock', 'shop.report'],
      nsFrom: ['shop.*'],
      nsTo: ['restored.*'],
    });
    expect(restored.map((each) => `${each.target} ${each.documents}`).sort()).toEqual([
      'restored.report 1',
      'restored.stock 1',
    ]);
    const there = await target.client.db('restored').listCollections({}, { nameOnly: true }).toArray();
    expect(there.map(({ name }) => name).sort()).toEqual(['report', 'stock']);
    expect(await target.client.db('restored').collection('stock').findOne()).toEqual({ _id: 'drafted' });
    expect((await target.client.db('shop').listCollections().toArray()).length).toBe(0);
  });

  it('after another restore over the same server brings back what that one brought', async () => {
    const db = source.client.db('shop');
    await db.collection('orders').insertOne({ _id: 1 as never });
    await db.createCollection('weather', { timeseries: { timeField: 't', metaField: 'm' } });
    await db.collection('weather').insertOne({ t: new Date(), m: 1 });
    await take();
    await db.collection('orders').insertOne({ _id: 2 as never });
    const before = await now();
    await slice();
    await db.collection('orders').deleteMany({});
    await db.collection('weather').drop();
    await restore(source.client, {
      id: 'over',
      open: async () => storage.read(base.archive.name),
      manifest: base,
      rollForward: await rollForward(before),
      replace: true,
    });
    await db.collection('orders').insertOne({ _id: 3 as never });
    const after = await now();
    const expected = await picture(source.client, 'shop');
    await slice();
    await restoreAt(after);
    expect(await picture(target.client, 'shop')).toEqual(expected);
    await target.client.db('shop').dropDatabase();
    await restoreAt(after, { include: ['shop.orders'] });
    const found = await target.client.db('shop').collection('orders').find().sort({ _id: 1 }).toArray();
    expect(found.map(({ _id }) => _id)).toEqual([1, 2, 3]);
  });

  it('goes on from a backup whose moment is the end of its own window of the oplog', async () => {
    const orders = source.client.db('shop').collection('orders');
    await orders.insertMany(
      Array.from({ length: 2_000 }, (_, i) => ({ _id: i as never, n: 0, pad: 'x'.repeat(1_000) })),
    );
    let writing = true;
    const writer = (async () => {
      for (let i = 0; writing; i = (i + 7) % 2_000) {
        await orders.updateOne({ _id: i as never }, { $inc: { n: 1 } });
        // What is changed and then deleted within the window is not in the archive when its change is replayed.
        await orders.updateOne({ _id: `passing-${i}` as never }, { $set: { n: 1 } }, { upsert: true });
        await orders.updateOne({ _id: `passing-${i}` as never }, { $inc: { n: 1 } });
        await orders.deleteOne({ _id: `passing-${i - 70}` as never });
        if (i % 3 === 0) await orders.deleteOne({ _id: i as never });
      }
    })();
    base = await createBackup(source.client, storage, {
      policy: 'p',
      owner: 'window',
      id: 'dump-window',
      compression: 'gzip',
      databases: ['shop'],
      consistency: 'oplog',
      throttle: new Throttle(2),
      toolVersion: 'test',
    });
    await slice();
    writing = false;
    await writer;
    const at = await now();
    const expected = await picture(source.client, 'shop');
    await slice();
    expect(base.consistency.kind).toBe('oplog');
    await restoreAt(at);
    expect(await picture(target.client, 'shop')).toEqual(expected);
  });

  it('comes from S3 as from a directory', async () => {
    const s3 = await S3.start('secret');
    const bucket = new S3Storage({
      bucket: 'slices',
      prefix: 'shop',
      endpoint: s3.endpoint,
      credentials: { accessKeyId: S3.accessKey, secretAccessKey: 'secret' },
    });
    try {
      await makeBucket(s3.endpoint, 'slices', 'secret');
      storage = bucket;
      const orders = source.client.db('shop').collection('orders');
      await orders.insertOne({ _id: 1 as never });
      await take();
      await orders.insertMany(Array.from({ length: 5_000 }, () => ({ pad: randomBytes(1_500) })));
      const at = await now();
      const expected = await picture(source.client, 'shop');
      await orders.insertOne({ _id: 'too late' as never });
      while ((await slice({ maxBytes: 3 << 20 })).more);
      const { slices, orphans } = await listSlices(storage, 'p');
      expect(slices.length).toBeGreaterThan(1);
      expect(orphans).toEqual([]);
      await restoreAt(at);
      expect(await picture(target.client, 'shop')).toEqual(expected);
    } finally {
      await bucket.close();
      await s3.stop();
    }
  });

  it('that would rename across databases is refused before anything is written', async () => {
    const db = source.client.db('shop');
    await db.collection('a').insertOne({});
    await take();
    await db.collection('a').rename('b');
    const at = await now();
    await slice();
    const refused = restoreAt(at, { nsFrom: ['shop.b'], nsTo: ['restored.b'] });
    await expect(refused).rejects.toThrow(
      /shop\.a was renamed to shop\.b, which would go to another database/,
    );
    expect(
      (await target.client.db().admin().listDatabases()).databases.map(({ name }) => name),
    ).not.toContain('restored');
  });

  it('with a slice that was changed, cut or lost touches nothing', async () => {
    await source.client.db('shop').collection('orders').insertOne({});
    await take();
    await source.client
      .db('shop')
      .collection('orders')
      .insertMany(Array.from({ length: 200 }, (_, i) => ({ i })));
    const at = await now();
    await slice({ compression: 'none' });
    const name = (await readdir(folder)).find((each) => each.endsWith('.bson')) ?? '';
    const whole = await readFile(join(folder, name));
    const flipped = Buffer.from(whole);
    flipped[whole.length - 20] = (flipped[whole.length - 20] ?? 0) ^ 1;
    for (const damaged of [flipped, whole.subarray(0, -7), null]) {
      if (damaged) await writeFile(join(folder, name), damaged);
      else await unlink(join(folder, name));
      await expect(restoreAt(at)).rejects.toThrow(/damaged|truncated|does not exist/);
      expect((await target.client.db('shop').listCollections().toArray()).length).toBe(0);
    }
  });

  it('comes back from encrypted slices with the key, and from them alone with none', async () => {
    const key = parseKey('ab'.repeat(32));
    await source.client.db('shop').collection('orders').insertOne({ word: 'xylophone' });
    await take(['shop'], key);
    await source.client.db('shop').collection('orders').insertOne({ word: 'harpsichord' });
    const at = await now();
    await slice({ key, compression: 'none' });
    for (const name of await readdir(folder))
      expect((await readFile(join(folder, name))).includes('harpsichord')).toBe(false);
    await restoreAt(at, {}, key);
    expect(await target.client.db('shop').collection('orders').countDocuments()).toBe(2);
    await expect(restoreAt(at)).rejects.toThrow(/a key is needed/);
  });
});
