/**
 * What collections there are while slices of the oplog are replayed: entries create, drop and rename them, change their
 * options and indexes. The same course of events can be gone through without touching a server, to see where it leads.
 */
import { type OrderedDocument } from '../bson/extended-json.ts';
import { splitNamespace } from '../dump/oplog.ts';
import { peopleName } from '../oplog/selection.ts';
import { stagingPrefix } from '../staging.ts';
import { OplogReplayError } from './apply.ts';
import type { CollectionKind, RestoreItem } from './plan.ts';
import { timeseriesIndex } from './timeseries-index.ts';

/** What the course of events does to the staging collections. */
export interface StagingHands {
  create(item: RestoreItem): Promise<void>;
  drop(item: RestoreItem): Promise<void>;
  /** Changes options; `change` is the content of a collMod without its name. */
  modify(item: RestoreItem, change: OrderedDocument): Promise<void>;
}

/** Hands that do nothing, to look ahead. */
export const idleHands: StagingHands = {
  create: async () => undefined,
  drop: async () => undefined,
  modify: async () => undefined,
};

export interface DefinitionsOptions {
  /** Names staging collections. */
  id: string;
  items: readonly RestoreItem[];
  /** Namespaces, by the names people know, whose course is followed: all that something selected may come from. */
  follows: (name: string) => boolean;
  rename: (name: string) => string;
  hands: StagingHands;
}

/** Fields of a `create` entry that are no options of the collection. */
const noOptions = new Set(['create', 'idIndex', 'temp', 'autoIndexId', 'viewOn', 'pipeline', 'uuid']);
/** Options that the server keeps apart while data is staged, because they delete. */
const expiry = 'expireAfterSeconds';

export class Definitions {
  readonly #options: DefinitionsOptions;
  /** By source name, as people know it. */
  readonly #items = new Map<string, RestoreItem>();
  /** The same, by the name under which documents stand in entries. */
  readonly #byData = new Map<string, RestoreItem>();
  #next: number;

  constructor(options: DefinitionsOptions) {
    this.#options = options;
    for (const item of options.items)
      this.#add({ ...item, options: new Map(item.options), indexes: [...item.indexes] });
    this.#next = options.items.reduce((next, { number }) => Math.max(next, number + 1), 0);
  }

  /** What there is now, by source name. */
  get items(): RestoreItem[] {
    return [...this.#items.values()].sort((a, b) => (a.source < b.source ? -1 : 1));
  }

  /** Where the documents of a namespace of the source are staged. */
  staged(ns: string): RestoreItem | undefined {
    return this.#byData.get(ns);
  }

  follows(ns: string): boolean {
    const [db, collection] = splitNamespace(ns);
    return this.#options.follows(`${db}.${peopleName(collection)}`);
  }

  /**
   * Goes along with one command of the oplog.
   * @throws OplogReplayError when it cannot be repeated
   */
  async command(name: string, db: string, o: OrderedDocument): Promise<void> {
    const target = `${db}.${String(o.get(name))}`;
    if (name === 'renameCollection') return this.#rename(String(o.get(name)), String(o.get('to')));
    if (name === 'dropDatabase') return this.#dropDatabase(db);
    if (target.endsWith('.system.views') || !this.follows(target)) return;
    switch (name) {
      case 'create':
        return this.#create(db, String(o.get(name)), o);
      case 'drop':
        return this.#drop(this.#byData.get(target));
      case 'createIndexes':
        return this.#index(target, new Map([...o].slice(1)));
      case 'commitIndexBuild':
        for (const index of o.get('indexes') as OrderedDocument[]) this.#index(target, index);
        return;
      case 'dropIndexes':
      case 'deleteIndexes':
        return this.#dropIndexes(target, String(o.get('index')));
      case 'collMod':
        return this.#modify(target, o);
      default:
        throw new OplogReplayError(`the oplog holds "${name}" of ${target}, which a replay cannot repeat`);
    }
  }

  /** A view is a document of `system.views`. Those of time-series come and go with their buckets. */
  view(op: string, o: OrderedDocument, o2: OrderedDocument | undefined): void {
    const name = String((o2 ?? o).get('_id'));
    if (!this.#options.follows(name)) return;
    const there = this.#items.get(name);
    if (op === 'd') {
      if (there?.kind === 'view') this.#forget(there);
      return;
    }
    if (!o.has('viewOn')) throw new OplogReplayError(`a change of view ${name} cannot be replayed`);
    if (String(o.get('viewOn')).startsWith('system.buckets.')) return;
    if (there) this.#forget(there);
    const options = new Map([...o].filter(([key]) => key !== '_id'));
    this.#add(this.#item(name, { kind: 'view', options, indexes: [] }));
  }

  async #create(db: string, collection: string, o: OrderedDocument): Promise<void> {
    const name = `${db}.${peopleName(collection)}`;
    if (this.#items.has(name))
      throw new OplogReplayError(`the oplog creates ${name}, which is there already`);
    if (o.has('viewOn')) return this.view('i', new Map([['_id', name], ...[...o].slice(1)]), undefined);
    const isTimeseries = o.has('timeseries');
    const options = new Map([...o].filter(([key]) => !noOptions.has(key)));
    if (isTimeseries) for (const own of ['validator', 'clusteredIndex']) options.delete(own);
    const idIndex = o.get('idIndex') as OrderedDocument | undefined;
    const item = this.#item(name, {
      kind: isTimeseries ? 'timeseries' : 'collection',
      options,
      indexes: idIndex && !isTimeseries ? [idIndex] : [],
    });
    this.#add(item);
    await this.#options.hands.create(item);
  }

