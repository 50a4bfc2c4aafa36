/** How entries of an oplog take effect: in which order, up to which moment, and what happens to collections on the way. */
import { BSON, Long, Timestamp } from 'mongodb';
import { describe, expect, test } from 'vitest';
import type { Moment } from '../../src/domain/point-in-time/moment.ts';
import { asBuffer } from '../../src/mongodb/bson/raw.ts';
import { parseExtendedJson } from '../../src/mongodb/bson/extended-json.ts';
import { documentRuns } from '../../src/mongodb/oplog/documents.ts';
import { keepEntries, sliceSelection } from '../../src/mongodb/oplog/selection.ts';
import { Course } from '../../src/mongodb/restore/course.ts';
import { Definitions, type StagingHands } from '../../src/mongodb/restore/definitions.ts';
import type { RestoreItem } from '../../src/mongodb/restore/plan.ts';
import { timeseriesIndex } from '../../src/mongodb/restore/timeseries-index.ts';
import type { NamespaceFilter } from '../../src/mongodb/dump/listing.ts';
import { cut, inOneMemory } from './support/pieces.ts';

const at = (t: number, i = 1): Moment => ({ t, i });
type Entry = Record<string, unknown>;
const entry = (t: number, rest: Entry, i = 1) =>
  asBuffer(BSON.serialize({ ts: new Timestamp({ t, i }), ...rest }));
const insert = (t: number, id: unknown, i = 1) => entry(t, { op: 'i', ns: 'shop.orders', o: { _id: id } }, i);
const operation = (id: unknown) => ({ op: 'i', ns: 'shop.orders', o: { _id: id } });
const never = { ts: new Timestamp(0n), t: Long.fromInt(-1) };
const session = { lsid: { id: 'session' }, txnNumber: Long.fromInt(7) };

/** What takes effect of these entries between two moments, in order. */
async function effects(after: Moment, until: Moment, ...entries: Buffer[]): Promise<unknown[]> {
  const seen: unknown[] = [];
  const course = new Course(after, until, {
    write: ({ o }) => void seen.push(BSON.deserialize(o)['_id']),
    command: (name, db) => void seen.push(`${name} in ${db}`),
  });
  for (const each of entries) await course.take(each);
  return seen;
}

describe('the course of an oplog', () => {
  test('begins after one moment and ends with the last entry at or before another', async () => {
    const all = [insert(10, 'a'), insert(11, 'b'), insert(12, 'c', 1), insert(12, 'd', 2), insert(13, 'e')];
    expect(await effects(at(10), at(12, 1), ...all)).toEqual(['b', 'c']);
    expect(await effects(at(10), at(12, 0), ...all)).toEqual(['b']);
    expect(await effects(at(9), at(20), ...all)).toEqual(['a', 'b', 'c', 'd', 'e']);
  });

  const part = (
    t: number,
    ids: unknown[],
    rest: Entry,
    prevOpTime: object = { ts: new Timestamp({ t: t - 1, i: 1 }), t: Long.ONE },
  ) =>
    entry(t, {
      op: 'c',
      ns: 'admin.$cmd',
      ...session,
      prevOpTime,
      o: { applyOps: ids.map(operation), ...rest },
    });
  const commit = (t: number) =>
    entry(t, {
      op: 'c',
      ns: 'admin.$cmd',
      ...session,
      o: { commitTransaction: 1, commitTimestamp: new Timestamp({ t, i: 1 }) },
    });

  test('takes a transaction when it commits, whatever lies between its parts', async () => {
    const parts = [part(11, [1, 2], { partialTxn: true }, never), insert(12, 'between'), part(13, [3], {})];
    expect(await effects(at(10), at(20), ...parts)).toEqual(['between', 1, 2, 3]);
    expect(await effects(at(10), at(12), ...parts)).toEqual(['between']);
  });

  test('takes a prepared transaction that began before the backup and commits after it', async () => {
    const prepared = [part(8, [1], { partialTxn: true }, never), part(9, [2], { prepare: true })];
    expect(await effects(at(10), at(20), ...prepared, insert(11, 'between'), commit(12))).toEqual([
      'between',
      1,
      2,
    ]);
    expect(await effects(at(10), at(11), ...prepared, insert(11, 'between'), commit(12))).toEqual([
      'between',
    ]);
    const abort = entry(12, { op: 'c', ns: 'admin.$cmd', ...session, o: { abortTransaction: 1 } });
    expect(await effects(at(10), at(20), ...prepared, abort)).toEqual([]);
    // What had committed before the backup is in it already.
    expect(await effects(at(12), at(20), ...prepared, commit(12), insert(13, 'later'))).toEqual(['later']);
  });

  test('refuses a transaction of which a part is missing, rather than to take half of it', async () => {
    await expect(effects(at(10), at(20), part(13, [3], {}))).rejects.toThrow(/began before the first slice/);
    await expect(effects(at(10), at(20), commit(13))).rejects.toThrow(/began before the first slice/);
  });

  test('takes writes that were batched, and are no transaction, at once', async () => {
    const batched = entry(11, {
      op: 'c',
      ns: 'admin.$cmd',
      ...session,
      multiOpType: 1,
      prevOpTime: { ts: new Timestamp({ t: 9, i: 1 }), t: Long.ONE },
      o: { applyOps: [operation(1), operation(2)] },
    });
    expect(await effects(at(10), at(20), batched)).toEqual([1, 2]);
  });
});

