// Fills staging collections from an archive and makes sure that they hold what it holds: documents, then the comparison,
// then the oplog, then the indexes. What is live is not touched here.
import type { MongoClient } from 'mongodb';
import type { Namespace } from '../archive/format.ts';
import { type ArchiveEvent, readArchive } from '../archive/reader.ts';
import { unwrapArchive } from '../backup/archive-file.ts';
import { serverCores } from '../connect.ts';
import { forEachLimited } from '../parallel.ts';
import {
  allowMixedSchemas,
  buildIndexes,
  createCollection,
  dataCollection,
  dropIfThere,
  namesIn,
  splitIndexes,
} from './collections.ts';
import { summarize } from './compare.ts';
import { Loader } from './load.ts';
import { type RestoreItem, type RestorePlan, type RestoreSelection, selector } from './plan.ts';
import type { ProgressMeter } from './progress.ts';
import { OplogReplay } from './replay.ts';
import { RestoreFailedError, type RestoreOptions } from './run.types.ts';
import type { UsersAndRoles } from './users.ts';
import { stagingPrefix } from '../staging.ts';

/** Collections created, compared or indexed at the same time. */
const parallelCollections = { create: 4, compare: 2 };

export interface StagingRun {
  client: MongoClient;
  options: RestoreOptions;
  plan: RestorePlan;
  progress: ProgressMeter;
  /** Is given what the archive holds of users and roles. */
  users: UsersAndRoles;
  keepsZeroTimestamps: boolean;
}

/**
 * Loads, compares, replays and builds indexes.
 * @throws RestoreFailedError when a document was refused or is not there afterwards, and errors of reading or the driver
 */
export async function fillStaging(run: StagingRun): Promise<void> {
  await loadArchive({ ...run, plan: { ...run.plan, items: run.plan.loads ?? run.plan.items } });
  await rollForward(run);
  await indexStaged(run);
}

async function loadArchive(run: StagingRun): Promise<void> {
  const { client, options, plan, progress, keepsZeroTimestamps } = run;
  const { signal } = options;
  const stored = storedItems(plan);
  progress.enterWith('load', stored);
  await forEachLimited(stored, parallelCollections.create, (item) => createStaged(client, item), signal);
  const loader = new Loader(client, { keepsZeroTimestamps, cores: await serverCores(client) }, signal);
  try {
    await feed(run, loader);
  } finally {
    await loader.finish().catch(() => undefined); // no insert may go on when the staging is dropped
  }
}

/** What the plan said there would be must be what there is. */
async function rollForward({ client, options, plan, progress }: StagingRun): Promise<void> {
  const { rollForward: forward, id, signal } = options;
  if (!forward) return;
  const { bytes: total } = await forward.scan();
  progress.enter('replay', total);
  const items = await forward.carryOut(client, id, plan.loads ?? [], {
    signal,
    onProgress: (bytes, entries) => progress.add('oplog', bytes, entries),
  });
  const names = (all: readonly RestoreItem[]) =>
    all.map(({ source, staging }) => `${source} ${staging}`).join();
  if (names(items) !== names(plan.items))
    throw new RestoreFailedError('after the replay there are other collections than were planned');
  for (const [at, item] of items.entries()) plan.items[at] = { ...item, replaces: plan.items[at]?.replaces };
}

/** Removes what an earlier run of this id has left. */
export async function dropStaging(client: MongoClient, plan: RestorePlan, id: string): Promise<void> {
  const prefix = `${stagingPrefix}${id}_`;
  for (const db of new Set(plan.databases ?? plan.items.map((item) => item.db))) {
    const names = await namesIn(client.db(db), prefix);
    for (const name of names.keys()) await dropIfThere(client.db(db), name);
  }
}

/** Views have no documents: they are made when names are swapped. */
function storedItems({ items }: RestorePlan): RestoreItem[] {
  return items.filter(({ kind }) => kind !== 'view');
}

async function createStaged(client: MongoClient, item: RestoreItem): Promise<void> {
  const db = client.db(item.db);
  await createCollection(db, item, item.staging);
  if (item.kind === 'timeseries') await allowMixedSchemas(db, item.staging);
}

