// What a server holds, and which of it belongs in a dump (the same choice as mongodump's).
import { type MongoClient, UUID } from 'mongodb';
import {
  arrayToExtendedJson,
  parseExtendedJson,
  serializeOrdered,
  toExtendedJson,
} from '../bson/extended-json.ts';
import { bsonType, field, rawDocument, rawElement, stringField } from '../bson/raw.ts';
import type { CollectionDescription, Namespace } from '../archive/format.ts';
import { rawCommandCursor } from '../raw-cursor.ts';
import { stagingPrefix } from '../staging.ts';

/** One collection, view or time-series to dump. */
export interface ListedCollection {
  db: string;
  /** The name people know; for a time-series not its buckets. */
  name: string;
  type: 'collection' | 'view' | 'timeseries';
  /** Where the documents are read: the name itself, `system.buckets.…` for a time-series, undefined for a view. */
  dataName: string | undefined;
  /** UUID of what holds the documents; undefined through mongos and for views. */
  uuid: UUID | undefined;
  capped: boolean;
  /** The `options` of listCollections, as BSON. */
  options: Buffer;
}

/** Which namespaces to take; patterns are `db.collection` with `*` for any text. */
export interface NamespaceFilter {
  databases?: readonly string[] | undefined;
  include?: readonly string[] | undefined;
  exclude?: readonly string[] | undefined;
}

const configCollections = new Set([
  'chunks',
  'collections',
  'databases',
  'settings',
  'shards',
  'tags',
  'version',
]);

/** Tells whether a filter takes everything, so that users, roles and the oplog make sense. */
export function takesWholeServer(filter: NamespaceFilter): boolean {
  return !filter.databases?.length && !filter.include?.length && !filter.exclude?.length;
}

/** A test for `db.collection` names from patterns; an empty or missing list matches nothing. */
export function namespaceMatcher(patterns: readonly string[] | undefined): (name: string) => boolean {
  const expressions = (patterns ?? []).map((pattern) => {
    const parts = pattern.split('*').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
    return new RegExp(`^${parts.join('.*')}$`, 'su');
  });
  return (name) => expressions.some((expression) => expression.test(name));
}

/** The namespaces that a filter takes, as a test. */
export function namespaceSelector(filter: NamespaceFilter): (db: string, collection: string) => boolean {
  const databases = filter.databases?.length ? new Set(filter.databases) : undefined;
  const included = filter.include?.length ? namespaceMatcher(filter.include) : () => true;
  const excluded = namespaceMatcher(filter.exclude);
  return (db, collection) => {
    const name = `${db}.${collection}`;
    return (!databases || databases.has(db)) && included(name) && !excluded(name);
  };
}

/** Everything the filter takes, ordered by name. */
export async function listCollections(
  client: MongoClient,
  filter: NamespaceFilter,
  signal?: AbortSignal,
): Promise<ListedCollection[]> {
  const takes = namespaceSelector(filter);
  const { databases } = await client
    .db('admin')
    .command({ listDatabases: 1, nameOnly: true }, signal ? { signal } : {});
  const listed: ListedCollection[] = [];
  for (const { name: db } of databases as { name: string }[]) {
    if (db === 'local' || db.startsWith('__mdb_internal')) continue;
    if (filter.databases?.length && !filter.databases.includes(db)) continue;
    const uuids = new Map<string, UUID>();
    const found: ListedCollection[] = [];
    for await (const entry of rawCommandCursor(client.db(db), { listCollections: 1 }, signal)) {
      const collection = parseEntry(db, entry);
      if (collection.uuid) uuids.set(collection.name, collection.uuid);
      if (belongsInDump(db, collection.name, filter) && takes(db, collection.name)) found.push(collection);
    }
    for (const collection of found) {
      if (collection.type === 'timeseries')
        collection.uuid = uuids.get(collection.dataName ?? '') ?? collection.uuid;
      listed.push(collection);
    }
  }
  return listed.sort((a, b) => compare(a.db, b.db) || compare(a.name, b.name));
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function belongsInDump(db: string, name: string, filter: NamespaceFilter): boolean {
  if (name.includes('$') || name.startsWith(stagingPrefix)) return false;
  if (db === 'config') return configCollections.has(name) || (filter.databases?.includes('config') ?? false);
  if (db === 'admin')
    return name !== 'system.keys' && name !== 'system.views' && !name.startsWith('system.buckets.');
  return !name.startsWith('system.') || name === 'system.js';
}

function parseEntry(db: string, entry: Buffer): ListedCollection {
  const name = stringField(entry, 'name') ?? '';
  const type = stringField(entry, 'type') ?? 'collection';
  const options = field(entry, 'options')?.value ?? rawDocument();
  const info = field(entry, 'info');
  const id = info?.type === bsonType.document ? field(info.value, 'uuid') : undefined;
  const uuid = id?.type === 5 ? new UUID(Buffer.from(id.value.subarray(5))) : undefined;
  const capped = field(options, 'capped')?.value[0] === 1;
  if (type !== 'collection' && type !== 'view' && type !== 'timeseries') {
    throw new Error(
      `${db}.${name}: a ${JSON.stringify(type)} cannot be dumped; collection, view and timeseries can`,
    );
  }
  const dataName = type === 'view' ? undefined : type === 'timeseries' ? `system.buckets.${name}` : name;
  return { db, name, type, dataName, uuid, capped, options };
}

/** The namespace under which a collection's documents, or its empty end, stand in the archive. */
export function archiveNamespace({ db, name, dataName }: ListedCollection): Namespace {
  return { db, collection: dataName ?? name };
}

/** The archive's description of a collection, with its indexes read now. */
export async function describeCollection(
  client: MongoClient,
  listed: ListedCollection,
  signal?: AbortSignal,
): Promise<{ description: CollectionDescription; indexNames: string[] }> {
  const indexes: Buffer[] = [];
  if (listed.type !== 'view') {
    const command = { listIndexes: listed.name };
    for await (const index of rawCommandCursor(client.db(listed.db), command, signal)) indexes.push(index);
  }
  const metadata = metadataJson(listed, indexes);
  return {
    description: { db: listed.db, collection: listed.name, metadata, type: listed.type },
    indexNames: indexes.map((index) => stringField(index, 'name') ?? ''),
  };
}

/** mongodump's metadata text: options, indexes, uuid, name, type. */
function metadataJson(listed: ListedCollection, indexes: Buffer[]): string {
  const array = rawDocument(...indexes.map((index, at) => rawElement(bsonType.document, String(at), index)));
  const parts: string[] = [];
  if (listed.options.length > 5) parts.push(`"options":${checkedJson(listed, listed.options)}`);
  for (const index of indexes) checkedJson(listed, index);
  parts.push(`"indexes":${arrayToExtendedJson(array)}`);
  if (listed.uuid && listed.type === 'collection')
    parts.push(`"uuid":"${listed.uuid.toString('hex').replaceAll('-', '')}"`);
  parts.push(`"collectionName":${JSON.stringify(listed.name)}`, `"type":"${listed.type}"`);
  return `{${parts.join(',')}}`;
}

/** Options and indexes are worth nothing unless they come back the same, so that is tried at once. */
function checkedJson(listed: ListedCollection, document: Buffer): string {
  const json = toExtendedJson(document);
  if (!serializeOrdered(parseExtendedJson(json)).equals(document)) {
    throw new Error(
      `${listed.db}.${listed.name}: options or an index do not survive the way through Extended JSON: ${json}`,
    );
  }
  return json;
}
