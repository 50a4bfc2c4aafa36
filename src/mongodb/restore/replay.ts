// Replays the oplog of an archive over the staging collections, so that data read at different moments becomes the state
// of one. Entries are applied by the server's applyOps, many at a time; what fails in company is tried again alone.
import { type MongoClient, MongoServerError } from 'mongodb';
import { type OrderedDocument, parseExtendedJson, toExtendedJson } from '../bson/extended-json.ts';
import { documentsOf, field } from '../bson/raw.ts';
import { type ClusterTime, compareTimes } from '../dump/consistency.ts';
import { entryTime, splitNamespace } from '../dump/oplog.ts';
import { dataCollection } from './collections.ts';
import type { RestoreItem } from './plan.ts';

/** The oplog holds something that cannot be repeated on staging collections. */
export class OplogReplayError extends Error {
  override name = 'OplogReplayError';
}

const maxBatchEntries = 500;
const maxBatchBytes = 4 << 20;
/** Commands that change no document: indexes are built from the plan, after the replay. */
const withoutEffect = new Set([
  'startIndexBuild',
  'abortIndexBuild',
  'dropIndexes',
  'deleteIndexes',
  'collMod',
  'setMultikeyMetadata',
  'dropIdent',
]);

export class OplogReplay {
  readonly #client: MongoClient;
  /** By the name under which documents stand in the archive and in oplog entries. */
  readonly #items: Map<string, RestoreItem>;
  readonly #until: ClusterTime | undefined;
  readonly #transactions = new Map<string, OrderedDocument[]>();
  readonly #unknown = new Set<string>();
  #batch: OrderedDocument[] = [];
  #batchBytes = 0;

  /** Entries after `until` are left out. */
  constructor(client: MongoClient, items: Map<string, RestoreItem>, until?: ClusterTime) {
    this.#client = client;
    this.#items = items;
    this.#until = until;
  }

  /** Namespaces that entries wrote to and that the plan does not hold. */
  get unknown(): string[] {
    return [...this.#unknown];
  }

  /**
   * Takes a run of oplog entries, in their order.
   * @throws OplogReplayError when a collection of the plan was dropped or renamed, or the server refuses an entry
   */
  async take(run: Buffer): Promise<void> {
    for (const raw of documentsOf(run)) {
      if (this.#until && compareTimes(entryTime(raw), this.#until) > 0) continue;
      await this.#entry(parseExtendedJson(toExtendedJson(raw)), transactionOf(raw), raw.length);
    }
  }

  /** Applies what is left. Transactions that did not commit by the end did not happen. */
  finish(): Promise<void> {
    return this.#flush();
  }

  async #entry(entry: OrderedDocument, transaction: string | undefined, bytes: number): Promise<void> {
    const op = entry.get('op');
    if (op === 'i' || op === 'u' || op === 'd') await this.#write(entry, bytes);
    else if (op === 'c') await this.#command(entry, transaction, bytes);
  }

  async #write(entry: OrderedDocument, bytes: number): Promise<void> {
    const ns = String(entry.get('ns'));
    const item = this.#items.get(ns);
    if (!item) {
      this.#unknown.add(ns);
      return;
    }
    const staged = new Map<string, unknown>([
      ['op', entry.get('op')],
      ['ns', `${item.db}.${dataCollection(item, item.staging)}`],
      ['o', entry.get('o')],
    ]);
    if (entry.has('o2')) staged.set('o2', entry.get('o2'));
    this.#batch.push(staged);
    this.#batchBytes += bytes;
    if (this.#batch.length >= maxBatchEntries || this.#batchBytes >= maxBatchBytes) await this.#flush();
  }

  async #command(entry: OrderedDocument, transaction: string | undefined, bytes: number): Promise<void> {
    const o = entry.get('o') as OrderedDocument;
    const [[command, target] = ['', undefined]] = o;
    if (command === 'applyOps') await this.#transaction(o, transaction, bytes);
    else if (command === 'commitTransaction') await this.#commit(transaction, bytes);
    else if (command === 'abortTransaction') this.#transactions.delete(transaction ?? '');
    else if (!withoutEffect.has(command))
      this.#definition(command, String(target), o, String(entry.get('ns')));
  }

  async #transaction(o: OrderedDocument, transaction: string | undefined, bytes: number): Promise<void> {
    const writes = o.get('applyOps') as OrderedDocument[];
    if (transaction === undefined) {
      for (const write of writes) await this.#entry(write, undefined, bytes / writes.length);
      return;
    }
    const collected = this.#transactions.get(transaction) ?? [];
    this.#transactions.set(transaction, [...collected, ...writes]);
    if (o.get('partialTxn') !== true && o.get('prepare') !== true) await this.#commit(transaction, bytes);
  }

  async #commit(transaction: string | undefined, bytes: number): Promise<void> {
    const writes = this.#transactions.get(transaction ?? '') ?? [];
    this.#transactions.delete(transaction ?? '');
    for (const write of writes) await this.#entry(write, undefined, bytes / writes.length);
  }

  #definition(command: string, target: string, o: OrderedDocument, ns: string): void {
    const [db] = splitNamespace(ns);
    const item = this.#items.get(`${db}.${target}`);
    if (command === 'create') {
      if (!item) this.#unknown.add(`${db}.${target}`);
    } else if (command === 'createIndexes') {
      if (item) addIndex(item, new Map([...o].slice(1)));
    } else if (command === 'commitIndexBuild') {
      for (const index of o.get('indexes') as OrderedDocument[]) if (item) addIndex(item, index);
    } else if (item ?? this.#touchesPlan(command, db, target)) {
      throw new OplogReplayError(
        `the oplog of the archive holds "${command}" of ${command === 'dropDatabase' ? db : target}, which a replay cannot repeat; leave that out, or restore without replay`,
      );
    }
  }

  #touchesPlan(command: string, db: string, target: string): boolean {
    if (command === 'renameCollection') return this.#items.has(target);
    return (
      command === 'dropDatabase' && [...this.#items.keys()].some((name) => splitNamespace(name)[0] === db)
    );
  }

  async #flush(): Promise<void> {
    const batch = this.#batch;
    this.#batch = [];
    this.#batchBytes = 0;
    if (batch.length === 0) return;
    try {
      await this.#apply(batch);
    } catch (error) {
      if (!(error instanceof MongoServerError)) throw error;
      // Applying an entry again that the failed batch had applied gives the same state: that is what an oplog is made for.
      for (const entry of batch) await this.#applyAlone(entry);
    }
  }

  async #applyAlone(entry: OrderedDocument): Promise<void> {
    try {
      await this.#apply([entry]);
    } catch (error) {
      if (!(error instanceof MongoServerError)) throw error;
      throw new OplogReplayError(
        `the server refused an oplog entry of ${String(entry.get('ns'))}: ${error.message}`,
        { cause: error },
      );
    }
  }

  async #apply(entries: OrderedDocument[]): Promise<void> {
    await this.#client.db('admin').command({ applyOps: entries });
  }
}

function addIndex(item: RestoreItem, index: OrderedDocument): void {
  if (!item.indexes.some((known) => known.get('name') === index.get('name'))) item.indexes.push(index);
}

/** The entries of one transaction carry the same session and number. */
function transactionOf(raw: Buffer): string | undefined {
  const session = field(raw, 'lsid');
  const number = field(raw, 'txnNumber');
  return session && number ? `${session.value.toString('hex')}:${number.value.toString('hex')}` : undefined;
}
