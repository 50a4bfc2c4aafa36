import { BSON } from 'mongodb';
import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { contentSum, crc64, crc64Joined, packDocuments, sumsOf } from '../../src/mongodb/kernels.ts';

/** The definition, bit by bit. */
function plainCrc64(bytes: Uint8Array): bigint {
  let crc = 0xffffffffffffffffn;
  for (const byte of bytes) {
    crc ^= BigInt(byte);
    for (let bit = 0; bit < 8; bit++) crc = crc & 1n ? (crc >> 1n) ^ 0xc96c5795d7870f42n : crc >> 1n;
  }
  return crc ^ 0xffffffffffffffffn;
}

const mask = (1n << 64n) - 1n;
const rotl = (value: bigint, by: bigint) => ((value << by) | (value >> (64n - by))) & mask;
const [P1, P2, P3, P4, P5] = [
  0x9e3779b185ebca87n,
  0xc2b2ae3d27d4eb4fn,
  0x165667b19e3779f9n,
  0x85ebca77c2b2ae63n,
  0x27d4eb2f165667c5n,
] as const satisfies readonly bigint[];
const round = (acc: bigint, lane: bigint) => (rotl((acc + lane * P2) & mask, 31n) * P1) & mask;

/** XXH64 with seed 0, from its specification. */
function plainXxh64(bytes: Buffer): bigint {
  let at = 0;
  let hash: bigint = P5;
  if (bytes.length >= 32) {
    let v = [(P1 + P2) & mask, P2, 0n, (mask + 1n - P1) & mask];
    for (; at + 32 <= bytes.length; at += 32)
      v = v.map((acc, lane) => round(acc, bytes.readBigUInt64LE(at + lane * 8)));
    const [a = 0n, b = 0n, c = 0n, d = 0n] = v;
    hash = (rotl(a, 1n) + rotl(b, 7n) + rotl(c, 12n) + rotl(d, 18n)) & mask;
    for (const acc of v) hash = ((hash ^ round(0n, acc)) * P1 + P4) & mask;
  }
  hash = (hash + BigInt(bytes.length)) & mask;
  for (; at + 8 <= bytes.length; at += 8)
    hash = (rotl(hash ^ round(0n, bytes.readBigUInt64LE(at)), 27n) * P1 + P4) & mask;
  if (at + 4 <= bytes.length) {
    hash = (rotl(hash ^ ((BigInt(bytes.readUInt32LE(at)) * P1) & mask), 23n) * P2 + P3) & mask;
    at += 4;
  }
  for (; at < bytes.length; at++)
    hash = (rotl(hash ^ ((BigInt(bytes.readUInt8(at)) * P5) & mask), 11n) * P1) & mask;
  hash = ((hash ^ (hash >> 33n)) * P2) & mask;
  hash = ((hash ^ (hash >> 29n)) * P3) & mask;
  return hash ^ (hash >> 32n);
}

const bytesUpTo = (maxLength: number) => fc.uint8Array({ maxLength }).map((bytes) => Buffer.from(bytes));
const aDocument = fc
  .record({ a: fc.string({ maxLength: 60 }), b: fc.integer() })
  .map((value) => Buffer.from(BSON.serialize(value)));

describe('crc64', () => {
  it('is CRC-64/XZ: the published check value', () => {
    expect(crc64(Buffer.from('123456789'))).toBe(0x995dc9bbdf1939fan);
    expect(crc64(Buffer.alloc(0))).toBe(0n);
  });

  it('equals the bit by bit definition for any bytes', () => {
    fc.assert(fc.property(bytesUpTo(200), (bytes) => crc64(bytes) === plainCrc64(bytes)));
  });

  it('may be computed in pieces cut anywhere', () => {
    fc.assert(
      fc.property(bytesUpTo(200), fc.nat(200), (bytes, cut) => {
        return crc64(bytes.subarray(cut), crc64(bytes.subarray(0, cut))) === crc64(bytes);
      }),
    );
  });

  it('of two texts gives that of both in a row', () => {
    fc.assert(
      fc.property(bytesUpTo(200), bytesUpTo(200), (a, b) => {
        return crc64Joined(plainCrc64(a), plainCrc64(b), b.length) === plainCrc64(Buffer.concat([a, b]));
      }),
    );
    const [a, b] = [Buffer.alloc(70_001, 'a'), Buffer.alloc(3_500_001, 'slipway')];
    expect(crc64Joined(crc64(a), crc64(b), b.length)).toBe(crc64(b, crc64(a)));
  });

  it('takes inputs larger than its memory', () => {
    const large = Buffer.alloc(3_500_001, 'slipway');
    expect(crc64(large.subarray(1_700_003), crc64(large.subarray(0, 1_700_003)))).toBe(crc64(large));
  });
});

describe('contentSum', () => {
  it('is XXH64 for one document', () => {
    // A document's bytes are what is hashed, so its own length is the first word.
    fc.assert(fc.property(aDocument, (document) => contentSum(document) === plainXxh64(document)));
  });

  it('is the same for any order of the documents, and in pieces', () => {
    fc.assert(
      fc.property(fc.array(aDocument, { maxLength: 8 }), (documents) => {
        const sum = contentSum(Buffer.concat(documents));
        expect(contentSum(Buffer.concat(documents.toReversed()))).toBe(sum);
        expect(documents.reduce((before, document) => contentSum(document, before), 0n)).toBe(sum);
      }),
    );
  });
});

describe('packDocuments', () => {
  it('takes the documents out of a BSON array unchanged', () => {
    fc.assert(
      fc.property(fc.array(aDocument, { maxLength: 120 }), (documents) => {
        const array = Buffer.from(
          BSON.serialize({ v: documents.map((document) => BSON.deserialize(document)) }),
        );
        const body = array.subarray(4 + 3 + 4, -2);
        const packed = Buffer.concat(documents);
        const run = packDocuments(body, { sums: true });
        expect(run.count).toBe(documents.length);
        expect(run.data.equals(packed)).toBe(true);
        const sums = { crc: plainCrc64(packed), contentSum: contentSum(packed) };
        expect([run.sums, sumsOf(packed)]).toEqual([sums, sums]);
      }),
    );
  });

  it('refuses an array of anything else, and a cut one', () => {
    const numbers = Buffer.from(BSON.serialize({ v: [1, 2] })).subarray(11, -2);
    expect(() => packDocuments(numbers)).toThrow(/not an array of documents/);
    const one = Buffer.from(BSON.serialize({ v: [{ a: 1 }] })).subarray(11, -2);
    for (let length = 1; length < one.length; length++)
      expect(() => packDocuments(one.subarray(0, length))).toThrow(/not an array/);
  });
});
