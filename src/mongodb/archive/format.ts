// The mongodump archive, version 0.1:
//   magic, header, one description per collection, terminator, then blocks:
//   { db, collection, EOF, CRC } document* terminator
import { BSON, Int32, Long } from 'mongodb';
import { asBuffer, bsonType, elements, type RawElement, stringValue } from '../bson/raw.ts';

export const magic = Buffer.from([0x6d, 0xe2, 0x99, 0x81]);
export const terminator = Buffer.from([0xff, 0xff, 0xff, 0xff]);
/** MongoDB allows 16 MiB for a user's document and 16 KiB more for what the server adds (an oplog entry's envelope). */
export const maxDocumentLength = 16 * 1024 * 1024 + 16 * 1024;
/** mongorestore refuses a whole archive for one document above this. */
export const maxMongorestoreDocumentLength = 16 * 1024 * 1024;
/** Bound for the descriptions together: a million collections with generous metadata. */
export const maxPreludeLength = 1024 * 1024 * 1024;

/** A namespace as the archive's blocks name it; the oplog is `{db: '', collection: 'oplog'}`. */
export interface Namespace {
  db: string;
  collection: string;
}

export interface ArchiveHeader {
  /** The most namespaces that are open at once; mongorestore starts this many workers and hangs for ever above it. */
  concurrentCollections: number;
  serverVersion: string;
  toolVersion: string;
}

export type CollectionType = 'collection' | 'view' | 'timeseries' | '';

/** What the archive says about a collection before any data. */
export interface CollectionDescription extends Namespace {
  /** Extended JSON with options, indexes, uuid, collectionName, type; empty for the oplog. */
  metadata: string;
  type: CollectionType;
}

export interface Prelude {
  header: ArchiveHeader;
  collections: CollectionDescription[];
}

/** A block's first document. */
export interface BlockHeader extends Namespace {
  eof: boolean;
  crc: bigint;
}

/** The archive's bytes are not what the format demands; the message says what and where. */
export class ArchiveCorruptError extends Error {
  override name = 'ArchiveCorruptError';
}

/** `db.collection`, the form people write. */
export function namespaceName(namespace: Namespace): string {
  return `${namespace.db}.${namespace.collection}`;
}

export function encodeHeader(header: ArchiveHeader): Buffer {
  return asBuffer(
    BSON.serialize({
      concurrent_collections: new Int32(header.concurrentCollections),
      version: '0.1',
      server_version: header.serverVersion,
      tool_version: header.toolVersion,
    }),
  );
}

export function encodeDescription(description: CollectionDescription): Buffer {
  const { db, collection, metadata, type } = description;
  return asBuffer(BSON.serialize({ db, collection, metadata, size: new Int32(0), type }));
}

export function encodeBlockHeader(namespace: Namespace, eof: boolean, crc: bigint): Buffer {
  const { db, collection } = namespace;
  return asBuffer(BSON.serialize({ db, collection, EOF: eof, CRC: Long.fromBigInt(BigInt.asIntN(64, crc)) }));
}

export function decodeHeader(document: Buffer): ArchiveHeader {
  const fields = fieldsOf(document, 'header');
  const concurrent = fields.get('concurrent_collections');
  if (concurrent?.type !== bsonType.int32)
    throw new ArchiveCorruptError('archive header: concurrent_collections is missing');
  return {
    concurrentCollections: concurrent.value.readInt32LE(0),
    serverVersion: text(fields, 'server_version', 'header'),
    toolVersion: text(fields, 'tool_version', 'header'),
  };
}

export function decodeDescription(document: Buffer): CollectionDescription {
  const fields = fieldsOf(document, 'collection description');
  const type = fields.has('type') ? text(fields, 'type', 'collection description') : '';
  if (type !== '' && type !== 'collection' && type !== 'view' && type !== 'timeseries') {
    throw new ArchiveCorruptError(`archive: unknown collection type ${JSON.stringify(type)}`);
  }
  return {
    db: text(fields, 'db', 'collection description'),
    collection: text(fields, 'collection', 'collection description'),
    metadata: text(fields, 'metadata', 'collection description'),
    type,
  };
}

export function decodeBlockHeader(document: Buffer): BlockHeader {
  const fields = fieldsOf(document, 'block header');
  for (const name of fields.keys()) {
    if (!['db', 'collection', 'EOF', 'CRC'].includes(name)) {
      throw new ArchiveCorruptError(`archive block header: unknown field ${JSON.stringify(name)}`);
    }
  }
  const eof = fields.get('EOF');
  const crc = fields.get('CRC');
  if (eof?.type !== 8 || (eof.value[0] ?? 2) > 1)
    throw new ArchiveCorruptError('archive block header: EOF is not a boolean');
  if (crc?.type !== bsonType.int64)
    throw new ArchiveCorruptError('archive block header: CRC is not an int64');
  if (eof.value[0] === 0 && crc.value.readBigUInt64LE(0) !== 0n) {
    throw new ArchiveCorruptError('archive block header: a CRC at the start of a block');
  }
  return {
    db: text(fields, 'db', 'block header'),
    collection: text(fields, 'collection', 'block header'),
    eof: eof.value[0] === 1,
    crc: crc.value.readBigUInt64LE(0),
  };
}

function fieldsOf(document: Buffer, what: string): Map<string, RawElement> {
  const fields = new Map<string, RawElement>();
  try {
    for (const element of elements(document)) {
      if (fields.has(element.name)) throw new Error(`field ${JSON.stringify(element.name)} comes twice`);
      fields.set(element.name, element);
    }
  } catch (error) {
    throw new ArchiveCorruptError(`archive ${what}: ${(error as Error).message}`, { cause: error });
  }
  return fields;
}

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function text(fields: Map<string, RawElement>, name: string, what: string): string {
  const element = fields.get(name);
  if (element?.type !== bsonType.string || element.value.at(-1) !== 0) {
    throw new ArchiveCorruptError(`archive ${what}: ${name} is not a string`);
  }
  try {
    strictUtf8.decode(element.value.subarray(4, -1));
  } catch {
    throw new ArchiveCorruptError(`archive ${what}: ${name} is not valid UTF-8`);
  }
  return stringValue(element);
}
