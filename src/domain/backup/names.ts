/** Names of backups, workflows, schedules and locks. */
export const BACKUP_WORKFLOW = {
  backup: 'backup',
  restore: 'restoreData',
  drill: 'drill',
  lock: 'sourceLock',
  slices: 'oplogSlices',
  deleted: 'policyDeleted',
} as const;

/** Databases with this prefix are a drill's scratch place: made, compared and dropped by it, never backed up. */
export const DRILL_PREFIX = 'slipway_drill_';

const BEFORE = '.before';

/** Id of the Schedule of a policy, and the first part of the ids of its runs. */
export function backupScheduleId(policy: string): string {
  return `backup.${policy}`;
}

/** Id of a run, as the Schedule forms it: `backup.shop-2026-11-23T02:00:00Z`. */
export function backupRunId(policy: string, at: Date): string {
  return `${backupScheduleId(policy)}-${seconds(at)}Z`;
}

/** Id of a restore from a policy or archive, begun at a time: `restore.shop-2026-11-23T09:15:30Z`. */
export function restoreId(source: string, at: Date): string {
  return `restore.${source}-${seconds(at)}Z`;
}

/** Id of a drill: one at a time for a backup. */
export function drillId(policy: string, backup: string): string {
  return `drill.${policy}.${backup}`;
}

/** Id of the backup that a restore has made of what it is about to replace. */
export function beforeRestoreId(restore: string): string {
  return `${restore}${BEFORE}`;
}

export function isBeforeRestore(workflow: string): boolean {
  return workflow.endsWith(BEFORE);
}

/** Id of the workflow that stores slices of the oplog for a policy. */
export function slicesId(policy: string): string {
  return `oplog.${policy}`;
}

/** Id of the workflow that remembers that a policy was deleted on purpose. */
export function deletedId(policy: string): string {
  return `policy-deleted.${policy}`;
}

/** The id is the lock: one backup or restore at a time for a server. `key` comes from the activity `identifySource`. */
export function sourceLockId(key: string): string {
  return `backup-source.${key}`;
}

/**
 * `dump-20261123-020000` for a run's nominal time, in UTC so that names sort and none comes twice a year. A second run
 * of the same second gets `-2` put behind it by whoever claims the name at the destination.
 */
export function backupIdAt(at: Date): string {
  return `dump-${seconds(at).replaceAll(/[-:]/g, '').replace('T', '-')}`;
}

function seconds(at: Date): string {
  return at.toISOString().slice(0, 19);
}
