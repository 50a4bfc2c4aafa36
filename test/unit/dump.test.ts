import { BSON, Timestamp } from 'mongodb';
import { describe, expect, it } from 'vitest';
import { DumpError } from '../../src/mongodb/dump/consistency.ts';
import { namespaceMatcher, namespaceSelector } from '../../src/mongodb/dump/listing.ts';
import { entryTime, selectEntries } from '../../src/mongodb/dump/oplog.ts';
import { Throttle } from '../../src/mongodb/throttle.ts';

const ts = new Timestamp({ t: 7, i: 3 });
const run = (...entries: object[]) => ({
  data: Buffer.concat(entries.map((entry) => BSON.serialize({ ts, ...entry }))),
  count: entries.length,
});
const shopOnly = namespaceSelector({ databases: ['shop'] });
const selected = (...entries: object[]) => {
  const { data, count } = selectEntries(run(...entries), shopOnly);
  const documents: BSON.Document[] = [];
  for (let at = 0; at < data.length; at += data.readInt32LE(at)) {
    documents.push(BSON.deserialize(data.subarray(at, at + data.readInt32LE(at))));
  }
  expect(documents).toHaveLength(count);
  return documents;
};

describe('which namespaces are taken', () => {
  it('patterns mean what they say: a star for any text, everything else itself', () => {
    const matches = namespaceMatcher(['shop.*', 'log.2026-*.raw', 'a.b+c']);
    expect(['shop.orders', 'shop.a.b', 'log.2026-01.raw', 'a.b+c'].map(matches)).toEqual([
      true,
      true,
      true,
      true,
    ]);
    expect(['shopX.orders', 'xshop.orders', 'log.2026-01.rawx', 'a.bbc', 'aXb+c'].map(matches)).toEqual(
      Array(5).fill(false),
    );
  });

  it('nothing given takes everything; exclude wins over include', () => {
    expect(namespaceSelector({})('any', 'thing')).toBe(true);
    const takes = namespaceSelector({ include: ['shop.*'], exclude: ['shop.tmp*'] });
    expect([takes('shop', 'orders'), takes('shop', 'tmp1'), takes('other', 'x')]).toEqual([
      true,
      false,
      false,
    ]);
  });
});

describe('oplog entries of a dump', () => {
  it('are those of the chosen namespaces, time-series by the name of their buckets', () => {
    const kept = selected(
      { op: 'i', ns: 'shop.orders', o: { _id: 1 } },
      { op: 'i', ns: 'other.x', o: { _id: 1 } },
      { op: 'u', ns: 'shop.system.buckets.events', o: {}, o2: { _id: 1 } },
      { op: 'n', ns: '', o: { msg: 'periodic noop' } },
    );
    expect(kept.map(({ ns }) => ns)).toEqual(['shop.orders', 'shop.system.buckets.events']);
  });

  it('of a transaction are reduced to the chosen namespaces, and stay, even empty, to keep the transaction whole', () => {
    const applyOps = [
      { op: 'i', ns: 'shop.orders', o: { _id: 1 } },
      { op: 'i', ns: 'other.x', o: { _id: 2 } },
    ];
    const [mixed, foreign] = selected(
      { op: 'c', ns: 'admin.$cmd', o: { applyOps } },
      { op: 'c', ns: 'admin.$cmd', o: { applyOps: applyOps.slice(1), partialTxn: true } },
    );
    expect(mixed?.['o'].applyOps).toEqual([applyOps[0]]);
    expect(foreign?.['o']).toEqual({ applyOps: [], partialTxn: true });
  });

  it('that no replay can repeat end the dump with the reason', () => {
    const rename = { op: 'c', ns: 'shop.$cmd', o: { renameCollection: 'shop.a', to: 'shop.b' } };
    expect(() => selected(rename)).toThrow(DumpError);
    expect(() => selected(rename)).toThrow(/renameCollection happened on shop\.\$cmd during the dump/);
    expect(
      selected({ ...rename, ns: 'other.$cmd', o: { renameCollection: 'other.a', to: 'other.b' } }),
    ).toEqual([]);
    expect(() => selected({ op: 'u', ns: 'admin.system.version', o: {} })).toThrow(/feature compatibility/);
  });

  it('tell their time', () => {
    expect(entryTime(run({ op: 'n' }).data)).toEqual({ t: 7, i: 3 });
  });
});

describe('the throttle', () => {
  it('refuses a limit that would never let anything through', () => {
    for (const limit of [0, -1, Number.NaN]) expect(() => new Throttle(limit)).toThrow(RangeError);
    expect(new Throttle(12.5).megabytesPerSecond).toBe(12.5);
  });

  it('does not wait without a limit, stops at a signal, and lets go when the limit is taken away', async () => {
    const throttle = new Throttle();
    await throttle.take(1e12);
    throttle.megabytesPerSecond = 0.001;
    await expect(throttle.take(1e9, AbortSignal.timeout(20))).rejects.toThrow(/abort/i);
    const waiting = new Throttle(1);
    const taken = waiting.take(1e12);
    waiting.megabytesPerSecond = undefined;
    await taken;
  });
});
