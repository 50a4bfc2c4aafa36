/** Names of backups: archives, workflows, schedules, locks. */
import type { Compression } from '../specs/backup.types.ts';

export const BACKUP_WORKFLOW = {
  backup: 'backup',
  restore: 'restoreData',
  drill: 'drill',
  lock: 'sourceLock',
} as const;

/** Databases with this prefix are a drill's scratch place: made, compared and dropped by it, never backed up. */
export const DRILL_PREFIX = 'slipway_drill_';

/** Id of the Schedule of a policy, and the first part of the ids of its runs. */
export function backupScheduleId(policy: string): string {
  return `backup.${policy}`;
}

/** Id of a run, as the Schedule forms it: `backup.shop-2026-11-23T02:00:00Z`. */
export function backupRunId(policy: string, at: Date): string {
  return `${backupScheduleId(policy)}-${seconds(at)}Z`;
}

export function restoreId(source: string, at: Date): string {
  return `restore.${source}-${seconds(at)}Z`;
}

export function drillId(policy: string, archive: string): string {
  return `drill.${policy}.${archive}`;
}

/** The id is the lock: one backup or restore at a time for a server. `key` is from {@link sourceKey}'s activity. */
export function sourceLockId(key: string): string {
  return `backup-source.${key}`;
}

const ENDINGS: Record<Compression, string> = { none: '.archive', gzip: '.gz', zstd: '.zst' };

/**
 * `dump-20261123-020000.gz` for a run's nominal time, in UTC so that names sort and never come twice. `taken` says
 * which names are in use: then `-2`, `-3` and so on is put before the ending.
 */
export function archiveName(
  at: Date,
  form: { compression: Compression; encrypted: boolean },
  taken: (name: string) => boolean,
): string {
  const stem = `dump-${seconds(at).replaceAll(/[-:]/g, '').replace('T', '-')}`;
  const ending = `${ENDINGS[form.compression]}${form.encrypted ? '.enc' : ''}`;
  for (let count = 1; ; count++) {
    const name = `${stem}${count === 1 ? '' : `-${count}`}${ending}`;
    if (!taken(name)) return name;
  }
}

function seconds(at: Date): string {
  return at.toISOString().slice(0, 19);
}