describe('a slice', () => {
  const kept = (filter: NamespaceFilter, ...entries: Entry[]) => {
    const run = Buffer.concat(entries.map((each, i) => entry(10 + i, each)));
    const { data } = keepEntries({ data: run, count: entries.length }, sliceSelection(filter));
    const found: Entry[] = [];
    for (let i = 0; i < data.length; i += data.readInt32LE(i))
      found.push(BSON.deserialize(data.subarray(i, i + data.readInt32LE(i))));
    return found;
  };
  const write = (ns: string) => ({ op: 'i', ns, o: { _id: ns } });
  const command = (db: string, o: Entry) => ({ op: 'c', ns: `${db}.$cmd`, o });

  test('keeps documents of what the policy takes, and what happens to any collection of its databases', () => {
    const filter = { databases: [], include: ['shop.*'], exclude: ['shop.secret*', 'slipway_drill_*'] };
    const names = [
      'shop.orders',
      'shop.secrets',
      'other.orders',
      'slipway_drill_ab_shop.orders',
      'config.transactions',
      'shop.system.views',
      'shop.system.buckets.weather',
      'shop.tmp.agg_out.1',
      'shop.__slipway_restore_x_0',
      'admin.system.users',
      'local.x',
    ];
    expect(kept(filter, ...names.map(write)).map(({ ns }) => ns)).toEqual([
      'shop.orders',
      'shop.system.views',
      'shop.system.buckets.weather',
      'shop.tmp.agg_out.1',
      'shop.__slipway_restore_x_0',
    ]);
    const commands = [
      command('shop', { drop: 'secrets' }),
      command('other', { drop: 'x' }),
      { op: 'n', ns: '', o: {} },
    ];
    expect(kept(filter, ...commands)).toHaveLength(1);
    expect(kept({}, ...names.map(write))).toHaveLength(8);
  });

  test('keeps of a transaction what it takes, and the rest of it byte for byte', () => {
    const applyOps = [write('shop.orders'), write('shop.secrets'), command('shop', { create: 'x' })];
    const mixed = {
      op: 'c',
      ns: 'admin.$cmd',
      ...session,
      o: { applyOps, partialTxn: true },
      last: { 2: 'b', 1: 'a' },
    };
    const [found] = kept({ exclude: ['shop.secrets'] }, mixed);
    expect(found).toMatchObject({
      lsid: session.lsid,
      txnNumber: 7,
      o: { applyOps: [applyOps[0], applyOps[2]], partialTxn: true },
    });
    expect(kept({ databases: ['other'] }, mixed)).toMatchObject([{ o: { applyOps: [], partialTxn: true } }]);
  });

  test('is read in whole documents, however its bytes come, and a cut one is found out', async () => {
    const all = Buffer.concat([insert(10, 'a'), insert(11, 'b'.repeat(100)), insert(12, 'c')]);
    const read = async (bytes: Buffer, size: number) => {
      const parts: Buffer[] = [];
      let count = 0;
      for await (const run of documentRuns(inOneMemory(cut(bytes, size)))) {
        parts.push(run.data);
        count += run.count;
      }
      return { count, same: Buffer.concat(parts).equals(bytes) };
    };
    for (const size of [1, 2, 3, 7, 50, 10_000])
      expect(await read(all, size)).toEqual({ count: 3, same: true });
    for (let end = 1; end < all.length; end++) {
      if ([insert(10, 'a').length, all.length - insert(12, 'c').length].includes(end)) continue;
      await expect(read(all.subarray(0, end), 11)).rejects.toThrow(/truncated/);
    }
    await expect(read(Buffer.from([3, 0, 0, 0, 0, 0, 0, 0]), 8)).rejects.toThrow(/damaged/);
  });
});

