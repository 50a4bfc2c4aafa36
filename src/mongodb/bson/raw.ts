// Reading and building BSON without decoding it, so that no value, type or order is lost on the way.

export const bsonType = {
  double: 0x01,
  string: 0x02,
  document: 0x03,
  array: 0x04,
  int32: 0x10,
  timestamp: 0x11,
  int64: 0x12,
} as const;

/** One field of a document; `value` is a view into the document's bytes. */
export interface RawElement {
  type: number;
  name: string;
  value: Buffer;
}

/** Smallest possible document: its length and the final zero. */
export const minDocumentLength = 5;

const fixedLengths: Readonly<Record<number, number>> = {
  [bsonType.double]: 8,
  6: 0,
  7: 12,
  8: 1,
  9: 8,
  10: 0,
  [bsonType.int32]: 4,
  [bsonType.timestamp]: 8,
  [bsonType.int64]: 8,
  19: 16,
  127: 0,
  255: 0,
};

function cstringEnd(bytes: Buffer, from: number): number {
  const end = bytes.indexOf(0, from);
  if (end < 0) throw new Error('BSON name without an end');
  return end;
}

function valueLength(type: number, bytes: Buffer, at: number): number {
  const fixed = fixedLengths[type];
  if (fixed !== undefined) return fixed;
  switch (type) {
    case bsonType.string:
    case 13:
    case 14:
      return 4 + bytes.readInt32LE(at);
    case bsonType.document:
    case bsonType.array:
    case 15:
      return bytes.readInt32LE(at);
    case 5:
      return 5 + bytes.readInt32LE(at);
    case 11:
      return cstringEnd(bytes, cstringEnd(bytes, at) + 1) + 1 - at;
    case 12:
      return 4 + bytes.readInt32LE(at) + 12;
    default:
      throw new Error(`unknown BSON type 0x${type.toString(16)}`);
  }
}

/**
 * The fields of a document in their order.
 * @throws Error when the bytes are not a well-formed document at this level
 */
export function* elements(document: Uint8Array): Generator<RawElement> {
  const bytes = asBuffer(document);
  const end = bytes.length - 1;
  if (bytes.length < minDocumentLength || bytes.readInt32LE(0) !== bytes.length || bytes[end] !== 0) {
    throw new Error('not a BSON document: its length or its end is wrong');
  }
  let at = 4;
  while (at < end) {
    const type = bytes.readUInt8(at);
    const nameEnd = cstringEnd(bytes, at + 1);
    const start = nameEnd + 1;
    const length = valueLength(type, bytes, start);
    if (length < 0 || start + length > end) throw new Error('BSON value longer than its document');
    yield {
      type,
      name: bytes.toString('utf8', at + 1, nameEnd),
      value: bytes.subarray(start, start + length),
    };
    at = start + length;
  }
}

/** The first field of this name, or undefined. */
export function field(document: Uint8Array, name: string): RawElement | undefined {
  for (const element of elements(document)) if (element.name === name) return element;
  return undefined;
}

/** A string field's text; undefined when it is missing or no string. */
export function stringField(document: Uint8Array, name: string): string | undefined {
  const element = field(document, name);
  return element?.type === bsonType.string ? stringValue(element) : undefined;
}

/** The text of a string element. */
export function stringValue(element: RawElement): string {
  return element.value.toString('utf8', 4, element.value.length - 1);
}

/** Bytes of one field. */
export function rawElement(type: number, name: string, value: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from([type]), Buffer.from(`${name}\0`), value]);
}

/** Bytes of a document (or array) that consists of these fields. */
export function rawDocument(...fields: Uint8Array[]): Buffer {
  const length = fields.reduce((sum, part) => sum + part.length, minDocumentLength);
  const head = Buffer.alloc(4);
  head.writeInt32LE(length);
  return Buffer.concat([head, ...fields, Buffer.alloc(1)], length);
}

/** The documents of a packed run, as views. */
export function* documentsOf(run: Uint8Array): Generator<Buffer> {
  const bytes = asBuffer(run);
  for (let at = 0; at < bytes.length; ) {
    const length = bytes.readInt32LE(at);
    yield bytes.subarray(at, at + length);
    at += length;
  }
}

/** The same memory as a Buffer, without a copy. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
