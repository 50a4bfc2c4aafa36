// Applies oplog entries to staging collections: by the server's applyOps, many at a time; what fails in company is tried
// again alone. And keeps the parts of transactions together until they commit.
import { BSON, type Document, type MongoClient, MongoServerError } from 'mongodb';
import { parseExtendedJson, serializeOrdered, toExtendedJson } from '../bson/extended-json.ts';
import { bsonType, elements, field, type RawElement } from '../bson/raw.ts';

/** The oplog holds something that cannot be repeated on staging collections. */
export class OplogReplayError extends Error {
  override name = 'OplogReplayError';
}

const maxBatchEntries = 500;
const maxBatchBytes = 4 << 20;

/** The parts of an entry that decide what it does; values are views into its bytes. */
export interface Operation {
  op: string;
  ns: string;
  o: Buffer;
  o2: RawElement | undefined;
}

/** @throws OplogReplayError when it is no oplog entry */
export function operationOf(entry: Buffer): Operation {
  let op = '';
  let ns = '';
  let o: Buffer | undefined;
  let o2: RawElement | undefined;
  for (const element of elements(entry)) {
    if (element.name === 'op') op = element.value.toString('utf8', 4, element.value.length - 1);
    else if (element.name === 'ns') ns = element.value.toString('utf8', 4, element.value.length - 1);
    else if (element.name === 'o') o = element.value;
    else if (element.name === 'o2') o2 = element;
  }
  if (!o) throw new OplogReplayError('an oplog entry without content');
  return { op, ns, o, o2 };
}

/** A command is named by the first field of its content. */
export function commandName(o: Buffer): string {
  for (const { name } of elements(o)) return name;
  return '';
}

export interface WriterOptions {
  /** A change of a document that is not there is an error, not its making. */
  strict: boolean;
}

/** Collects writes and applies them in their order. */
export class OperationWriter {
  readonly #client: MongoClient;
  readonly #options: Document;
  #batch: Document[] = [];
  #bytes = 0;

  constructor(client: MongoClient, { strict }: WriterOptions) {
    this.#client = client;
    // Documents were taken by the source as they are, whatever its validators were at the time.
    this.#options = { bypassDocumentValidation: true, ...(strict && { alwaysUpsert: false }) };
  }

  /** Takes a write; `ns` is where it goes. @throws OplogReplayError when the server refuses one */
  async write({ op, o, o2 }: Operation, ns: string): Promise<void> {
    const entry = {
      op,
      ns,
      o: decoded(o, ns),
      ...(o2?.type === bsonType.document && { o2: decoded(o2.value, ns) }),
    };
    this.#batch.push(entry);
    this.#bytes += o.length;
    if (this.#batch.length >= maxBatchEntries || this.#bytes >= maxBatchBytes) await this.flush();
  }

  async flush(): Promise<void> {
    const batch = this.#batch;
    this.#batch = [];
    this.#bytes = 0;
    if (batch.length === 0) return;
    try {
      await this.#apply(batch);
    } catch (error) {
      if (!(error instanceof MongoServerError)) throw error;
      // Applying an entry again that the failed batch had applied gives the same state: that is what an oplog is made for.
      for (const entry of batch) await this.#applyAlone(entry);
    }
  }

  async #applyAlone(entry: Document): Promise<void> {
    try {
      await this.#apply([entry]);
    } catch (error) {
      if (!(error instanceof MongoServerError)) throw error;
      const what = `${entry['op']} of ${BSON.EJSON.stringify(entry['o2'] ?? entry['o']).slice(0, 200)}`;
      throw new OplogReplayError(
        `the server refused an oplog entry of ${entry['ns']} (${what}): ${error.message}`,
        { cause: error },
      );
    }
  }

  async #apply(entries: Document[]): Promise<void> {
    await this.#client.db('admin').command({ applyOps: entries, ...this.#options });
  }
}