  #item(
    source: string,
    definition: { kind: CollectionKind; options: OrderedDocument; indexes: OrderedDocument[] },
  ): RestoreItem {
    const [db, collection] = splitNamespace(this.#options.rename(source));
    const number = this.#next++;
    return {
      ...definition,
      number,
      source,
      sourceData: dataName(source, definition.kind),
      db,
      collection,
      staging: `${stagingPrefix}${this.#options.id}_${number}`,
      documents: 0,
      bytes: 0,
      contentSum: '',
      replaces: undefined,
    };
  }

  async #drop(item: RestoreItem | undefined): Promise<void> {
    if (!item) return;
    this.#forget(item);
    if (item.kind !== 'view') await this.#options.hands.drop(item);
  }

  async #dropDatabase(db: string): Promise<void> {
    for (const item of this.items) if (splitNamespace(item.source)[0] === db) await this.#drop(item);
  }

  async #rename(from: string, to: string): Promise<void> {
    const item = this.#byData.get(from);
    if (!this.follows(to)) return this.#drop(item);
    if (!item) {
      throw new OplogReplayError(
        `${to} was made by renaming ${from}, whose documents are not in the backup and its slices`,
      );
    }
    await this.#drop(this.#byData.get(to));
    const [db, collection] = splitNamespace(this.#options.rename(to));
    if (db !== item.db) {
      throw new OplogReplayError(
        `${from} was renamed to ${to}, which would go to another database (${db} instead of ${item.db}); restore without renaming one of them`,
      );
    }
    this.#forget(item);
    this.#add(Object.assign(item, { source: to, sourceData: dataName(to, item.kind), collection }));
  }

  #index(target: string, index: OrderedDocument): void {
    const item = this.#byData.get(target);
    if (!item) return;
    const spec = item.kind === 'timeseries' ? timeseriesIndex(item.options, index, item.source) : index;
    item.indexes = [...item.indexes.filter((known) => known.get('name') !== spec.get('name')), spec];
  }

  #dropIndexes(target: string, name: string): void {
    const item = this.#byData.get(target);
    if (item)
      item.indexes = item.indexes.filter((index) =>
        name === '*' ? index.get('name') === '_id_' : index.get('name') !== name,
      );
  }

  async #modify(target: string, o: OrderedDocument): Promise<void> {
    const item = this.#byData.get(target);
    if (!item) return;
    const change = new Map([...o].slice(1));
    const index = change.get('index') as OrderedDocument | undefined;
    if (index) this.#modifyIndex(item, index);
    change.delete('index');
    if (change.has(expiry)) {
      if (change.get(expiry) === 'off') item.options.delete(expiry);
      else item.options.set(expiry, change.get(expiry));
      change.delete(expiry);
    }
    if (change.size === 0) return;
    if (item.kind === 'timeseries')
      throw new OplogReplayError(
        `the oplog changes ${[...change.keys()].join(', ')} of time-series ${item.source}, which a replay cannot repeat`,
      );
    for (const [key, value] of change) item.options.set(key, value);
    await this.#options.hands.modify(item, change);
  }

  #modifyIndex(item: RestoreItem, change: OrderedDocument): void {
    const name = change.get('name');
    const at = item.indexes.findIndex((known) => known.get('name') === name);
    const known = item.indexes[at];
    if (!known)
      throw new OplogReplayError(
        `the oplog changes index ${String(name)} of ${item.source}, which is not there`,
      );
    const changed: OrderedDocument = new Map(known);
    for (const [key, value] of change) if (key !== 'name' && key !== 'keyPattern') changed.set(key, value);
    if (changed.get('hidden') === false) changed.delete('hidden');
    if (changed.get('unique') === true) changed.delete('prepareUnique');
    item.indexes = item.indexes.with(at, changed);
  }

  #add(item: RestoreItem): void {
    this.#items.set(item.source, item);
    this.#byData.set(item.sourceData, item);
  }

  #forget(item: RestoreItem): void {
    this.#items.delete(item.source);
    this.#byData.delete(item.sourceData);
  }
}

function dataName(source: string, kind: CollectionKind): string {
  if (kind !== 'timeseries') return source;
  const [db, collection] = splitNamespace(source);
  return `${db}.system.buckets.${collection}`;
}
