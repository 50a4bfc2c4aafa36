/** Every message that `backup`, `restoreData` and `drill` understand. Each takes exactly one JSON object. */
import { defineQuery, defineSignal, defineUpdate } from '@temporalio/workflow';
import type { DrillStatus } from '../../domain/backup/drill.types.ts';
import type { RestoreApproval, RestoreStatus } from '../../domain/backup/restore.types.ts';
import type { BackupStatus, Throttle, ThrottleCommand } from '../../domain/backup/types.ts';
import type { Rest, SlicesStatus } from '../../domain/point-in-time/types.ts';
import type { BackupPolicy } from '../../specs/backup.types.ts';

/** Changes how fast a running backup reads. */
export const throttle = defineUpdate<BackupStatus, [ThrottleCommand]>('throttle');
/** The limit in force; the running dump asks for it every few seconds. */
export const throttled = defineQuery<Throttle | null>('throttled');
export const backupStatus = defineQuery<BackupStatus>('status');

/** Decide on a restore that would replace data. */
export const approveRestore = defineUpdate<RestoreStatus, [RestoreApproval]>('approve');
export const rejectRestore = defineUpdate<RestoreStatus, [RestoreApproval]>('reject');
export const restoreStatus = defineQuery<RestoreStatus>('status');

export const drillStatus = defineQuery<DrillStatus>('status');

/** Commands to the workflow that stores slices of the oplog; none of them can be refused. */
export const applySlices = defineSignal<[{ policy: BackupPolicy }]>('apply');
export const pauseSlices = defineSignal<[Rest]>('pause');
export const resumeSlices = defineSignal<[{ by: string }]>('resume');
export const stopSlices = defineSignal<[{ by: string }]>('stop');
export const slicesStatus = defineQuery<SlicesStatus>('status');

/** Ends a lock on a source; sent by its holder. */
export const releaseLock = defineSignal('release');