/** A document for the driver to send. What it would change on the way is taken apart and put together with care. */
function decoded(document: Buffer, ns: string): Document {
  if (!needsCare(document))
    return BSON.deserialize(document, { promoteValues: false, promoteBuffers: false, bsonRegExp: true });
  const ordered = parseExtendedJson(toExtendedJson(document));
  if (!serializeOrdered(ordered).equals(document))
    throw new OplogReplayError(
      `an oplog entry of ${ns} holds a value of a type that is no longer in use and cannot be replayed`,
    );
  return ordered as unknown as Document;
}

const undefinedType = 6;
const pointerType = 12;
const symbolType = 14;
const scopedCodeType = 15;

/** JavaScript objects put number-like keys first; and some old types have no value of their own. */
function needsCare(document: Buffer, isArray = false): boolean {
  for (const { type, name, value } of elements(document)) {
    if (!isArray && (/^\d{1,10}$/.test(name) || name === '__proto__')) return true;
    if (type === undefinedType || type === pointerType || type === symbolType || type === scopedCodeType)
      return true;
    if (type === bsonType.document && needsCare(value)) return true;
    if (type === bsonType.array && needsCare(value, true)) return true;
  }
  return false;
}

/** What is known of a transaction that has not committed yet. */
interface OpenTransaction {
  operations: Buffer[];
  /** Its first part was before what is read here. */
  incomplete: boolean;
}

/** Entries of transactions, until they commit. One transaction may lie in several entries, with others between them. */
export class Transactions {
  readonly #open = new Map<string, OpenTransaction>();

  /** Takes an applyOps entry; gives the operations that happen now, in their order. */
  take(entry: Buffer, o: Buffer): Buffer[] {
    const operations = field(o, 'applyOps');
    const own = operations ? [...elements(operations.value)].map(({ value }) => Buffer.from(value)) : [];
    const key = transactionOf(entry);
    if (key === undefined) return own;
    const open = this.#open.get(key) ?? { operations: [], incomplete: !isFirstPart(entry) };
    open.operations.push(...own);
    this.#open.set(key, open);
    return isTrue(o, 'partialTxn') || isTrue(o, 'prepare') ? [] : this.#close(key);
  }

  /** @throws OplogReplayError when not all of the transaction was read */
  commit(entry: Buffer): Buffer[] {
    return this.#close(transactionOf(entry) ?? '');
  }

  /** Takes an applyOps entry that lies before what is replayed: it counts only when its transaction goes on. */
  remember(entry: Buffer, o: Buffer): void {
    if (isTrue(o, 'partialTxn') || isTrue(o, 'prepare')) this.take(entry, o);
    else this.forget(entry);
  }

  #close(key: string): Buffer[] {
    const open = this.#open.get(key);
    this.#open.delete(key);
    if (!open || open.incomplete)
      throw new OplogReplayError(
        'a transaction began before the first slice that is there, so it cannot be replayed whole; choose an earlier or a later backup',
      );
    return open.operations;
  }

  /** The transaction was aborted, or was over before what is replayed. */
  forget(entry: Buffer): void {
    this.#open.delete(transactionOf(entry) ?? '');
  }
}

/** The entries of one transaction carry the same session and number; so do retried writes, which stand alone. */
function transactionOf(entry: Buffer): string | undefined {
  const session = field(entry, 'lsid');
  const number = field(entry, 'txnNumber');
  if (!session || !number || field(entry, 'multiOpType')?.value.readInt32LE(0) === 1) return undefined;
  return `${session.value.toString('hex')}:${number.value.toString('hex')}`;
}

/** The first part points to no entry before it. */
function isFirstPart(entry: Buffer): boolean {
  const before = field(entry, 'prevOpTime');
  const ts = before?.type === bsonType.document ? field(before.value, 'ts') : undefined;
  return !ts || ts.value.every((byte) => byte === 0);
}

function isTrue(document: Buffer, name: string): boolean {
  return field(document, name)?.value[0] === 1;
}
