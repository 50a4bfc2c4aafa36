// Canonical Extended JSON v2 straight from BSON bytes and back. The bson package goes through JavaScript objects, which
// move number-like keys ({b: 1, 2: 1} becomes {2: 1, b: 1}); in an index key that order is the meaning.
import { BSON } from 'mongodb';
import { asBuffer, bsonType, elements, rawDocument, rawElement, type RawElement } from './raw.ts';

const { EJSON } = BSON;

/** A parsed document whose keys keep their order whatever they look like; the driver serializes it as it is. */
export type OrderedDocument = Map<string, unknown>;

/** Canonical Extended JSON, on one line, keys in their order. */
export function toExtendedJson(document: Uint8Array): string {
  const parts: string[] = [];
  for (const element of elements(document)) {
    parts.push(`${JSON.stringify(element.name)}:${valueToJson(element)}`);
  }
  return `{${parts.join(',')}}`;
}

/** An array's bytes as a JSON array. */
export function arrayToExtendedJson(array: Uint8Array): string {
  return `[${[...elements(array)].map(valueToJson).join(',')}]`;
}

function valueToJson(element: RawElement): string {
  if (element.type === bsonType.document) return toExtendedJson(element.value);
  if (element.type === bsonType.array) return arrayToExtendedJson(element.value);
  const wrapped = rawDocument(rawElement(element.type, 'v', element.value));
  const { v } = BSON.deserialize(wrapped, { promoteValues: false, bsonRegExp: true });
  return EJSON.stringify(v, { relaxed: false });
}

const typeWrappers = new Set(
  (
    '$binary $code $date $dbPointer $maxKey $minKey $numberDecimal $numberDouble $numberInt $numberLong ' +
    '$oid $regularExpression $scope $symbol $timestamp $undefined $uuid'
  ).split(' '),
);

/**
 * Parses Extended JSON (canonical or relaxed) of one document.
 * @throws SyntaxError when the text is not JSON or not an object
 */
export function parseExtendedJson(text: string): OrderedDocument {
  const value = toBson(new Parser(text).parse());
  if (!(value instanceof Map)) throw new SyntaxError('not a JSON object');
  return value as OrderedDocument;
}

/** BSON bytes of a parsed document. */
export function serializeOrdered(document: OrderedDocument): Buffer {
  return asBuffer(BSON.serialize(document, { ignoreUndefined: false, serializeFunctions: false }));
}

class Parser {
  readonly #tokens: RegExpStringIterator<RegExpExecArray>;
  readonly #length: number;
  #token = '';
  #end = 0;

  constructor(text: string) {
    this.#tokens = text.matchAll(/\s*("(?:[^"\\]|\\.)*"|[{}[\]:,]|[^\s{}[\]:,"]+)\s*/gy);
    this.#length = text.length;
    this.#advance();
  }

  parse(): unknown {
    const value = this.#value(0);
    if (this.#token !== '' || this.#end !== this.#length)
      throw new SyntaxError('unexpected text after the JSON value');
    return value;
  }

  #advance(): string {
    const taken = this.#token;
    const next = this.#tokens.next();
    this.#token = next.done ? '' : (next.value[1] ?? '');
    if (!next.done) this.#end = next.value.index + next.value[0].length;
    return taken;
  }

  #expect(token: string): void {
    if (this.#advance() !== token) throw new SyntaxError(`JSON: "${token}" expected`);
  }

  #value(depth: number): unknown {
    if (depth > 200) throw new SyntaxError('JSON nested deeper than 200 levels');
    if (this.#token === '{') return this.#object(depth);
    if (this.#token === '[') return this.#array(depth);
    return JSON.parse(this.#advance());
  }

  #array(depth: number): unknown[] {
    const items: unknown[] = [];
    this.#expect('[');
    while (this.#token !== ']') {
      if (items.length > 0) this.#expect(',');
      items.push(this.#value(depth + 1));
    }
    this.#expect(']');
    return items;
  }

  #object(depth: number): unknown {
    const fields: OrderedDocument = new Map();
    this.#expect('{');
    while (this.#token !== '}') {
      if (fields.size > 0) this.#expect(',');
      const name: unknown = JSON.parse(this.#advance());
      if (typeof name !== 'string') throw new SyntaxError('JSON: a field name must be a string');
      this.#expect(':');
      fields.set(name, this.#value(depth + 1));
    }
    this.#expect('}');
    return fields;
  }
}

/** Parsed JSON with its type wrappers turned into BSON values. */
function toBson(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(toBson);
  if (!(value instanceof Map)) return typeof value === 'number' ? numberAsBson(value) : value;
  const fields = value as OrderedDocument;
  if (isTypeWrapper(fields)) return EJSON.parse(JSON.stringify(plain(fields)), { relaxed: false });
  return new Map([...fields].map(([key, item]) => [key, toBson(item)]));
}

function isTypeWrapper(fields: OrderedDocument): boolean {
  return fields.size > 0 && [...fields.keys()].every((key) => typeWrappers.has(key));
}

function plain(value: unknown): unknown {
  if (value instanceof Map) return Object.fromEntries([...value].map(([key, item]) => [key, plain(item)]));
  return Array.isArray(value) ? value.map(plain) : value;
}

/** Bare numbers of relaxed JSON: an integer that fits becomes an int32, as with mongorestore. */
function numberAsBson(value: number): unknown {
  if (Number.isInteger(value) && Math.abs(value) <= 0x7fffffff) return new BSON.Int32(value);
  return Number.isSafeInteger(value) ? BSON.Long.fromNumber(value) : new BSON.Double(value);
}
