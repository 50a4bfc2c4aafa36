/** The activities of backups as workflows see them, grouped by kind of work: each kind has its own bounds. */
import { ActivityCancellationType, proxyActivities } from '@temporalio/workflow';
import type { BackupActivities } from '../../activities/backup/types.ts';

const patient = { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '1m' } as const;
/** Who cancels work waits until it has ended: nobody sweeps, or gives the source away, below a dump that still writes. */
const ended = ActivityCancellationType.WAIT_CANCELLATION_COMPLETED;

/** Reads and small writes at source and destination. */
export const quick = proxyActivities<BackupActivities>({
  startToCloseTimeout: '5m',
  scheduleToCloseTimeout: '30m',
  heartbeatTimeout: '15s',
  retry: patient,
});

/**
 * Moving data, for hours. Attempts are counted, for each may take hours; a server or a network that is away is waited
 * for during about half an hour.
 */
export const haul = proxyActivities<BackupActivities>({
  cancellationType: ended,
  startToCloseTimeout: '24h',
  scheduleToCloseTimeout: '48h',
  heartbeatTimeout: '15s',
  retry: { initialInterval: '2s', backoffCoefficient: 2, maximumInterval: '5m', maximumAttempts: 12 },
});

/** One slice of the oplog: what fails is tried again by the next, so nobody waits long for one. */
export const slicing = proxyActivities<BackupActivities>({
  cancellationType: ended,
  startToCloseTimeout: '1h',
  scheduleToCloseTimeout: '2h',
  heartbeatTimeout: '15s',
  retry: { ...patient, maximumInterval: '10s', maximumAttempts: 6 },
});

/** Cleaning up after a run that broke off: the next run does it, too, so nobody waits for it for long. */
export const sweeping = proxyActivities<BackupActivities>({
  startToCloseTimeout: '1m',
  scheduleToCloseTimeout: '2m',
  heartbeatTimeout: '15s',
  retry: patient,
});

/** Cleaning up: worth trying for long, but nobody waits for ever. */
export const tidy = proxyActivities<BackupActivities>({
  startToCloseTimeout: '10m',
  scheduleToCloseTimeout: '1h',
  heartbeatTimeout: '15s',
  retry: patient,
});
