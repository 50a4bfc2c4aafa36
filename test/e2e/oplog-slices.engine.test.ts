/** Slices of a real oplog, stored as one engine after the other does it. */
import { spawnSync } from 'node:child_process';
import { copyFile, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Moment, momentText } from '../../src/domain/point-in-time/moment.ts';
import { documentsOf } from '../../src/mongodb/bson/raw.ts';
import { entryTime, readOplog } from '../../src/mongodb/dump/oplog.ts';
import { listSlices, readSliceManifest } from '../../src/mongodb/oplog/catalog.ts';
import { readSlice } from '../../src/mongodb/oplog/read.ts';
import { keepEntries, sliceSelection } from '../../src/mongodb/oplog/selection.ts';
import { type SliceOutcome, writeSlice } from '../../src/mongodb/oplog/write.ts';
import { DirectoryStorage } from '../../src/storage/directory.ts';
import { startMongod } from './backup-engine.support.ts';
import { SliceYard } from './support/slice-yard.ts';
import { eventually } from './support/eventually.ts';

let yard: SliceYard;

beforeAll(async () => {
  yard = await SliceYard.open();
});
afterAll(() => yard?.close());
beforeEach(() => yard.begin());
afterEach(() => yard.clear());

/** The times of all entries: of the slices, one after the other, and of the oplog between their ends. */
async function entries(): Promise<{ sliced: string[]; logged: string[] }> {
  const { slices } = await listSlices(yard.storage, 'p');
  const sliced: string[] = [];
  for (const each of slices) {
    const manifest = await readSliceManifest(yard.storage, 'p', each);
    for await (const { data } of readSlice(
      manifest,
      async () => yard.storage.read(manifest.data?.name ?? ''),
      undefined,
    ))
      for (const entry of documentsOf(data)) sliced.push(momentText(entryTime(entry)));
  }
  const range = { from: slices[0]?.from as Moment, to: slices.at(-1)?.to as Moment, exclusive: true };
  const logged: string[] = [];
  for await (const run of readOplog(yard.source.client, range))
    for (const entry of documentsOf(keepEntries(run, sliceSelection({ databases: ['shop'] })).data))
      logged.push(momentText(entryTime(entry)));
  return { sliced, logged };
}

describe('slices', () => {
  it('lose and repeat no entry, wherever the process that stores one is killed', async () => {
    const orders = yard.source.client.db('shop').collection('orders');
    await yard.take();
    await yard.slice();
    const killed: string[] = [];
    for (let step = 1; ; step++) {
      await orders.insertMany(Array.from({ length: 50 }, (_, n) => ({ step, n })));
      await yard.now();
      const script = new URL('support/slice-killed.ts', import.meta.url).pathname;
      const child = spawnSync(process.execPath, [script, yard.source.uri, yard.folder, String(step)], {
        encoding: 'utf8',
      });
      if (child.signal !== 'SIGKILL') {
        expect(child).toMatchObject({ status: 0, stdout: 'done\n' });
        break;
      }
      killed.push((await readdir(yard.folder)).filter((name) => /attempt|partial/.test(name)).join());
      // What a killed process left counts only when it is whole.
      const { sliced, logged } = await entries();
      expect(sliced).toEqual(logged);
    }
    const left = await readdir(yard.folder);
    expect(killed.length).toBeGreaterThan(8);
    expect(killed.filter((leftovers) => leftovers.includes('partial')).length).toBeGreaterThan(0);
    expect(left.filter((name) => /attempt|partial/.test(name))).toEqual([]);
    const { sliced, logged } = await entries();
    expect(sliced).toEqual(logged);
    expect(logged.length).toBeGreaterThan(50 * killed.length);
    const { slices, orphans } = await listSlices(yard.storage, 'p');
    expect(new Set(slices.map(({ chain }) => chain))).toEqual(new Set([1]));
    expect(orphans).toEqual([]);
  });

  it('that another attempt stored at the same time do no harm', async () => {
    const orders = yard.source.client.db('shop').collection('orders');
    await yard.take();
    await yard.slice();
    await orders.insertOne({ _id: 1 as never });
    const middle = await yard.now();
    // A worker that was given up for dead and lives: both go on from the same slice, and both store theirs.
    const beside = await mkdtemp(join(tmpdir(), 'slipway-slices-'));
    for (const name of await readdir(yard.folder))
      await copyFile(join(yard.folder, name), join(beside, name));
    await yard.slice();
    await orders.insertOne({ _id: 2 as never });
    const end = await yard.now();
    await writeSlice(yard.source.client, new DirectoryStorage(beside), {
      policy: 'p',
      filter: { databases: ['shop'] },
      compression: 'none',
      maxBytes: 1 << 20,
      bases: async () => [],
      toolVersion: 'test',
    });
    for (const name of await readdir(beside)) await copyFile(join(beside, name), join(yard.folder, name));
    await yard.slice();
    for (const [moment, expected] of [
      [middle, [1]],
      [end, [1, 2]],
    ] as const) {
      await yard.restoreAt(moment);
      const found = await yard.target.client
        .db('shop')
        .collection('orders')
        .find()
        .sort({ _id: 1 })
        .toArray();
      expect(found.map(({ _id }) => _id)).toEqual(expected);
    }
    await rm(beside, { recursive: true });
  });

  it('begin a new chain when the policy takes other namespaces, and none leads over the seam', async () => {
    await yard.source.client.db('shop').collection('orders').insertOne({});
    await yard.take();
    await yard.slice();
    const narrow = await yard.now();
    await yard.slice();
    const { slice: head } = await yard.slice({ filter: { databases: ['shop', 'other'] } });
    expect(head).toMatchObject({ chain: 2, gap: { reason: 'the policy takes other namespaces' } });
    const wide = await yard.now();
    await yard.slice({ filter: { databases: ['shop', 'other'] } });
    await yard.rollForward(narrow);
    await expect(yard.rollForward(wide)).rejects.toThrow(/cannot be reached/);
  });

  it('of another server are not gone on from', async () => {
    await yard.source.client.db('shop').collection('orders').insertOne({});
    await yard.take();
    await yard.slice();
    await yard.now();
    await yard.slice();
    // The clock of the other server is the same, its history is not; as long as it lies behind, nothing can be told.
    let head: SliceOutcome['slice'] = null;
    await eventually('the other history is seen', async () => {
      await yard.target.client
        .db('shop')
        .collection('orders')
        .insertOne({}, { writeConcern: { w: 'majority' } });
      const { slice: stored } = await writeSlice(yard.target.client, yard.storage, {
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
      const refused = writeSlice(alone.client, yard.storage, {
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
