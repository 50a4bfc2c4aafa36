// Replays the oplog of an archive over the staging collections, so that data read at different moments becomes the state
// of one.
import type { MongoClient } from 'mongodb';
import { type OrderedDocument, parseExtendedJson, toExtendedJson } from '../bson/extended-json.ts';
import { documentsOf } from '../bson/raw.ts';
import { type ClusterTime, compareTimes } from '../dump/consistency.ts';
import { entryTime, splitNamespace } from '../dump/oplog.ts';
import {
  commandName,
  type Operation,
  operationOf,
  OperationWriter,
  OplogReplayError,
  Transactions,
} from './apply.ts';
import { dataCollection } from './collections.ts';
import type { RestoreItem } from './plan.ts';

export { OplogReplayError } from './apply.ts';

/** Commands that change no document: indexes are built from the plan, after the replay. */
export const withoutEffect: ReadonlySet<string> = new Set([
  'startIndexBuild',
  'abortIndexBuild',
  'setMultikeyMetadata',
  'dropIdent',
]);
/** Changes of indexes and options; what the archive says of them was read within the window, and stays. */
const ofDefinitions = new Set(['dropIndexes', 'deleteIndexes', 'collMod']);

export class OplogReplay {
  /** By the name under which documents stand in the archive and in oplog entries. */
  readonly #items: Map<string, RestoreItem>;
  readonly #until: ClusterTime | undefined;
  readonly #writer: OperationWriter;
  readonly #transactions = new Transactions();
  readonly #unknown = new Set<string>();

  /** Entries after `until` are left out. */
  constructor(client: MongoClient, items: Map<string, RestoreItem>, until?: ClusterTime) {
    this.#items = items;
    this.#until = until;
    this.#writer = new OperationWriter(client, { strict: false });
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
      await this.#entry(raw);
    }
  }

  /** Applies what is left. Transactions that did not commit by the end did not happen. */
  finish(): Promise<void> {
    return this.#writer.flush();
  }

  async #entry(raw: Buffer): Promise<void> {
    const operation = operationOf(raw);
    if (operation.op === 'i' || operation.op === 'u' || operation.op === 'd') await this.#write(operation);
    else if (operation.op === 'c') await this.#command(raw, operation);
  }

  async #write(operation: Operation): Promise<void> {
    const item = this.#items.get(operation.ns);
    if (item) await this.#writer.write(operation, `${item.db}.${dataCollection(item, item.staging)}`);
    else this.#unknown.add(operation.ns);
  }

  async #command(raw: Buffer, { o: bytes, ns }: Operation): Promise<void> {
    const command = commandName(bytes);
    if (command === 'applyOps') await this.#all(this.#transactions.take(raw, bytes));
    else if (command === 'commitTransaction') await this.#all(this.#transactions.commit(raw));
    else if (command === 'abortTransaction') this.#transactions.forget(raw);
    else if (!withoutEffect.has(command) && !ofDefinitions.has(command)) {
      const o = parseExtendedJson(toExtendedJson(bytes));
      this.#definition(command, String(o.get(command)), o, ns);
    }
  }

  async #all(operations: Buffer[]): Promise<void> {
    for (const operation of operations) await this.#entry(operation);
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
}

function addIndex(item: RestoreItem, index: OrderedDocument): void {
  if (!item.indexes.some((known) => known.get('name') === index.get('name'))) item.indexes.push(index);
}
