/** The activity that makes a backup: the engine, with the policy's settings and a throttle that the workflow may change. */
import { activityInfo, getClient } from '@temporalio/activity';
import { DRILL_PREFIX } from '../domain/backup.names.ts';
import type { BackupSummary, Throttle as Limit } from '../domain/backup.types.ts';
import { type BackupProgress, createBackup } from '../mongodb/backup.ts';
import { sweepRuns } from '../mongodb/backup/catalog.ts';
import { Throttle } from '../mongodb/throttle.ts';
import { summaryOf } from '../backups/verified.ts';
import type { Report } from './backup.context.ts';
import { openStorage, resolveKey, type SettingsSource } from '../backups/settings.ts';
import { withMongo } from './backup.source.ts';
import type { TakeInput } from './backup.types.ts';

const THROTTLE_POLL_MS = 2_000;

export async function takeBackup(
  { policy, id, workflow }: TakeInput,
  from: SettingsSource & { version: string },
  signal: AbortSignal,
  report: Report,
): Promise<BackupSummary> {
  const { source, destination, compression, throttle: limit } = policy.spec;
  const key = await resolveKey(policy, from);
  const storage = await openStorage(destination, from);
  const throttle = new Throttle(limit?.mbPerSecond);
  const polling = setInterval(() => void askForLimit(workflow, throttle), THROTTLE_POLL_MS);
  try {
    const manifest = await withMongo(source.uriFrom, from, (client) =>
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
    );
    return summaryOf(manifest, storage.location);
  } finally {
    clearInterval(polling);
    await storage.close();
  }
}

export async function sweep(input: Pick<TakeInput, 'policy'>, from: SettingsSource): Promise<void> {
  const storage = await openStorage(input.policy.spec.destination, from);
  try {
    await sweepRuns(storage, input.policy.metadata.name);
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

/** Nobody answering is no reason to change anything: the limit stays what it was. */
async function askForLimit(workflow: TakeInput['workflow'], throttle: Throttle): Promise<void> {
  try {
    // An activity of a test environment has no server to ask.
    if (activityInfo().workflowExecution === undefined) return;
    const limit = await getClient()
      .workflow.getHandle(workflow.id, workflow.run)
      .query<Limit | null>('throttled');
    const wanted = limit?.mbPerSecond ?? undefined;
    if (throttle.megabytesPerSecond !== wanted) throttle.megabytesPerSecond = wanted;
  } catch {
    // Asked again in two seconds.
  }
}
