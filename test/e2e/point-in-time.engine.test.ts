/** Restores to moments in the midst of a real oplog: what was there then is what comes back. */
import { randomBytes } from 'node:crypto';
import { readdir, readFile, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Moment } from '../../src/domain/point-in-time/moment.ts';
import { createBackup } from '../../src/mongodb/backup.ts';
import { listSlices } from '../../src/mongodb/oplog/catalog.ts';
import { restore } from '../../src/mongodb/restore.ts';
import { Throttle } from '../../src/mongodb/throttle.ts';
import { parseKey } from '../../src/storage/encryption.ts';
import { SliceYard } from './support/slice-yard.ts';
import { picture, story } from './support/oplog-story.ts';
import { Bucket, S3Server } from './support/s3-server.ts';

let yard: SliceYard;

beforeAll(async () => {
  yard = await SliceYard.open();
});
afterAll(() => yard?.close());
beforeEach(() => yard.begin());
afterEach(() => yard.clear());

describe('a moment in the midst of the oplog', () => {
  it('comes back as it was, whatever happened to documents, indexes, collections and views', async () => {
    const { client } = yard.source;
    const db = client.db('shop');
    await db.collection('orders').insertMany([1, 2, 3].map((i) => ({ _id: i as never, a: i })));
    await db.collection('orders').createIndex({ a: 1 });
    await db.collection('users').insertOne({ _id: 'ann' as never });
    await db.createCollection('old-view', { viewOn: 'orders', pipeline: [] });
    await db.createCollection('old-weather', { timeseries: { timeField: 't' } });
    await db.collection('old-weather').insertOne({ t: new Date() });
    await yard.take();
    const moments: { what: string; at: Moment; expected: unknown }[] = [];
    for (const [what, happens] of story) {
      await happens(client);
      moments.push({ what, at: await yard.now(), expected: await picture(client, 'shop') });
      // Slices end where they end, also between two moments.
      if (moments.length % 2 === 0) await yard.slice({ maxBytes: 300_000 });
    }
    while ((await yard.slice({ maxBytes: 2 << 20 })).more);
    for (const { what, at, expected } of moments) {
      const planned = await yard.planAt(at);
      const { restored } = await yard.restoreAt(at);
      for (const { target: name } of restored) expect(name).toMatch(/^shop\./);
      // The plan knows what there will be; a capped collection says by itself what it drops.
      expect(planned).toEqual(restored.map((each) => `${each.target} ${each.documents}`));
      expect({ what, ...(await picture(yard.target.client, 'shop')) }).toEqual({
        what,
        ...(expected as object),
      });
      await yard.target.client.db('shop').dropDatabase();
    }
  });
});

