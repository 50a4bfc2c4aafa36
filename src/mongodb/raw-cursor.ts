// Reads a collection as raw batches. The driver's cursors decode, or at least index, every document; a command with
// `raw` hands over the server's batch as one piece of memory, and the next batch is on its way while this one is used.
import { type ClientSession, type Db, type Document, Long, type UUID } from 'mongodb';
import { bsonType, elements } from './bson/raw.ts';
import { type DocumentRun, packDocuments } from './kernels.ts';

export interface RawFind {
  /** A name, or the collection's UUID: a read by name of a dropped collection is empty, by UUID it is an error. */
  collection: string | UUID;
  filter?: Document;
  sort?: Document;
  hint?: Document;
  readConcern?: Document;
  /** Further fields of the find command. */
  extra?: Document;
  /** Runs come with their sums. */
  sums?: boolean;
  session?: ClientSession;
  signal?: AbortSignal;
}

/** Batches are asked for in this size; a single document may be larger. */
export const batchBytes = 1024 * 1024;
/** Above this size of a batch the next one is not fetched ahead, to bound memory. */
const prefetchLimit = 4 * 1024 * 1024;
const maxBatchDocuments = 20_000;
const firstBatchDocuments = 101;

interface Batch {
  cursorId: bigint;
  namespace: string;
  array: Buffer;
}

/**
 * The collection's documents in runs of about {@link batchBytes}: the first batch is small, then the size seen decides.
 * Leaving the loop early closes the server's cursor.
 */
export async function* rawFind(db: Db, find: RawFind): AsyncGenerator<DocumentRun> {
  const { session, signal, sums = false } = find;
  const send = (command: Document) =>
    db.command(command, { raw: true, ...(session && { session }), ...(signal && { signal }) });
  let batch = parseReply(await send(findCommand(find)));
  let next: Promise<Document> | undefined;
  try {
    for (;;) {
      const run = packDocuments(batch.array, { sums });
      batch.array = Buffer.alloc(0);
      const getMore = {
        getMore: Long.fromBigInt(batch.cursorId),
        collection: collectionOf(batch),
        batchSize: sizeAfter(run),
      };
      if (batch.cursorId !== 0n && run.data.length <= prefetchLimit) {
        next = send(getMore);
        next.catch(() => undefined); // awaited below, in its turn
      }
      if (run.count > 0) yield run;
      if (batch.cursorId === 0n) return;
      const reply = await (next ?? send(getMore));
      next = undefined;
      batch = parseReply(reply);
    }
  } finally {
    if (next) await next.then((reply) => (batch = parseReply(reply))).catch(() => undefined);
    if (batch.cursorId !== 0n) await killCursor(db, batch, session);
  }
}

function sizeAfter({ data, count }: DocumentRun): number {
  if (count === 0) return firstBatchDocuments;
  return Math.min(maxBatchDocuments, Math.max(1, Math.floor((batchBytes * count) / data.length)));
}

function collectionOf({ namespace }: Batch): string {
  return namespace.slice(namespace.indexOf('.') + 1);
}

function findCommand(find: RawFind): Document {
  const { filter = {}, sort, hint, readConcern, extra } = find;
  return {
    find: find.collection,
    filter,
    ...(sort && { sort }),
    ...(hint && { hint }),
    batchSize: firstBatchDocuments,
    ...(readConcern && { readConcern }),
    ...extra,
  };
}

async function killCursor(db: Db, batch: Batch, session?: ClientSession): Promise<void> {
  await db
    .command(
      { killCursors: collectionOf(batch), cursors: [Long.fromBigInt(batch.cursorId)] },
      session ? { session } : {},
    )
    .catch(() => undefined); // the session's end closes it as well
}

function parseReply(reply: Document): Batch {
  const batch: Batch = { cursorId: 0n, namespace: '', array: Buffer.alloc(0) };
  for (const { type, name, value } of elements(reply['cursor'] as Buffer)) {
    if (name === 'id' && type === bsonType.int64) batch.cursorId = value.readBigInt64LE(0);
    else if (name === 'ns') batch.namespace = value.toString('utf8', 4, value.length - 1);
    else if (name === 'firstBatch' || name === 'nextBatch') batch.array = value.subarray(4, -1);
    else if (name === 'partialResultsReturned' && value[0] === 1)
      throw new Error('a shard did not answer: the result is partial');
  }
  return batch;
}

/** All documents of a command's cursor (listCollections, listIndexes), each as its own bytes. */
export async function* rawCommandCursor(
  db: Db,
  command: Document,
  signal?: AbortSignal,
): AsyncGenerator<Buffer> {
  const options = { raw: true, ...(signal && { signal }) };
  let batch = parseReply(await db.command(command, options));
  for (;;) {
    for (const { value } of elementsOfArray(batch.array)) yield value;
    if (batch.cursorId === 0n) return;
    const getMore = { getMore: Long.fromBigInt(batch.cursorId), collection: collectionOf(batch) };
    batch = parseReply(await db.command(getMore, options));
  }
}

function* elementsOfArray(body: Buffer): Generator<{ value: Buffer }> {
  const head = Buffer.alloc(4);
  head.writeInt32LE(body.length + 5);
  yield* elements(Buffer.concat([head, body, Buffer.alloc(1)]));
}
