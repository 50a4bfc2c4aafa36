// Inserts documents as the bytes they are, and says which of them the server did not take.
import { BSON, type Db, type Document } from 'mongodb';
import { bsonType, documentsOf, elements, field, rawDocument, rawElement } from './bson/raw.ts';
import { RawSequence } from './raw-sequence.ts';

/** The server takes at most so many documents in one command. */
export const maxInsertDocuments = 100_000;

/** A document that the server did not take. */
export interface FailedDocument {
  namespace: string;
  /** Its `_id` as Extended JSON. */
  id: string;
  code: number;
  message: string;
}

export interface RawInsert {
  db: Db;
  collection: string;
  /** Whole documents, one after the other; the pieces may be cut anywhere. */
  pieces: readonly Buffer[];
  ordered: boolean;
  /** The server replaces a zero timestamp at the top level by its clock unless told not to, which it learned in 8.0. */
  keepsZeroTimestamps: boolean;
  /** What {@link mayHoldZeroTimestamp} says of these documents, where that is known. */
  mayHoldZeroTimestamp?: boolean;
  signal?: AbortSignal;
}

/** Inserts, and gives every document that was not taken. */
export async function rawInsert(insert: RawInsert): Promise<FailedDocument[]> {
  const { db, collection, pieces, ordered, keepsZeroTimestamps, signal } = insert;
  const documents = new RawSequence('documents');
  for (const piece of pieces) documents.add(piece);
  const command = {
    insert: collection,
    documents,
    ordered,
    bypassDocumentValidation: true,
    ...(keepsZeroTimestamps && { bypassEmptyTsReplacement: true }),
    writeConcern: { w: 1 },
  };
  const reply = await db.command(command, signal ? { signal } : {});
  const failed = failures(`${db.databaseName}.${collection}`, reply, pieces);
  if (keepsZeroTimestamps || insert.mayHoldZeroTimestamp === false) return failed;
  return [...failed, ...(await restoreZeroTimestamps(insert))];
}

function failures(namespace: string, reply: Document, pieces: readonly Buffer[]): FailedDocument[] {
  const errors = (reply['writeErrors'] ?? []) as { index: number; code: number; errmsg: string }[];
  if (errors.length === 0) return [];
  const byIndex = new Map(errors.map((error) => [error.index, error]));
  const failed: FailedDocument[] = [];
  let index = 0;
  for (const document of documentsOf(joined(pieces))) {
    const error = byIndex.get(index++);
    if (error) failed.push({ namespace, id: idOf(document), code: error.code, message: error.errmsg });
  }
  return failed;
}

function joined(pieces: readonly Buffer[]): Buffer {
  const [first] = pieces;
  return pieces.length === 1 && first ? first : Buffer.concat(pieces);
}

function idOf(document: Buffer): string {
  const id = field(document, '_id');
  if (!id) return 'none';
  const { v } = BSON.deserialize(rawDocument(rawElement(id.type, 'v', id.value)), { promoteValues: false });
  return BSON.EJSON.stringify(v, { relaxed: false });
}

const eightZeros = Buffer.alloc(8);

/** Puts back the documents whose zero timestamps the insert has replaced. */
async function restoreZeroTimestamps({
  db,
  collection,
  pieces,
  signal,
}: RawInsert): Promise<FailedDocument[]> {
  const touched = [...documentsWithZeroTimestamp(joined(pieces))];
  if (touched.length === 0) return [];
  const updates = new RawSequence('updates');
  for (const document of touched) updates.add(replacement(document));
  const command = {
    update: collection,
    updates,
    ordered: false,
    bypassDocumentValidation: true,
    writeConcern: { w: 1 },
  };
  const reply = await db.command(command, signal ? { signal } : {});
  return failures(`${db.databaseName}.${collection}`, reply, touched);
}

/** A quick look at whole documents: `false` is certain. */
export function mayHoldZeroTimestamp(documents: Buffer): boolean {
  return zeroTimestampFrom(documents, 0) >= 0;
}

/** Documents with a field at the top level that is a zero timestamp. */
function* documentsWithZeroTimestamp(run: Buffer): Generator<Buffer> {
  let hit = zeroTimestampFrom(run, 0);
  if (hit < 0) return;
  let start = 0;
  for (const document of documentsOf(run)) {
    const end = start + document.length;
    if (hit < end) {
      if (hasZeroTimestamp(document)) yield document;
      hit = zeroTimestampFrom(run, end);
      if (hit < 0) return;
    }
    start = end;
  }
}

/** Where the next bytes lie that look like one: its type, a name, the zero after that, eight zeros. */
function zeroTimestampFrom(run: Buffer, from: number): number {
  let type = run.indexOf(bsonType.timestamp, from);
  while (type >= 0) {
    const nameEnd = run.indexOf(0, type + 1);
    if (nameEnd < 0 || nameEnd + 9 > run.length) return -1;
    if (run.readUInt32LE(nameEnd + 1) === 0 && run.readUInt32LE(nameEnd + 5) === 0) return type;
    type = run.indexOf(bsonType.timestamp, nameEnd + 1);
  }
  return -1;
}

function hasZeroTimestamp(document: Buffer): boolean {
  for (const { type, name, value } of elements(document)) {
    if (type === bsonType.timestamp && name !== '_id' && value.equals(eightZeros)) return true;
  }
  return false;
}

/** `{q: {_id: {$eq: id}}, u: [{$replaceWith: {$literal: document}}]}` around the document's own bytes. */
function replacement(document: Buffer): Buffer {
  const id = field(document, '_id');
  if (!id) throw new Error('a document without _id');
  const query = rawDocument(
    rawElement(bsonType.document, '_id', rawDocument(rawElement(id.type, '$eq', id.value))),
  );
  const literal = rawDocument(rawElement(bsonType.document, '$literal', document));
  const stage = rawDocument(rawElement(bsonType.document, '$replaceWith', literal));
  return rawDocument(
    rawElement(bsonType.document, 'q', query),
    rawElement(bsonType.array, 'u', rawDocument(rawElement(bsonType.document, '0', stage))),
  );
}
