import { BSON, Timestamp } from 'mongodb';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { mayHoldZeroTimestamp } from '../../src/mongodb/raw-write.ts';
import { Batch, Segments } from '../../src/mongodb/restore/batch.ts';

describe('a batch of documents', () => {
  it('holds what was added, byte for byte, whatever the sizes', () => {
    const sizes = fc.array(fc.oneof(fc.integer({ min: 5, max: 300 }), fc.integer({ min: 1, max: 700_000 })), {
      maxLength: 8,
    });
    fc.assert(
      fc.property(sizes, (lengths) => {
        const batch = new Batch(new Segments());
        const added = lengths.map((length, at) => Buffer.alloc(length, at + 1));
        for (const documents of added) batch.add(documents, 1);
        expect(Buffer.concat(batch.pieces).equals(Buffer.concat(added))).toBe(true);
        expect([batch.count, batch.bytes]).toEqual([
          lengths.length,
          lengths.reduce((sum, length) => sum + length, 0),
        ]);
        expect(batch.heldBytes).toBeGreaterThanOrEqual(batch.bytes);
      }),
      { numRuns: 50 },
    );
  });

  it('uses memory again, but only what was given back', () => {
    const memory = new Segments();
    const [first, second] = [new Batch(memory), new Batch(memory)];
    first.add(Buffer.alloc(400_000, 1), 1);
    second.add(Buffer.alloc(400_000, 2), 1);
    expect(first.segments.some((segment) => second.segments.includes(segment))).toBe(false);
    memory.giveBack(first.segments);
    const third = new Batch(memory);
    third.add(Buffer.alloc(400_000, 3), 1);
    expect(new Set(third.segments)).toEqual(new Set(first.segments));
    expect(Buffer.concat(second.pieces).every((byte) => byte === 2)).toBe(true);
  });
});

describe('the look for zero timestamps', () => {
  const zero = new Timestamp({ t: 0, i: 0 });
  const run = (...documents: object[]) =>
    Buffer.concat(documents.map((document) => BSON.serialize(document)));

  it('overlooks none, whatever the names and what stands around', () => {
    const value = fc.oneof(
      fc.integer(),
      fc.string(),
      fc.constant(new BSON.Binary(Buffer.alloc(40, 0x11))),
      fc.double({ noNaN: true }),
    );
    const name = fc.string().filter((text) => !text.includes('\0') && text !== '__proto__');
    fc.assert(
      fc.property(fc.dictionary(name, value), name, fc.dictionary(name, value), (before, field, after) => {
        const document = Object.assign(Object.create(null), before, { [field]: zero }, after, {
          [field]: zero,
        });
        expect(mayHoldZeroTimestamp(run({ a: 1 }, document, { b: 2 }))).toBe(true);
      }),
    );
  });

  it('passes over documents without one', () => {
    expect(
      mayHoldZeroTimestamp(run({ _id: 1, s: 'text', n: 0, d: 0.5 }, { t: new Timestamp({ t: 1, i: 0 }) })),
    ).toBe(false);
  });

  it('takes one look at each byte, also where every byte could begin one', () => {
    const bytes = new BSON.Binary(Buffer.alloc(8 << 20, 0x11));
    expect(mayHoldZeroTimestamp(run({ bytes }))).toBe(false);
  });
});
