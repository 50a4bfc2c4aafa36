/** What is different about a backup whose destination is a Job of the cluster. */
import { ActivityCancellationType, proxyActivities } from '@temporalio/workflow';
import type { BackupActivities, TakeInput } from '../../activities/backup/types.ts';
import type { BackupSummary } from '../../domain/backup/types.ts';
import type { BackupPolicy } from '../../specs/backup.types.ts';
import { quick } from './activities.ts';
import { holdingSource, type LockOptions } from './source-lock.ts';

/**
 * As `haul`, but cancelled work is awaited: what cleans up deletes the Job, and nobody may create it after that. Few
 * attempts are needed for the dump itself, which the Job repeats; these are for workers and API servers that go away.
 */
const attended = proxyActivities<BackupActivities>({
  startToCloseTimeout: '48h',
  scheduleToCloseTimeout: '60h',
  heartbeatTimeout: '15s',
  cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
  retry: { initialInterval: '2s', backoffCoefficient: 2, maximumInterval: '5m', maximumAttempts: 30 },
});

/** Whether a Job of the cluster does the work in place of a worker. */
export function isInCluster(policy: BackupPolicy): boolean {
  return 'job' in policy.spec.destination;
}

/** The Job is made, or found again, and watched to its end. */
export function takeByJob(input: TakeInput): Promise<BackupSummary> {
  return attended.takeBackup.executeWithOptions(
    { summary: 'a Job dumps, reads back and publishes; watched from here' },
    [input],
  );
}

/**
 * Does `work` while holding every name of the source: its address as the policy has it, and the server itself where the
 * worker can find out which it is. Always in this order, so that no two wait for each other.
 */
export async function holdingJobSource<T>(
  policy: BackupPolicy,
  options: LockOptions,
  work: () => Promise<T>,
): Promise<T> {
  const { keys } = await quick.identifyJobSource.executeWithOptions({ summary: 'which server is it' }, [
    { policy },
  ]);
  const guarded = keys.reduceRight<() => Promise<T>>(
    (inner, key) => () => holdingSource(key, options, inner),
    work,
  );
  return await guarded();
}
