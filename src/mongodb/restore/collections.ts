// Makes collections and indexes as the archive's metadata says. What deletes documents by time is left off until the
// data has been compared and goes live.
import { type Db, type Document, MongoServerError } from 'mongodb';
import type { OrderedDocument } from '../bson/extended-json.ts';
import type { RestoreItem } from './plan.ts';

/** Creates the item's collection (not for views) under `name`, without expiry. */
export async function createCollection(
  db: Db,
  { kind, options, indexes }: RestoreItem,
  name: string,
): Promise<void> {
  const command: Document = { create: name };
  for (const [option, value] of options) {
    if (option === 'expireAfterSeconds' || option === 'autoIndexId' || option === 'uuid') continue;
    command[option] = option === 'timeseries' ? withoutDerived(value as OrderedDocument) : value;
  }
  const idIndex = indexes.find((index) => index.get('name') === '_id_');
  if (idIndex && kind === 'collection' && !options.has('clusteredIndex')) {
    command['idIndex'] = new Map([...idIndex].filter(([key]) => key !== 'ns'));
  }
  await db.command(command);
}

/** With a granularity the server derives these two itself, and some versions refuse them. */
function withoutDerived(timeseries: OrderedDocument): OrderedDocument {
  if (!timeseries.has('granularity')) return timeseries;
  const derived = new Set(['bucketMaxSpanSeconds', 'bucketRoundingSeconds']);
  return new Map([...timeseries].filter(([key]) => !derived.has(key)));
}

/** Indexes that only help, and those that delete. */
export function splitIndexes(item: RestoreItem): { plain: OrderedDocument[]; expiring: OrderedDocument[] } {
  const plain: OrderedDocument[] = [];
  const expiring: OrderedDocument[] = [];
  for (const index of item.indexes) {
    if (index.get('name') === '_id_' || index.has('clustered')) continue;
    const spec = new Map([...index].filter(([key]) => key !== 'ns' && key !== 'v' && key !== 'background'));
    (spec.has('expireAfterSeconds') ? expiring : plain).push(spec);
  }
  return { plain, expiring };
}

/** Builds indexes in one go; those that exist already are no error. */
export async function buildIndexes(
  db: Db,
  collection: string,
  indexes: OrderedDocument[],
  signal?: AbortSignal,
): Promise<void> {
  if (indexes.length === 0) return;
  const command = { createIndexes: collection, indexes, ignoreUnknownIndexOptions: true };
  await db.command(command, signal ? { signal } : {});
}

/** Switches on what deletes by time: TTL indexes, and the expiry of time-series and clustered collections. */
export async function enableExpiry(db: Db, item: RestoreItem, collection: string): Promise<void> {
  const { expiring } = splitIndexes(item);
  await buildIndexes(db, collection, expiring);
  const seconds = item.options.get('expireAfterSeconds');
  if (seconds !== undefined) await db.command({ collMod: collection, expireAfterSeconds: seconds });
}

/** Drops a collection or view; none there is no error. */
export async function dropIfThere(db: Db, collection: string): Promise<void> {
  try {
    await db.command({ drop: collection });
  } catch (error) {
    if (!(error instanceof MongoServerError) || error.code !== 26) throw error;
  }
}

/** The names in a database, with what they are. */
export async function namesIn(db: Db, prefix?: string): Promise<Map<string, string>> {
  const names = new Map<string, string>();
  for await (const { name, type } of db.listCollections({}, { nameOnly: true })) {
    if (prefix === undefined || name.startsWith(prefix)) names.set(name, type ?? 'collection');
  }
  return names;
}

/** Where an item's documents are stored once it is called `name`. */
export function dataCollection({ kind }: RestoreItem, name: string): string {
  return kind === 'timeseries' ? `system.buckets.${name}` : name;
}

/** Buckets that hold measurements of several schemas need a flag that only exists on the collection. */
export async function allowMixedSchemas(db: Db, collection: string): Promise<void> {
  await db
    .command({ collMod: collection, timeseriesBucketsMayHaveMixedSchemaData: true })
    .catch(() => undefined);
}
