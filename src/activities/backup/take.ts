/** The work of the activity that makes a backup: the dump, with the policy's settings. */
import { DRILL_PREFIX } from '../../domain/backup/names.ts';
import type { BackupSummary } from '../../domain/backup/types.ts';
import { type BackupProgress, createBackup } from '../../mongodb/backup.ts';
import { connectToOneServer } from '../../mongodb/connect.ts';
import { sweepRuns } from '../../mongodb/backup/catalog.ts';
import type { Throttle } from '../../mongodb/throttle.ts';
import { summaryOf } from '../../backups/verified.ts';
import type { Report } from './context.ts';
import { openStorage, resolveKey, type SettingsSource } from '../../backups/settings.ts';
import { withMongo } from './source.ts';
import type { TakeInput } from './types.ts';

export async function takeBackup(
  { policy, id, workflow }: TakeInput,
  from: SettingsSource & { version: string },
  signal: AbortSignal,
  report: Report,
  /** Set to the policy's limit here; may be changed while the dump runs. */
  throttle: Throttle,
): Promise<BackupSummary> {
  const { source, destination, compression, throttle: limit } = policy.spec;
  throttle.megabytesPerSecond = limit?.mbPerSecond;
  const key = await resolveKey(policy, from);
  const storage = await openStorage(destination, from);
  try {
    const manifest = await withMongo(
      source.uriFrom,
      from,
      (client) =>
        createBackup(client, storage, {
          policy: policy.metadata.name,
          owner: `${workflow.id}/${workflow.run}`,
          id,
          compression,
          key,
          throttle,
          signal,
          toolVersion: `slipway ${from.version}`,
          onProgress: (progress) => report(progressOf(progress)),
          ...(source.databases === null ? {} : { databases: source.databases }),
          include: source.include,
          // What a killed drill has left is no data.
          exclude: [...source.exclude, `${DRILL_PREFIX}*`],
        }),
      connectToOneServer,
    );
    return summaryOf(manifest, storage.location);
  } finally {
    await storage.close();
  }
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
