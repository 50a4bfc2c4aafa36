// Inserts documents as the bytes they are. The driver has no public way for that, but the class with which it builds its
// own batches takes serialized documents; a missing or changed class is noticed here, at the start.
import { BSON, type ClientSession, type Db, type Document } from 'mongodb';
// @ts-expect-error: not described by types
import * as commands from 'mongodb/lib/cmap/commands.js';
import { bsonType, documentsOf, elements, field, rawDocument, rawElement } from './bson/raw.ts';

interface DocumentSequence {
  push(document: object, bytes: Uint8Array): number;
}

const { DocumentSequence } = commands as { DocumentSequence?: new (field: string) => DocumentSequence };
if (typeof DocumentSequence?.prototype.push !== 'function') {
  throw new Error(
    'this version of the mongodb driver cannot send documents as they are; slipway is built for 7.9.0',
  );
}
const Sequence = DocumentSequence;

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
  /** Runs of whole documents. */
  runs: readonly Buffer[];
  ordered: boolean;
  /** The server replaces a zero timestamp at the top level by its clock unless told not to, which it learned in 8.0. */
  keepsZeroTimestamps: boolean;
  session?: ClientSession;
  signal?: AbortSignal;
}

/** Inserts, and gives every document that was not taken. */
export async function rawInsert(insert: RawInsert): Promise<FailedDocument[]> {
  const { db, collection, runs, ordered, keepsZeroTimestamps, signal } = insert;
  const documents = new Sequence('documents');
  for (const run of runs) documents.push({}, run);
  const command = {
    insert: collection,
    documents,
    ordered,
    bypassDocumentValidation: true,
    ...(keepsZeroTimestamps && { bypassEmptyTsReplacement: true }),
    writeConcern: { w: 1 },
  };
  const reply = await db.command(command, signal ? { signal } : {});
  const failed = failures(`${db.databaseName}.${collection}`, reply, runs);
  if (keepsZeroTimestamps) return failed;
  return [...failed, ...(await restoreZeroTimestamps(insert))];
}

function failures(namespace: string, reply: Document, runs: readonly Buffer[]): FailedDocument[] {
  const errors = (reply['writeErrors'] ?? []) as { index: number; code: number; errmsg: string }[];
  if (errors.length === 0) return [];
  const byIndex = new Map(errors.map((error) => [error.index, error]));
  const failed: FailedDocument[] = [];
  let index = 0;
  for (const run of runs) {
    for (const document of documentsOf(run)) {
      const error = byIndex.get(index++);
      if (error) failed.push({ namespace, id: idOf(document), code: error.code, message: error.errmsg });
    }
  }
  return failed;
}

function idOf(document: Buffer): string {
  const id = field(document, '_id');
  if (!id) return 'none';
  const { v } = BSON.deserialize(rawDocument(rawElement(id.type, 'v', id.value)), { promoteValues: false });
  return BSON.EJSON.stringify(v, { relaxed: false });
}

const nineZeros = Buffer.alloc(9);
const eightZeros = Buffer.alloc(8);

/** Puts back the documents whose zero timestamps the insert has replaced. */
async function restoreZeroTimestamps({ db, collection, runs, signal }: RawInsert): Promise<FailedDocument[]> {
  const touched = runs.flatMap((run) => [...documentsWithZeroTimestamp(run)]);
  if (touched.length === 0) return [];
  const updates = new Sequence('updates');
  for (const document of touched) updates.push({}, replacement(document));
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

/** A zero timestamp lies after the zero of its name: nine zeros in a row are searched first, because that is quick. */
function* documentsWithZeroTimestamp(run: Buffer): Generator<Buffer> {
  let hit = run.indexOf(nineZeros);
  if (hit < 0) return;
  let start = 0;
  for (const document of documentsOf(run)) {
    const end = start + document.length;
    if (hit < end && hasZeroTimestamp(document)) yield document;
    if (hit < end) hit = run.indexOf(nineZeros, end);
    if (hit < 0) return;
    start = end;
  }
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
