import { BSON } from 'mongodb';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseExtendedJson, serializeOrdered, toExtendedJson } from '../../src/mongodb/bson/extended-json.ts';
import { elements, field, rawDocument, rawElement, stringField } from '../../src/mongodb/bson/raw.ts';

const {
  Binary,
  BSONRegExp,
  Code,
  Decimal128,
  Double,
  EJSON,
  Int32,
  Long,
  MaxKey,
  MinKey,
  ObjectId,
  Timestamp,
} = BSON;

const everyType = {
  double: new Double(1),
  negativeZero: new Double(-0),
  notANumber: new Double(Number.NaN),
  infinite: new Double(Number.NEGATIVE_INFINITY),
  text: 'grüße "quoted" \\ \u2028 😀 \u0000 end',
  nested: { a: [new Int32(1), { b: [] }, 'x'], '': new Int32(0), 'with.dot': null, $dollar: true },
  binary: new Binary(Buffer.from([1, 2, 255]), 0),
  uuid: new Binary(Buffer.alloc(16, 7), 4),
  id: new ObjectId('0123456789abcdef01234567'),
  yes: true,
  date: new Date(0),
  longAgo: new Date(-62135596800000),
  nothing: null,
  pattern: new BSONRegExp('^a/b"', 'im'),
  code: new Code('return 1'),
  scoped: new Code('return x', { x: new Int32(1) }),
  int: new Int32(-5),
  stamp: new Timestamp({ t: 7, i: 9 }),
  long: Long.fromString('9007199254740993'),
  decimal: Decimal128.fromString('-1.50E+7'),
  low: new MinKey(),
  high: new MaxKey(),
};

describe('Extended JSON', () => {
  it('brings every BSON type back to the same bytes', () => {
    const bytes = Buffer.from(BSON.serialize(everyType));
    const json = toExtendedJson(bytes);
    expect(serializeOrdered(parseExtendedJson(json)).toString('hex')).toBe(bytes.toString('hex'));
  });

  it('writes what the bson package writes, for documents whose keys it does not move', () => {
    const bytes = Buffer.from(BSON.serialize(everyType));
    const decoded = BSON.deserialize(bytes, { promoteValues: false, bsonRegExp: true });
    expect(toExtendedJson(bytes)).toBe(EJSON.stringify(decoded, { relaxed: false }));
  });

  it('keeps the order of keys that look like numbers', () => {
    const index = new Map<string, unknown>([
      ['b', new Int32(1)],
      ['2', new Int32(1)],
      ['1', new Double(-1)],
    ]);
    const bytes = serializeOrdered(index);
    const json = '{"b":{"$numberInt":"1"},"2":{"$numberInt":"1"},"1":{"$numberDouble":"-1.0"}}';
    expect(toExtendedJson(bytes)).toBe(json);
    expect(serializeOrdered(parseExtendedJson(json)).equals(bytes)).toBe(true);
  });

  it('reads relaxed numbers as mongorestore does', () => {
    const parsed = parseExtendedJson('{"v": 2, "big": 5000000000, "half": 0.5}');
    expect([...elements(serializeOrdered(parsed))].map(({ type }) => type)).toEqual([0x10, 0x12, 0x01]);
  });

  it('refuses text that is not one JSON object', () => {
    for (const text of [
      '',
      '[]',
      '1',
      '{"a":1} x',
      '{"a" 1}',
      '{"a":1',
      '{"a":1,}',
      '{a:1}',
      '{"a":1}{',
      '{"a":"\u0001"}',
    ]) {
      expect(() => parseExtendedJson(text), text).toThrow(SyntaxError);
    }
  });

  it('never changes the meaning of any JSON-like document', () => {
    const value = fc.letrec<{ value: unknown }>((tie) => ({
      value: fc.oneof(
        { depthSize: 'small' },
        fc.string(),
        fc.boolean(),
        fc.constant(null),
        fc.integer().map((number) => new Int32(number)),
        fc.array(tie('value'), { maxLength: 4 }),
        fc
          .array(
            fc.tuple(
              fc.string().filter((key) => !key.startsWith('$') && !key.includes('\0')),
              tie('value'),
            ),
            { maxLength: 4 },
          )
          .map((entries) => new Map(entries)),
      ),
    })).value;
    fc.assert(
      fc.property(value, (v) => {
        const bytes = serializeOrdered(new Map([['v', v]]));
        expect(serializeOrdered(parseExtendedJson(toExtendedJson(bytes))).equals(bytes)).toBe(true);
      }),
    );
  });
});

describe('raw BSON', () => {
  it('walks over every type and finds each field', () => {
    const bytes = Buffer.from(BSON.serialize(everyType));
    expect([...elements(bytes)].map(({ name }) => name)).toEqual(Object.keys(everyType));
    expect(
      rawDocument(
        ...[...elements(bytes)].map(({ type, name, value }) => rawElement(type, name, value)),
      ).equals(bytes),
    ).toBe(true);
    expect(field(bytes, 'none')).toBeUndefined();
    expect(stringField(bytes, 'text')).toBe(everyType.text);
  });

  it('refuses a document that is cut at any byte, instead of reading beyond', () => {
    const bytes = Buffer.from(BSON.serialize(everyType));
    for (let length = 0; length < bytes.length; length++)
      expect(() => [...elements(bytes.subarray(0, length))]).toThrow();
  });
});
