// Which collections of an archive go where, and what is there now. Nothing is changed while planning.
import type { MongoClient } from 'mongodb';
import type { CollectionDescription, Prelude } from '../archive/format.ts';
import type { NamespaceSummary } from '../archive/reader.ts';
import { type OrderedDocument, parseExtendedJson } from '../bson/extended-json.ts';
import { namespaceMatcher } from '../dump/listing.ts';
import { splitNamespace } from '../dump/oplog.ts';
import { stagingPrefix } from '../staging.ts';

export type CollectionKind = 'collection' | 'timeseries' | 'view';

export interface RestoreSelection {
  /** Patterns `db.collection` with `*`; all when missing. They match the names in the archive. */
  include?: readonly string[] | undefined;
  exclude?: readonly string[] | undefined;
  /** Renames: each pattern of `nsFrom` has its counterpart in `nsTo` with as many `*`. The first that matches counts. */
  nsFrom?: readonly string[] | undefined;
  nsTo?: readonly string[] | undefined;
}

/** One collection of the plan. */
export interface RestoreItem {
  /** Position in the plan; names the staging collection. */
  number: number;
  kind: CollectionKind;
  /** In the archive: the name people know, and the name under which its documents stand. */
  source: string;
  sourceData: string;
  db: string;
  collection: string;
  staging: string;
  options: OrderedDocument;
  indexes: OrderedDocument[];
  documents: number;
  bytes: number;
  contentSum: string;
  /** What bears the target's name now. */
  replaces: CollectionKind | undefined;
}

export interface RestorePlan {
  /** What there will be at the target. */
  items: RestoreItem[];
  /** What is loaded from the archive, where slices of the oplog carry it forward to `items`; else `items` is. */
  loads?: RestoreItem[];
  /** Databases in which something is staged, where they are not just those of `items`. */
  databases?: string[];
  /** Namespaces of the archive that are left out, and why. */
  skipped: { source: string; reason: string }[];
  /** The archive holds users and roles of the whole server, or of one database. */
  hasUsersAndRoles: boolean;
  hasOplog: boolean;
}

/** The plan cannot be made, or must not be carried out; the message says why. */
export class RestorePlanError extends Error {
  override name = 'RestorePlanError';
}

export interface PlanInput {
  id: string;
  prelude: Prelude;
  namespaces: readonly NamespaceSummary[];
  selection: RestoreSelection;
}

const authCollections = new Set(['system.users', 'system.roles', 'system.version']);

/** @throws RestorePlanError when names clash or metadata cannot be read */
export async function planRestore(
  client: MongoClient,
  { id, prelude, namespaces, selection }: PlanInput,
): Promise<RestorePlan> {
  const plan: RestorePlan = { items: [], skipped: [], hasUsersAndRoles: false, hasOplog: false };
  const selects = selector(selection);
  const rename = renamer(selection);
  const summaries = new Map(namespaces.map((summary) => [`${summary.db}.${summary.collection}`, summary]));
  const described = [...prelude.collections].sort((a, b) => (sourceName(a) < sourceName(b) ? -1 : 1));
  for (const description of described) {
    const source = sourceName(description);
    if (source === '.oplog') plan.hasOplog = true;
    else if (isAuth(description))
      plan.hasUsersAndRoles ||= !description.collection.endsWith('system.version');
    else if (description.db === 'config')
      plan.skipped.push({ source, reason: 'config belongs to the cluster it came from' });
    else if (description.db === 'admin' && description.collection.startsWith('system.')) {
      plan.skipped.push({ source, reason: 'a system collection of the server it came from' });
    } else if (!selects(source)) plan.skipped.push({ source, reason: 'not selected' });
    else plan.items.push(item(id, plan.items.length, description, rename(source), summaries));
  }
  assertNoClash(plan.items);
  await findTargets(client, plan.items);
  return plan;
}

function sourceName({ db, collection }: CollectionDescription): string {
  return `${db}.${collection}`;
}

function isAuth({ db, collection }: CollectionDescription): boolean {
  return (db === 'admin' && authCollections.has(collection)) || collection.startsWith('$admin.system.');
}

/** The namespaces of an archive that a selection takes, as a test. */
export function selector({ include, exclude }: RestoreSelection): (name: string) => boolean {
  const included = include?.length ? namespaceMatcher(include) : () => true;
  const excluded = namespaceMatcher(exclude);
  return (name) => included(name) && !excluded(name);
}

