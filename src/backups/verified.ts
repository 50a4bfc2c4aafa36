/** The verified backups of a policy: what each shows, and which one is meant. */
import type { BackupChoice } from '../domain/backup/restore.types.ts';
import type { BackupSummary } from '../domain/backup/types.ts';
import { beforeRestoreId, isBeforeRestore } from '../domain/backup/names.ts';
import { CLOCK_TOLERANCE_MS } from '../domain/backup/retention.ts';
import { parseMoment } from '../domain/point-in-time/moment.ts';
import { listBackups } from '../mongodb/backup/catalog.ts';
import type { BackupManifest } from '../specs/manifest.ts';
import type { Storage } from '../storage/storage.ts';
import type { PolicyKeys } from './settings.ts';

/** No backup is there that a choice could mean. */
export class BackupUnknownError extends Error {
  override name = 'BackupUnknownError';
}

/** The moment that a backup shows, ISO 8601; where the dump promises none, its beginning. */
export function dataTime({
  consistency,
  startedAt,
}: Pick<BackupManifest, 'consistency' | 'startedAt'>): string {
  if (consistency.kind === 'snapshot') return isoSeconds(consistency.clusterTime.t);
  return consistency.kind === 'oplog' ? isoSeconds(consistency.to.t) : startedAt;
}

function isoSeconds(seconds: number): string {
  return new Date(seconds * 1_000).toISOString();
}

/** How the data belongs together, in words; times are ISO 8601. */
export function consistencyText({ consistency }: BackupManifest): string {
  switch (consistency.kind) {
    case 'snapshot':
      return `snapshot at ${isoSeconds(consistency.clusterTime.t)}${consistency.except.length > 0 ? `, except ${consistency.except.join(', ')}` : ''}`;
    case 'oplog':
      return `oplog from ${isoSeconds(consistency.from.t)} to ${isoSeconds(consistency.to.t)}`;
    case 'none':
      return `none: ${consistency.reason}`;
  }
}

/** What histories and lists keep of a manifest; durations in milliseconds. */
export function summaryOf(manifest: BackupManifest, location: string): BackupSummary {
  const { id, archive, namespaces, documents, bytes, startedAt, storedAt, verifiedAt, warnings } = manifest;
  return {
    id,
    archive: archive.name,
    location,
    at: dataTime(manifest),
    consistency: consistencyText(manifest),
    namespaces: namespaces.length,
    documents,
    bytes,
    size: archive.size,
    sha256: archive.sha256,
    dumpMs: Date.parse(storedAt) - Date.parse(startedAt),
    proveMs: Date.parse(verifiedAt) - Date.parse(storedAt),
    warnings,
  };
}

/** Verified backups of a policy, newest first. */
export async function verifiedBackups(storage: Storage, policy: string): Promise<BackupManifest[]> {
  const entries = await listBackups(storage, policy);
  return entries
    .flatMap((entry) =>
      entry.state === 'verified' && entry.manifest.policy === policy ? [entry.manifest] : [],
    )
    .sort((a, b) => Date.parse(dataTime(b)) - Date.parse(dataTime(a)));
}

/** A sentence on the backups that no key of the policy opens; `null` when there are none, or keys that are not there. */
export function unreadable(
  backups: readonly Pick<BackupManifest, 'id' | 'archive'>[],
  keys: Pick<PolicyKeys, 'has' | 'complete'>,
): string | null {
  const locked = backups.filter(({ archive }) => archive.encryption && !keys.has(archive.encryption.keyId));
  if (!keys.complete || locked.length === 0) return null;
  const ids = [...new Set(locked.map(({ archive }) => archive.encryption?.keyId ?? ''))];
  const which = locked.length === 1 ? '1 backup' : `${locked.length} backups, ${locked.at(-1)?.id} to`;
  return `no key of the policy opens ${which} ${locked[0]?.id}: encrypted with key ${ids.join(', ')}. Say in spec.encryption.olderKeys where that key is, as long as they are to be restored`;
}

/** The restore that had this backup made of what it was about to replace; `null` for any other. */
export function madeBefore({ owner }: Pick<BackupManifest, 'owner'>): string | null {
  const workflow = owner.split('/')[0] ?? '';
  return isBeforeRestore(workflow) ? workflow.slice(0, -beforeRestoreId('').length) : null;
}

/**
 * Those whose data is of a time that has come. A clock that was ahead must neither make an old backup the latest one nor
 * keep an alarm from ringing.
 */
export function notOfTheFuture<Backup extends Pick<BackupManifest, 'consistency' | 'startedAt'>>(
  backups: readonly Backup[],
  now = Date.now(),
): Backup[] {
  return hasCome(backups, dataTime, now);
}

function hasCome<T>(backups: readonly T[], timeOf: (backup: T) => string, now = Date.now()): T[] {
  const come = backups.filter((backup) => Date.parse(timeOf(backup)) <= now + CLOCK_TOLERANCE_MS);
  // Where all are, it is this clock that is behind.
  return come.length > 0 ? come : [...backups];
}

/** The backup that is meant, see {@link pickBackup}. */
export async function chooseBackup(
  storage: Storage,
  policy: string,
  choice: BackupChoice,
): Promise<BackupManifest> {
  const all = await verifiedBackups(storage, policy);
  return pickBackup(all, dataTime, choice, `policy ${policy} at ${storage.location}`);
}

/**
 * Which of the verified backups, newest first, is meant. The newest one is never what a restore has replaced: that comes
 * back when it is named.
 * @throws BackupUnknownError with what there is instead
 */
export function pickBackup<T extends Pick<BackupManifest, 'id' | 'owner'>>(
  all: readonly T[],
  timeOf: (backup: T) => string,
  choice: BackupChoice,
  place: string,
): T {
  const wanted = 'id' in choice ? choice.id.replace(/(\.archive|\.gz|\.zst)(\.enc)?$/, '') : null;
  const found =
    'at' in choice
      ? all.find((backup) => Date.parse(timeOf(backup)) <= (parseMoment(choice.at)?.t ?? 0) * 1_000)
      : wanted === null
        ? hasCome(all, timeOf).find((backup) => madeBefore(backup) === null)
        : all.find(({ id }) => id === wanted);
  if (found) return found;
  const what =
    'id' in choice
      ? `no verified backup ${choice.id}`
      : 'at' in choice
        ? `no verified backup of ${choice.at} or before`
        : 'no verified backup';
  const newest = all.slice(0, 5).map(({ id }) => id);
  const there = newest.length === 0 ? 'there is none at all' : `the newest are ${newest.join(', ')}`;
  throw new BackupUnknownError(`${what} of ${place}; ${there}`);
}
