// Brings staging collections under their names. Every step can be repeated: what is still staged is swapped, what is not
// has been. Collections come first, by one rename each; then time-series, which no server can rename; views last.
import { type Db, type Document, type MongoClient, MongoServerError } from 'mongodb';
import { forEachLimited } from '../parallel.ts';
import { rawFind } from '../raw-cursor.ts';
import { rawInsert } from '../raw-write.ts';
import {
  allowMixedSchemas,
  buildIndexes,
  createCollection,
  dropIfThere,
  enableExpiry,
  namesIn,
  splitIndexes,
} from './collections.ts';
import { summarize } from './compare.ts';
import type { CollectionKind, RestoreItem } from './plan.ts';

export interface SwapOptions {
  keepsZeroTimestamps: boolean;
  onSwapped?: (item: RestoreItem) => void;
}

const order: readonly CollectionKind[] = ['collection', 'timeseries', 'view'];
/** Renames at the same time: each waits for the server, which does them one after the other. */
const renamesAtOnce = 8;

/**
 * A majority need not have the renames yet when this returns; the caller's next write that waits for one covers them.
 * @throws Error when neither the staged nor the final collection is there, and what the server refuses; calling it again
 * goes on where it stopped
 */
export async function swapAll(
  client: MongoClient,
  items: readonly RestoreItem[],
  options: SwapOptions,
): Promise<void> {
  const databases = new Map<string, Map<string, string>>();
  for (const { db } of items) if (!databases.has(db)) databases.set(db, await namesIn(client.db(db)));
  for (const kind of order) {
    const ofKind = items.filter((planned) => planned.kind === kind);
    await forEachLimited(ofKind, kind === 'collection' ? renamesAtOnce : 1, async (item) => {
      const names = databases.get(item.db) as Map<string, string>;
      const db = client.db(item.db);
      if (kind === 'collection') await swapCollection(client, db, item, names);
      else if (kind === 'timeseries') await swapTimeSeries(client, db, item, names, options);
      else await swapView(db, item, names);
      options.onSwapped?.(item);
    });
  }
}

async function swapCollection(
  client: MongoClient,
  db: Db,
  item: RestoreItem,
  names: Map<string, string>,
): Promise<void> {
  if (!isStaged(item, names)) return;
  await enableExpiry(db, item, item.staging);
  const there = names.get(item.collection);
  if (there === 'view' || there === 'timeseries') await dropIfThere(db, item.collection);
  const rename = {
    renameCollection: `${item.db}.${item.staging}`,
    to: `${item.db}.${item.collection}`,
    dropTarget: true,
  };
  await client.db('admin').command({ ...rename, writeConcern: { w: 1 } });
}

/**
 * The data has been proven in staging; it is copied, compared again, and only then the staging dropped. Between the drop
 * of an old time-series and the end of the copy the name is incomplete; a repeated run starts the copy anew.
 */
async function swapTimeSeries(
  client: MongoClient,
  db: Db,
  item: RestoreItem,
  names: Map<string, string>,
  options: SwapOptions,
): Promise<void> {
  if (!isStaged(item, names)) return;
  await dropIfThere(db, item.collection);
  await createCollection(db, item, item.collection);
  const from = `system.buckets.${item.staging}`;
  const to = `system.buckets.${item.collection}`;
  await allowMixedSchemas(db, item.collection);
  for await (const run of rawFind(db, { collection: from, hint: { $natural: 1 } })) {
    const { keepsZeroTimestamps } = options;
    const failed = await rawInsert({
      db,
      collection: to,
      pieces: [run.data],
      ordered: false,
      keepsZeroTimestamps,
    });
    if (failed[0])
      throw new Error(
        `${item.db}.${item.collection}: ${failed.length} buckets were refused: ${failed[0].message}`,
      );
  }
  await buildIndexes(db, item.collection, splitIndexes(item).plain);
  const [staged, copied] = await Promise.all([
    summarize(client, item.db, from),
    summarize(client, item.db, to),
  ]);
  if (staged.contentSum !== copied.contentSum)
    throw new Error(`${item.db}.${item.collection}: the copy differs from what was staged`);
  await enableExpiry(db, item, item.collection);
  await dropIfThere(db, item.staging);
}

async function swapView(db: Db, item: RestoreItem, names: Map<string, string>): Promise<void> {
  const definition: Document = Object.fromEntries(item.options);
  const there = names.get(item.collection);
  if (there === 'view' && !item.options.has('collation')) {
    try {
      await db.command({
        collMod: item.collection,
        viewOn: definition['viewOn'],
        pipeline: definition['pipeline'],
      });
      return;
    } catch (error) {
      if (!(error instanceof MongoServerError)) throw error; // a view with a collation cannot be changed, only replaced
    }
  }
  if (there !== undefined) await dropIfThere(db, item.collection);
  await db.command({ create: item.collection, ...definition, writeConcern: { w: 'majority' } });
}

function isStaged(item: RestoreItem, names: Map<string, string>): boolean {
  if (names.has(item.staging)) return true;
  if (names.has(item.collection)) return false;
  throw new Error(
    `${item.db}.${item.collection} is neither staged nor there: someone else has dropped it during the restore`,
  );
}