/** The oplog comes last in an archive; its entries go over data that has been compared. */
async function feed(run: StagingRun, loader: Loader): Promise<void> {
  const { client, options, plan, progress, users } = run;
  const { open, key, signal, replayOplog = true, oplogUntil } = options;
  const bySource = new Map(storedItems(plan).map((item) => [item.sourceData, item]));
  let replay: OplogReplay | undefined;
  // What is loaded is compared with what was proven once it is there, so what it was on the way need not be looked at. What
  // is not loaded has the sums of its namespaces.
  const archive = unwrapArchive(await open(signal), key, { withoutSums: true });
  const withoutSums = ({ db, collection }: Namespace) => bySource.has(`${db}.${collection}`);
  for await (const event of readArchive(archive, { withoutSums })) {
    signal?.throwIfAborted();
    if (event.kind === 'prelude') continue;
    const { db, collection } = event.namespace;
    const item = bySource.get(`${db}.${collection}`);
    if (item) await feedItem(run, loader, item, event);
    else if (event.kind !== 'documents') continue;
    else if (db === 'admin' || collection.startsWith('$admin.')) users.take(collection, event.data);
    else if (db === '' && replayOplog) {
      if (!replay) {
        await assertLoaded(run, loader);
        progress.enter('replay');
      }
      replay ??= new OplogReplay(client, bySource, oplogUntil);
      await replay.take(Buffer.from(event.data)); // operations wait for others, and hold on to their bytes
      progress.add('oplog', 0, event.count);
    }
  }
  if (!replay) return assertLoaded(run, loader);
  await replay.finish();
  for (const source of replay.unknown) {
    if (isCreatedMeanwhile(source, plan, options)) {
      plan.skipped.push({ source, reason: 'written to during the dump, but not in the archive' });
    }
  }
}

async function feedItem(
  { progress }: StagingRun,
  loader: Loader,
  item: RestoreItem,
  event: Exclude<ArchiveEvent, { kind: 'prelude' }>,
): Promise<void> {
  if (event.kind === 'end') {
    await loader.end(item);
    progress.doneWith(item);
    return;
  }
  await loader.add(item, event.data, event.count);
  progress.add(item.source, event.data.length, event.count);
}

/** All documents are sent: none may have failed, and what the server holds must be what the archive holds. */
async function assertLoaded(run: StagingRun, loader: Loader): Promise<void> {
  await loader.finish();
  const { failed, failedCount } = loader;
  if (failedCount > 0) {
    const [first] = failed;
    const example = first ? `, for example ${first.id} of ${first.namespace}: ${first.message}` : '';
    throw new RestoreFailedError(`the server refused ${failedCount} documents${example}`, failed);
  }
  await assertEqual(run);
}

/** Reads everything back: what the server holds now must be what the archive holds. */
async function assertEqual({ client, options, plan, progress }: StagingRun): Promise<void> {
  const stored = storedItems(plan);
  progress.enterWith('compare', stored);
  await forEachLimited(
    stored,
    parallelCollections.compare,
    async (item, signal) => {
      const found = await summarize(client, item.db, dataCollection(item, item.staging), {
        signal,
        onProgress: (bytes) => progress.add(item.source, bytes, 0),
      });
      if (found.documents !== item.documents) {
        throw new RestoreFailedError(
          `${item.source}: ${item.documents} documents were sent, ${found.documents} are there`,
        );
      }
      if (item.documents > 0 && found.contentSum !== item.contentSum) {
        throw new RestoreFailedError(`${item.source}: the restored content is not the archive's`);
      }
      progress.doneWith(item);
    },
    options.signal,
  );
}

async function indexStaged({ client, options, plan, progress }: StagingRun): Promise<void> {
  const stored = storedItems(plan);
  progress.enter('indexes', 0, stored.length);
  for (const item of stored) {
    progress.report({ namespace: item.source });
    await buildIndexes(client.db(item.db), item.staging, splitIndexes(item).plain, options.signal);
    progress.doneWith(item);
  }
}

/** A namespace that came into being while the archive was dumped, and not one that the plan leaves out on purpose. */
function isCreatedMeanwhile(source: string, plan: RestorePlan, selection: RestoreSelection): boolean {
  const [db] = source.split('.');
  return (
    !['admin', 'config', 'local'].includes(db ?? '') &&
    selector(selection)(source) &&
    !plan.skipped.some((skipped) => skipped.source === source)
  );
}
