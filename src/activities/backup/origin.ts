/** What a restore reads from: a backup of a policy, carried forward by slices where a moment is meant, or a file. */
import { open as openForReading, stat } from 'node:fs/promises';
import { ApplicationFailure } from '@temporalio/common';
import { hasSlices, type OpenRecovery, recoveryAt } from '../../backups/slices.ts';
import { isOfArchive } from './failure.ts';
import { openStorage, policyKeys, type SettingsSource } from '../../backups/settings.ts';
import type { ClaimedBackup } from '../../backups/claim-stream.ts';
import { chooseBackup, dataTime } from '../../backups/verified.ts';
import { BACKUP_FAILURE } from '../../domain/backup/failures.ts';
import type {
  PlannedRollForward,
  RestoreOrigin,
  RestoreSelection,
} from '../../domain/backup/restore.types.ts';
import { momentClock, momentText, parseMoment } from '../../domain/point-in-time/moment.ts';
import type { RestoreSource } from '../../mongodb/restore.ts';
import { RollForward } from '../../mongodb/restore/roll-forward.ts';
import type { BackupManifest } from '../../specs/manifest.ts';
import { filePieces } from '../../storage/file-pieces.ts';
import type { Storage } from '../../storage/storage.ts';

/** What the worker has found out for the engine, where the archive lies on a claim. */
export interface FromClaim {
  claimed?: ClaimedBackup | undefined;
}

export interface OpenArchive {
  source: Pick<RestoreSource, 'open' | 'key' | 'manifest'>;
  /** Id of the backup, or path of the file. */
  name: string;
  location: string;
  manifest: BackupManifest | undefined;
  /** Time of the data, ISO 8601, when known; and bytes of it, 0 when not. */
  at: string | null;
  bytes: number;
  /** How it is carried forward, when a moment between backups is meant. */
  recovery?: OpenRecovery;
}

/** Opens what a restore reads from, for as long as `use` takes. `archive` pins the backup that a plan named. */
export async function withArchive<T>(
  origin: RestoreOrigin,
  archive: string | null,
  from: SettingsSource,
  use: (opened: OpenArchive) => Promise<T>,
  claimed?: ClaimedBackup,
): Promise<T> {
  if (claimed) {
    const opened = await openClaimed(claimed, from);
    return await named(opened.name, use(opened));
  }
  if ('file' in origin) {
    const opened = await openFile(origin.file);
    return await named(opened.name, use(opened));
  }
  const { policy, backup } = origin;
  const { find: key } = await policyKeys(policy, from);
  const storage = await openStorage(policy.spec.destination, from);
  try {
    const recovery = await recoveryOf(storage, origin, archive);
    const choice = archive === null ? backup : { id: archive };
    const manifest = recovery?.manifest ?? (await chooseBackup(storage, policy.metadata.name, choice));
    const open = async (signal?: AbortSignal) => storage.pieces(manifest.archive.name, signal);
    const opened: OpenArchive = {
      source: { open, key, manifest },
      name: manifest.id,
      location: storage.location,
      manifest,
      at: recovery ? momentClock(recovery.until) : dataTime(manifest),
      bytes: manifest.bytes,
      ...(recovery && { recovery }),
    };
    return await named(opened.name, use(opened));
  } finally {
    await storage.close();
  }
}

/** What zlib says of a file that is cut off names no file. */
async function named<T>(name: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof Error && isOfArchive(error) && !error.message.includes(name))
      error.message = `${name}: ${error.message}`;
    throw error;
  }
}

/** Without slices the newest backup of a time or before is meant, as it is. */
async function recoveryOf(
  storage: Storage,
  { policy, backup }: Extract<RestoreOrigin, { policy: unknown }>,
  archive: string | null,
): Promise<OpenRecovery | undefined> {
  const moment = 'at' in backup ? parseMoment(backup.at) : undefined;
  if (!moment || !(await hasSlices(storage, policy))) return undefined;
  return await recoveryAt(storage, policy.metadata.name, moment, archive);
}

/** Made anew for each use, for it remembers what it has read. `undefined`: the archive is all there is. */
export function rollForwardOf(
  { recovery, source }: OpenArchive,
  selection: RestoreSelection,
): RollForward | undefined {
  if (!recovery || recovery.slices.length === 0) return undefined;
  const { slices, after, until } = recovery;
  return new RollForward({ slices, after, until, key: source.key, selection: selectionOf(selection) });
}

async function openFile(path: string): Promise<OpenArchive> {
  const found = await stat(path).catch(() => undefined);
  if (!found?.isFile()) {
    throw ApplicationFailure.nonRetryable(
      `${path}: the worker finds no such file`,
      BACKUP_FAILURE.backupUnknown,
    );
  }
  const open = async (signal?: AbortSignal) => filePieces(() => openForReading(path), signal);
  return { source: { open }, name: path, location: 'the worker', manifest: undefined, at: null, bytes: 0 };
}

/** Each reading compares size and SHA-256 with the manifest, so that nothing is restored from what is not whole. */
async function openClaimed(claimed: ClaimedBackup, { access }: SettingsSource): Promise<OpenArchive> {
  if (!access) throw new Error('an archive on a claim is read where there is a cluster');
  // With a library that others need not have in memory.
  const { readClaimed } = await import('../../backups/claim-stream.ts');
  const open = async (signal?: AbortSignal) => readClaimed(claimed, access, signal);
  const { backup, location } = claimed;
  const { id, startedAt, bytes } = backup;
  return { source: { open }, name: id, location, manifest: undefined, at: startedAt, bytes };
}

/** A selection in the engine's patterns. */
export function selectionOf({ databases, collections, rename }: RestoreSelection) {
  const include = [...(databases ?? []).map((name) => `${name}.*`), ...(collections ?? [])];
  return {
    ...(include.length === 0 ? {} : { include }),
    ...(rename.length === 0
      ? {}
      : { nsFrom: rename.map(({ from }) => from), nsTo: rename.map(({ to }) => to) }),
  };
}

/** What the plan says of the way from the backup to the moment. */
export async function plannedRollForward(
  { recovery }: OpenArchive,
  rollForward: RollForward | undefined,
): Promise<PlannedRollForward | undefined> {
  if (!recovery) return undefined;
  const facts = (await rollForward?.scan()) ?? { slices: 0, entries: 0, bytes: 0, last: null };
  return {
    at: momentClock(recovery.until),
    moment: momentText(recovery.until),
    baseAt: momentClock(recovery.after),
    slices: facts.slices,
    entries: facts.entries,
    bytes: facts.bytes,
    lastEntry: facts.last && momentClock(facts.last),
  };
}

/** What is not of the wanted moment is said. */
export function notesOn(
  { at, moment, baseAt, slices, entries, lastEntry }: PlannedRollForward,
  base: string,
  manifest: BackupManifest | undefined,
  { users }: RestoreSelection,
): string[] {
  const upTo = lastEntry === null ? '' : `, the last of ${lastEntry}`;
  const notes = [
    `${base} shows ${baseAt}; ${count(entries, 'entry', 'entries')} of ${count(slices, 'slice', 'slices')} of the oplog lead to ${at} (${moment})${upTo}`,
  ];
  const except = manifest?.consistency.kind === 'snapshot' ? manifest.consistency.except : [];
  if (except.length > 0) {
    notes.push(
      `${except.join(', ')} could only be read after ${baseAt}: what was written until then may be in it twice over, in another order`,
    );
  }
  if (users) notes.push(`users and roles are those of ${base}; later changes of them are not in the slices`);
  return notes;
}

function count(number: number, one: string, many: string): string {
  return `${number} ${number === 1 ? one : many}`;
}