describe('a restore to a moment', () => {
  it('of some collections takes what they came from, and nothing else', async () => {
    const db = yard.source.client.db('shop');
    await db.collection('stock').insertOne({ _id: 'old' as never });
    await db.collection('draft').insertOne({ _id: 'drafted' as never });
    await db.collection('orders').insertOne({ _id: 1 as never });
    await yard.take();
    await db.collection('draft').rename('stock', { dropTarget: true });
    await db
      .collection('orders')
      .aggregate([{ $out: 'report' }])
      .toArray();
    await db.collection('orders').insertOne({ _id: 2 as never });
    const at = await yard.now();
    await yard.slice();
    const { restored } = await yard.restoreAt(at, {
      include: ['shop.stock', 'shop.report'],
      nsFrom: ['shop.*'],
      nsTo: ['restored.*'],
    });
    expect(restored.map((each) => `${each.target} ${each.documents}`).sort()).toEqual([
      'restored.report 1',
      'restored.stock 1',
    ]);
    const there = await yard.target.client.db('restored').listCollections({}, { nameOnly: true }).toArray();
    expect(there.map(({ name }) => name).sort()).toEqual(['report', 'stock']);
    expect(await yard.target.client.db('restored').collection('stock').findOne()).toEqual({ _id: 'drafted' });
    expect((await yard.target.client.db('shop').listCollections().toArray()).length).toBe(0);
  });

  it('after another restore over the same server brings back what that one brought', async () => {
    const db = yard.source.client.db('shop');
    await db.collection('orders').insertOne({ _id: 1 as never });
    await db.createCollection('weather', { timeseries: { timeField: 't', metaField: 'm' } });
    await db.collection('weather').insertOne({ t: new Date(), m: 1 });
    await yard.take();
    await db.collection('orders').insertOne({ _id: 2 as never });
    const before = await yard.now();
    await yard.slice();
    await db.collection('orders').deleteMany({});
    await db.collection('weather').drop();
    await restore(yard.source.client, {
      id: 'over',
      open: async () => yard.storage.read(yard.base.archive.name),
      manifest: yard.base,
      rollForward: await yard.rollForward(before),
      replace: true,
    });
    await db.collection('orders').insertOne({ _id: 3 as never });
    const after = await yard.now();
    const expected = await picture(yard.source.client, 'shop');
    await yard.slice();
    await yard.restoreAt(after);
    expect(await picture(yard.target.client, 'shop')).toEqual(expected);
    await yard.target.client.db('shop').dropDatabase();
    await yard.restoreAt(after, { include: ['shop.orders'] });
    const found = await yard.target.client.db('shop').collection('orders').find().sort({ _id: 1 }).toArray();
    expect(found.map(({ _id }) => _id)).toEqual([1, 2, 3]);
  });

  it('goes on from a backup whose moment is the end of its own window of the oplog', async () => {
    const orders = yard.source.client.db('shop').collection('orders');
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
    yard.base = await createBackup(yard.source.client, yard.storage, {
      policy: 'p',
      owner: 'window',
      id: 'dump-window',
      compression: 'gzip',
      databases: ['shop'],
      consistency: 'oplog',
      throttle: new Throttle(2),
      toolVersion: 'test',
    });
    await yard.slice();
    writing = false;
    await writer;
    const at = await yard.now();
    const expected = await picture(yard.source.client, 'shop');
    await yard.slice();
    expect(yard.base.consistency.kind).toBe('oplog');
    await yard.restoreAt(at);
    expect(await picture(yard.target.client, 'shop')).toEqual(expected);
  });

  it('comes from S3 as from a directory', async () => {
    const s3 = await S3Server.start();
    const bucket = await Bucket.make(s3, 'slices');
    const storage = bucket.storage('shop');
    try {
      yard.storage = storage;
      const orders = yard.source.client.db('shop').collection('orders');
      await orders.insertOne({ _id: 1 as never });
      await yard.take();
      await orders.insertMany(Array.from({ length: 5_000 }, () => ({ pad: randomBytes(1_500) })));
      const at = await yard.now();
      const expected = await picture(yard.source.client, 'shop');
      await orders.insertOne({ _id: 'too late' as never });
      while ((await yard.slice({ maxBytes: 3 << 20 })).more);
      const { slices, orphans } = await listSlices(yard.storage, 'p');
      expect(slices.length).toBeGreaterThan(1);
      expect(orphans).toEqual([]);
      await yard.restoreAt(at);
      expect(await picture(yard.target.client, 'shop')).toEqual(expected);
    } finally {
      await storage.close();
      bucket.close();
      await s3.stop();
    }
  });

  it('that would rename across databases is refused before anything is written', async () => {
    const db = yard.source.client.db('shop');
    await db.collection('a').insertOne({});
    await yard.take();
    await db.collection('a').rename('b');
    const at = await yard.now();
    await yard.slice();
    const refused = yard.restoreAt(at, { nsFrom: ['shop.b'], nsTo: ['restored.b'] });
    await expect(refused).rejects.toThrow(
      /shop\.a was renamed to shop\.b, which would go to another database/,
    );
    expect(
      (await yard.target.client.db().admin().listDatabases()).databases.map(({ name }) => name),
    ).not.toContain('restored');
  });

  it('with a slice that was changed, cut or lost touches nothing', async () => {
    await yard.source.client.db('shop').collection('orders').insertOne({});
    await yard.take();
    await yard.source.client
      .db('shop')
      .collection('orders')
      .insertMany(Array.from({ length: 200 }, (_, i) => ({ i })));
    const at = await yard.now();
    await yard.slice({ compression: 'none' });
    const name = (await readdir(yard.folder)).find((each) => each.endsWith('.bson')) ?? '';
    const whole = await readFile(join(yard.folder, name));
    const flipped = Buffer.from(whole);
    flipped[whole.length - 20] = (flipped[whole.length - 20] ?? 0) ^ 1;
    for (const damaged of [flipped, whole.subarray(0, -7), null]) {
      if (damaged) await writeFile(join(yard.folder, name), damaged);
      else await unlink(join(yard.folder, name));
      await expect(yard.restoreAt(at)).rejects.toThrow(/damaged|truncated|does not exist/);
      expect((await yard.target.client.db('shop').listCollections().toArray()).length).toBe(0);
    }
  });

  it('comes back from encrypted slices with the key, and from them alone with none', async () => {
    const key = parseKey('ab'.repeat(32));
    await yard.source.client.db('shop').collection('orders').insertOne({ word: 'xylophone' });
    await yard.take(['shop'], key);
    await yard.source.client.db('shop').collection('orders').insertOne({ word: 'harpsichord' });
    const at = await yard.now();
    await yard.slice({ key, compression: 'none' });
    for (const name of await readdir(yard.folder))
      expect((await readFile(join(yard.folder, name))).includes('harpsichord')).toBe(false);
    await yard.restoreAt(at, {}, key);
    expect(await yard.target.client.db('shop').collection('orders').countDocuments()).toBe(2);
    await expect(yard.restoreAt(at)).rejects.toThrow(/no key is given/);
  });
});