describe('collections in the course of an oplog', () => {
  const json = (value: unknown) => parseExtendedJson(JSON.stringify(value));
  const item = (source: string, number: number): RestoreItem => ({
    number,
    source,
    sourceData: source,
    kind: 'collection',
    db: 'shop',
    collection: source.slice(5),
    staging: `s_${number}`,
    options: new Map(),
    indexes: [json({ name: '_id_', key: { _id: 1 } })],
    documents: 0,
    bytes: 0,
    contentSum: '',
    replaces: undefined,
  });
  function course(
    follows: (name: string) => boolean = () => true,
    rename: (name: string) => string = (name) => name,
  ) {
    const done: string[] = [];
    const hands: StagingHands = {
      create: async ({ source, staging }) => void done.push(`create ${source} as ${staging}`),
      drop: async ({ source }) => void done.push(`drop ${source}`),
      modify: async ({ source }, change) => void done.push(`modify ${source} ${[...change.keys()].join()}`),
    };
    const definitions = new Definitions({
      id: 'r',
      items: [item('shop.a', 0), item('shop.b', 1)],
      follows,
      rename,
      hands,
    });
    const run = (name: string, o: unknown) => definitions.command(name, 'shop', json(o));
    return {
      definitions,
      done,
      run,
      names: () => definitions.items.map(({ source, staging }) => `${source}=${staging}`),
    };
  }

  test('keep their staging when they are renamed, and free the name they take', async () => {
    const { run, done, names, definitions } = course();
    await run('renameCollection', { renameCollection: 'shop.a', to: 'shop.b', dropTarget: true });
    expect(names()).toEqual(['shop.b=s_0']);
    expect(done).toEqual(['drop shop.b']);
    expect(definitions.staged('shop.a')).toBeUndefined();
    expect(definitions.staged('shop.b')?.collection).toBe('b');
  });

  test('leave when they are renamed to what is not followed, and cannot come from there', async () => {
    const { run, done, names } = course((name) => name !== 'shop.out');
    await run('renameCollection', { renameCollection: 'shop.a', to: 'shop.out' });
    expect([names(), done]).toEqual([['shop.b=s_1'], ['drop shop.a']]);
    await expect(run('renameCollection', { renameCollection: 'shop.out', to: 'shop.in' })).rejects.toThrow(
      'shop.in was made by renaming shop.out, whose documents are not in the backup and its slices',
    );
  });

  test('that are dropped and made anew are others', async () => {
    const { run, names, definitions } = course();
    await run('drop', { drop: 'a' });
    await run('create', {
      create: 'a',
      capped: true,
      size: 4096,
      idIndex: { name: '_id_', key: { _id: 1 } },
    });
    expect(names()).toEqual(['shop.a=__slipway_restore_r_2', 'shop.b=s_1']);
    expect([...(definitions.staged('shop.a')?.options.keys() ?? [])]).toEqual(['capped', 'size']);
    await run('dropDatabase', { dropDatabase: 1 });
    expect(names()).toEqual([]);
  });

  test('have their indexes as they were last, and expire only when they are live', async () => {
    const { run, definitions, done } = course();
    await run('createIndexes', {
      createIndexes: 'a',
      v: 2,
      key: { x: 1 },
      name: 'x_1',
      expireAfterSeconds: 5,
    });
    await run('collMod', { collMod: 'a', index: { name: 'x_1', expireAfterSeconds: 9 } });
    await run('commitIndexBuild', { commitIndexBuild: 'a', indexes: [{ v: 2, key: { y: 1 }, name: 'y_1' }] });
    await run('dropIndexes', { dropIndexes: 'a', index: 'y_1' });
    await run('collMod', { collMod: 'a', expireAfterSeconds: 100 });
    await run('collMod', { collMod: 'a', validator: { a: 1 } });
    const { indexes, options } = definitions.staged('shop.a') as RestoreItem;
    expect(indexes.map((index) => index.get('name'))).toEqual(['_id_', 'x_1']);
    expect(Number(indexes[1]?.get('expireAfterSeconds'))).toBe(9);
    expect(Number(options.get('expireAfterSeconds'))).toBe(100);
    expect(done).toEqual(['modify shop.a validator']);
  });

  test('refuse what cannot be repeated', async () => {
    const { run } = course();
    await expect(run('importCollection', { importCollection: 'a' })).rejects.toThrow(
      'the oplog holds "importCollection" of shop.a, which a replay cannot repeat',
    );
    await expect(run('create', { create: 'a' })).rejects.toThrow(/which is there already/);
  });

  test('of a time-series get the index that was asked for', () => {
    const options = json({ timeseries: { timeField: 't', metaField: 'm' } });
    const asked = (key: object, more = {}) =>
      timeseriesIndex(options, json({ name: 'i', key, ...more }), 'shop.w').get('key');
    expect([
      ...(asked({ 'meta.k': 1, 'control.max.t': -1, 'control.min.t': -1 }) as Map<string, unknown>).keys(),
    ]).toEqual(['m.k', 't']);
    expect([...(asked({ meta: 1 }) as Map<string, unknown>).keys()]).toEqual(['m']);
    expect([
      ...(asked({ x: 1 }, { originalSpec: { key: { wind: 1 }, name: 'i' } }) as Map<string, unknown>).keys(),
    ]).toEqual(['wind']);
    expect(() => asked({ 'data.x': 1 })).toThrow(/cannot be replayed: its key data\.x is not known/);
  });
});
