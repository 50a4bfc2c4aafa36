// What a dump will read: how much there is, which collections, their descriptions, and the moment all of that is of.
import type { MongoClient } from 'mongodb';
import type { CollectionDescription } from '../archive/format.ts';
import { forEachLimited } from '../parallel.ts';
import { type ClusterTime, DumpError, majorityTime } from './consistency.ts';
import {
  describeCollection,
  listCollections,
  type ListedCollection,
  type NamespaceFilter,
} from './listing.ts';

export interface PlannedCollection {
  listed: ListedCollection;
  description: CollectionDescription;
  indexes: string[];
  /** Bytes of BSON by the server's statistics; 0 when they may not be read. */
  size: number;
}

/** Collections described at the same time. */
const describedAtOnce = 4;
const maxListings = 5;

/** Bytes of BSON in the databases that the filter takes, by the server's statistics. */
export async function estimateSize(
  client: MongoClient,
  { databases: wanted }: NamespaceFilter,
): Promise<number> {
  const { databases } = await client.db('admin').command({ listDatabases: 1, nameOnly: true });
  let bytes = 0;
  for (const { name } of databases as { name: string }[]) {
    if (name === 'local' || name === 'config' || (wanted?.length && !wanted.includes(name))) continue;
    bytes += Number((await client.db(name).command({ dbStats: 1 }))['dataSize'] ?? 0);
  }
  return bytes;
}

/**
 * Lists, takes a time that a majority has, and lists again: equal lists mean that the list is of that time.
 * @throws DumpError collection-changed when the lists never agree
 */
export async function listAtOneMoment(
  client: MongoClient,
  filter: NamespaceFilter,
  signal?: AbortSignal,
): Promise<{ listed: ListedCollection[]; time: ClusterTime }> {
  let listed = await listCollections(client, filter, signal);
  for (let listings = 0; listings < maxListings; listings++) {
    const time = await majorityTime(client);
    const again = await listCollections(client, filter, signal);
    if (sameCollections(listed, again)) return { listed: again, time };
    listed = again;
  }
  throw new DumpError(
    'collection-changed',
    'collections were created or dropped each of five times that they were listed',
  );
}

/** @throws DumpError collection-changed when a listing now would differ from the one at the beginning */
export async function assertSameListing(
  client: MongoClient,
  filter: NamespaceFilter,
  before: ListedCollection[],
  signal?: AbortSignal,
): Promise<void> {
  if (sameCollections(before, await listCollections(client, filter, signal))) return;
  throw new DumpError(
    'collection-changed',
    'collections were created, dropped or renamed during the dump; start it again',
  );
}

function sameCollections(a: ListedCollection[], b: ListedCollection[]): boolean {
  const key = ({ db, name, type, uuid, options }: ListedCollection) => [
    db,
    name,
    type,
    uuid?.toHexString(),
    options.toString('base64'),
  ];
  return a.length === b.length && JSON.stringify(a.map(key)) === JSON.stringify(b.map(key));
}

/** Reads indexes and sizes of what was listed. */
export async function describeAll(
  client: MongoClient,
  listed: ListedCollection[],
  signal?: AbortSignal,
): Promise<PlannedCollection[]> {
  const plan: PlannedCollection[] = [];
  await forEachLimited(
    listed,
    describedAtOnce,
    async (entry, stop) => {
      const [{ description, indexNames }, size] = await Promise.all([
        describeCollection(client, entry, stop),
        dataSize(client, entry),
      ]);
      plan.push({ listed: entry, description, indexes: indexNames, size });
    },
    signal,
  );
  return plan;
}

async function dataSize(client: MongoClient, { db, dataName }: ListedCollection): Promise<number> {
  if (dataName === undefined) return 0;
  try {
    return Number((await client.db(db).command({ collStats: dataName }))['size'] ?? 0);
  } catch {
    return 0; // an estimate is not worth a failure: not every user may read statistics
  }
}

/** mongorestore keeps these whole in memory and wants them first. */
const wantedFirst = new Set(['admin.system.users', 'admin.system.roles', 'admin.system.version']);

/** The order of reading: users and roles, one after the other; then the rest, large ones first. */
export function inOrder(plan: readonly PlannedCollection[]): {
  first: PlannedCollection[];
  rest: PlannedCollection[];
} {
  const isFirst = ({ listed }: PlannedCollection) => wantedFirst.has(`${listed.db}.${listed.name}`);
  return {
    first: plan.filter(isFirst),
    rest: plan.filter((planned) => !isFirst(planned)).sort((a, b) => b.size - a.size),
  };
}