/** Renames by patterns; `*` in `nsTo` takes the text that the `*` at the same place in `nsFrom` matched. */
export function renamer({ nsFrom = [], nsTo = [] }: RestoreSelection): (name: string) => string {
  if (nsFrom.length !== nsTo.length) {
    throw new RestorePlanError(
      `nsFrom has ${nsFrom.length} patterns, nsTo ${nsTo.length}; each needs its counterpart`,
    );
  }
  const rules = nsFrom.map((from, at) => {
    const to = nsTo[at] ?? '';
    if (from.split('*').length !== to.split('*').length) {
      throw new RestorePlanError(
        `nsFrom ${JSON.stringify(from)} and nsTo ${JSON.stringify(to)} need the same number of *`,
      );
    }
    const escaped = from.split('*').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
    return { expression: new RegExp(`^${escaped.join('(.*)')}$`, 'su'), parts: to.split('*') };
  });
  return (name) => {
    for (const { expression, parts } of rules) {
      const match = expression.exec(name);
      if (match) return parts.map((part, at) => part + (match[at + 1] ?? '')).join('');
    }
    return name;
  };
}

function item(
  id: string,
  number: number,
  description: CollectionDescription,
  target: string,
  summaries: Map<string, NamespaceSummary>,
): RestoreItem {
  const source = sourceName(description);
  const [db, collection] = splitNamespace(target);
  if (!db || !collection)
    throw new RestorePlanError(
      `${source} would be renamed to ${JSON.stringify(target)}; DATABASE.COLLECTION is needed`,
    );
  if (db === 'local' || db === 'config')
    throw new RestorePlanError(
      `${source} would be restored to ${target}; ${db} is what a server keeps for itself`,
    );
  const { options, indexes } = parseMetadata(description);
  const kind = kindOf(description, options);
  const bucketName = `${description.db}.system.buckets.${description.collection}`;
  const sourceData = kind === 'timeseries' && summaries.has(bucketName) ? bucketName : source;
  const { documents = 0, bytes = 0, contentSum = '' } = summaries.get(sourceData) ?? {};
  const staging = `${stagingPrefix}${id}_${number}`;
  return {
    number,
    kind,
    source,
    sourceData,
    db,
    collection,
    staging,
    options,
    indexes,
    documents,
    bytes,
    contentSum,
    replaces: undefined,
  };
}

function kindOf({ type }: CollectionDescription, options: OrderedDocument): CollectionKind {
  if (type === 'view' || type === 'timeseries') return type;
  return options.has('viewOn') ? 'view' : options.has('timeseries') ? 'timeseries' : 'collection';
}

function parseMetadata(description: CollectionDescription): {
  options: OrderedDocument;
  indexes: OrderedDocument[];
} {
  if (description.metadata === '') return { options: new Map(), indexes: [] };
  try {
    const metadata = parseExtendedJson(description.metadata);
    const options = metadata.get('options') ?? new Map<string, unknown>();
    const indexes = metadata.get('indexes') ?? [];
    if (
      !(options instanceof Map) ||
      !Array.isArray(indexes) ||
      !indexes.every((index) => index instanceof Map)
    ) {
      throw new SyntaxError('options or indexes are of the wrong type');
    }
    return { options: options as OrderedDocument, indexes: indexes as OrderedDocument[] };
  } catch (cause) {
    throw new RestorePlanError(
      `${sourceName(description)}: its metadata cannot be read: ${(cause as Error).message}`,
      { cause },
    );
  }
}

/** @throws RestorePlanError when two would bear one name */
export function assertNoClash(items: readonly RestoreItem[]): void {
  const sources = new Map<string, string>();
  for (const { db, collection, source } of items) {
    const target = `${db}.${collection}`;
    const other = sources.get(target);
    if (other !== undefined) throw new RestorePlanError(`${other} and ${source} would both become ${target}`);
    sources.set(target, source);
  }
}

/** Looks what bears each item's name at the target now. */
export async function findTargets(client: MongoClient, items: RestoreItem[]): Promise<void> {
  for (const db of new Set(items.map((planned) => planned.db))) {
    const existing = new Map<string, string>();
    for await (const { name, type } of client.db(db).listCollections({}, { nameOnly: true }))
      existing.set(name, type ?? 'collection');
    for (const planned of items) {
      if (planned.db === db)
        planned.replaces = existing.get(planned.collection) as CollectionKind | undefined;
    }
  }
}
