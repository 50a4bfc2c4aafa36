/** The work of the activity that makes a backup: the dump, with the policy's settings. */
import { ApplicationFailure } from '@temporalio/common';
import type { MongoClient } from 'mongodb';
import { BACKUP_FAILURE } from '../../domain/backup/failures.ts';
import { DRILL_PREFIX, isBeforeRestore } from '../../domain/backup/names.ts';
import type { BackupSummary } from '../../domain/backup/types.ts';
import { type BackupProgress, createBackup } from '../../mongodb/backup.ts';
import { connectToOneServer } from '../../mongodb/connect.ts';
import { sweepRuns } from '../../mongodb/backup/catalog.ts';
import { listCollections } from '../../mongodb/dump/listing.ts';
import { hashAside, hashOnTheSpot } from '../../storage/hashing.ts';
import type { Throttle } from '../../mongodb/throttle.ts';
import { summaryOf } from '../../backups/verified.ts';
import type { Report } from './context.ts';
import { openStorage, resolveKey, type SettingsSource } from '../../backups/settings.ts';
import { withMongo } from './source.ts';
import type { TakeInput } from './types.ts';

/** What every server has. */
const SERVERS_OWN = new Set(['admin', 'config', 'local']);

export async function takeBackup(
  input: TakeInput,
  from: SettingsSource & { version: string },
  signal: AbortSignal,
  report: Report,
  /** Set to the policy's limit here; may be changed while the dump runs. */
  throttle: Throttle,
): Promise<BackupSummary> {
  const { policy, id, workflow } = input;
  const { source, destination, compression, throttle: limit } = policy.spec;
  throttle.megabytesPerSecond = limit?.mbPerSecond;
  const key = await resolveKey(policy, from);
  const storage = await openStorage(destination, from);
  // Compressing is so much more work that a thread for what comes out of it would only cost memory.
  const hasher = compression === 'none' ? hashAside() : hashOnTheSpot;
  try {
    const manifest = await withMongo(
      source.uriFrom,
      from,
      async (client) => {
        await assertNotEmpty(client, input);
        return await createBackup(client, storage, {
          policy: policy.metadata.name,
          owner: `${workflow.id}/${workflow.run}`,
          id,
          compression,
          key,
          hasher,
          throttle,
          signal,
          toolVersion: `slipway ${from.version}`,
          onProgress: (progress) => report(progressOf(progress)),
          ...(source.databases === null ? {} : { databases: source.databases }),
          include: source.include,
          exclude: withoutDrills(source.exclude),
        });
      },
      connectToOneServer,
    );
    return summaryOf(manifest, storage.location);
  } finally {
    await Promise.all([storage.close(), hasher.close()]);
  }
}

/** What a killed drill has left is no data. */
function withoutDrills(exclude: readonly string[]): string[] {
  return [...exclude, `${DRILL_PREFIX}*`];
}

/**
 * A database that is gone or misspelt must not make a backup: it would be the newest verified one, and retention would let
 * go of those that hold the data. Before a restore it is what is there that counts.
 */
async function assertNotEmpty(client: MongoClient, { policy, workflow }: TakeInput): Promise<void> {
  const { databases, include, exclude } = policy.spec.source;
  const listed = await client.db('admin').command({ listDatabases: 1, nameOnly: true });
  const there = (listed['databases'] as { name: string }[]).map(({ name }) => name);
  const gone = (databases ?? []).filter((name) => !there.includes(name));
  const own = there.filter((name) => !SERVERS_OWN.has(name) && !name.startsWith(DRILL_PREFIX));
  if (gone.length > 0 && (gone.length === databases?.length || !isBeforeRestore(workflow.id)))
    throw emptySource(`has no database ${gone.join(', ')}, which the policy names`, own);
  // Only patterns make a look at the collections necessary, of which there may be ten thousand.
  const patterns = include.length + exclude.length > 0;
  const filter = { ...(databases && { databases }), include, exclude: withoutDrills(exclude) };
  const found = patterns
    ? (await listCollections(client, filter)).filter(
        ({ db }) => databases !== null || include.length > 0 || own.includes(db),
      )
    : (databases ?? own);
  if (found.length === 0) throw emptySource('holds nothing that the policy takes', own);
}

/** `own`: databases that are neither the server's nor a drill's. */
function emptySource(what: string, own: string[]): ApplicationFailure {
  return ApplicationFailure.nonRetryable(
    `the server ${what}; it has ${own.slice(0, 20).join(', ') || 'none at all'}. Is it gone, or misspelt? Older backups stay`,
    BACKUP_FAILURE.sourceEmpty,
  );
}

/** Another run of the policy may be at work by now, or may be what this one had waited for: only its own goes. */
export async function sweep(
  { policy, workflow }: Pick<TakeInput, 'policy' | 'workflow'>,
  from: SettingsSource,
): Promise<void> {
  const storage = await openStorage(policy.spec.destination, from);
  try {
    await sweepRuns(storage, policy.metadata.name, `${workflow.id}/${workflow.run}`);
  } finally {
    await storage.close();
  }
}

function progressOf(progress: BackupProgress) {
  const proving = progress.phase !== 'dump';
  return {
    stage: proving ? ('proving' as const) : ('dumping' as const),
    bytes: proving ? progress.verifiedBytes : progress.bytes,
    totalBytes: proving ? progress.bytes : progress.estimatedBytes,
    documents: progress.documents,
    namespace: proving ? '' : progress.namespace,
    namespaces: progress.namespacesDone,
    totalNamespaces: progress.namespacesTotal,
  };
}
