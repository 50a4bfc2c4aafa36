/** What lies at a destination besides archives and manifests: drill records and holds; and what retention makes of it all. */
import { createHash } from 'node:crypto';
import { ApplicationFailure } from '@temporalio/common';
import { BACKUP_FAILURE } from '../domain/backup.failures.ts';
import type { BackupChoice, BackupSummary, PruneSummary } from '../domain/backup.types.ts';
import { type Candidate, type Clock, decideRetention, type Hold, type Verdict } from '../domain/retention.ts';
import { type CatalogEntry, deleteBackup, listBackups } from '../mongodb/backup/catalog.ts';
import type { BackupPolicy } from '../specs/backup.types.ts';
import type { BackupManifest } from '../specs/manifest.ts';
import { ObjectNotFoundError, readSmall, type Storage } from '../storage/storage.ts';
import type { DrillRecord } from './backup.types.ts';

const DRILL_ENDING = '.drill.json';
const HOLD_PART = '.hold-';
const SMALL = 1 << 20;

/** The moment that a backup shows, ISO 8601; where the dump promises none, its beginning. */
export function dataTime({ consistency, startedAt }: BackupManifest): string {
  if (consistency.kind === 'snapshot') return isoSeconds(consistency.clusterTime.t);
  return consistency.kind === 'oplog' ? isoSeconds(consistency.to.t) : startedAt;
}

function isoSeconds(seconds: number): string {
  return new Date(seconds * 1_000).toISOString();
}

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

/** The backup that is meant. Throws `BackupUnknown` with what there is instead. */
export async function chooseBackup(
  storage: Storage,
  policy: string,
  choice: BackupChoice,
): Promise<BackupManifest> {
  const all = await verifiedBackups(storage, policy);
  const wanted = 'id' in choice ? choice.id.replace(/(\.archive|\.gz|\.zst)(\.enc)?$/, '') : null;
  const found =
    'at' in choice
      ? all.find((manifest) => Date.parse(dataTime(manifest)) <= Date.parse(choice.at))
      : all.find(({ id }) => wanted === null || id === wanted);
  if (found) return found;
  const what =
    'id' in choice
      ? `no verified backup ${choice.id}`
      : 'at' in choice
        ? `no verified backup of ${choice.at} or before`
        : 'no verified backup';
  const newest = all.slice(0, 5).map(({ id }) => id);
  const there = newest.length === 0 ? 'there is none at all' : `the newest are ${newest.join(', ')}`;
  throw ApplicationFailure.nonRetryable(
    `${what} of policy ${policy} at ${storage.location}; ${there}`,
    BACKUP_FAILURE.backupUnknown,
  );
}

/** Verdicts on everything that lies at the destination. */
export async function retentionVerdicts(
  storage: Storage,
  policy: BackupPolicy,
  clocks: readonly Clock[],
): Promise<Verdict[]> {
  const { metadata, spec } = policy;
  const [entries, holds] = await Promise.all([listBackups(storage), activeHolds(storage, clocks)]);
  return decideRetention({
    policy: metadata.name,
    rules: spec.retention,
    timezone: spec.schedule.timezone,
    found: [...entries.map(candidateOf), ...(await foreignArchives(storage, entries))],
    holds,
    clocks,
  });
}

function candidateOf(entry: CatalogEntry): Candidate {
  if (entry.state === 'invalid')
    return { id: entry.id, policy: null, state: 'unreadable', at: '', link: false };
  const state = entry.state === 'verified' ? 'verified' : 'failed';
  return { id: entry.id, policy: entry.manifest.policy, state, at: dataTime(entry.manifest), link: false };
}

/** Archives without a manifest: shown so that nobody wonders, never deleted. */
async function foreignArchives(storage: Storage, entries: CatalogEntry[]): Promise<Candidate[]> {
  const ours = new Set(
    entries.flatMap((entry) => ('manifest' in entry ? [entry.manifest.archive.name] : [])),
  );
  const objects = await storage.list();
  return objects
    .filter(({ name }) => !name.endsWith('.json') && !ours.has(name))
    .map(({ name, modified }) => ({
      id: name,
      policy: null,
      state: 'unverified' as const,
      at: modified.toISOString(),
      link: false,
    }));
}

/** Deletes what no rule keeps. What cannot be deleted is told, and tried again by the next run. */
export async function prune(
  storage: Storage,
  policy: BackupPolicy,
  clocks: readonly Clock[],
): Promise<PruneSummary> {
  const verdicts = await retentionVerdicts(storage, policy, clocks);
  const entries = await listBackups(storage, policy.metadata.name);
  const deleted: string[] = [];
  const problems: string[] = [];
  for (const { id, verdict } of verdicts) {
    if (verdict === 'keep') continue;
    const entry = entries.find((each) => each.id === id);
    if (!entry || !('manifest' in entry)) continue;
    try {
      await deleteBackup(storage, entry.manifest);
      await storage.delete(`${id}${DRILL_ENDING}`);
      deleted.push(id);
    } catch (error) {
      problems.push(`${id} could not be deleted: ${(error as Error).message}`);
    }
  }
  return { kept: verdicts.length - deleted.length, deleted, problems };
}

interface HoldNote {
  claimant: string;
  until: string;
}

function holdName(id: string, claimant: string): string {
  return `${id}${HOLD_PART}${createHash('sha256').update(claimant).digest('hex').slice(0, 16)}.json`;
}

/** Keeps retention away from a backup until a time. Repeating it moves the time. */
export async function hold(storage: Storage, id: string, note: HoldNote): Promise<void> {
  await storage.write(holdName(id, note.claimant), JSON.stringify(note), { replace: true });
}

export async function releaseHold(storage: Storage, id: string, claimant: string): Promise<void> {
  await storage.delete(holdName(id, claimant));
}

async function activeHolds(storage: Storage, clocks: readonly Clock[]): Promise<Hold[]> {
  const now = Math.min(...clocks.map(({ time }) => time));
  const holds: Hold[] = [];
  for (const { name } of await storage.list()) {
    const at = name.indexOf(HOLD_PART);
    if (at < 0) continue;
    const note = await readJson<HoldNote>(storage, name);
    // A hold that cannot be read is one all the same.
    if (note && Date.parse(note.until) <= now) await storage.delete(name);
    else
      holds.push({
        id: name.slice(0, at),
        reason: note ? `${note.claimant}, until ${note.until}` : 'by a note that cannot be read',
      });
  }
  return holds;
}

/** Writes down how a drill of a backup went; the last one counts. */
export async function recordDrill(storage: Storage, record: DrillRecord): Promise<void> {
  await storage.write(`${record.backup}${DRILL_ENDING}`, JSON.stringify(record, null, 1), { replace: true });
}

/** Drill records by backup. */
export async function drillRecords(
  storage: Storage,
  backups: readonly string[],
): Promise<Map<string, DrillRecord>> {
  const wanted = new Set(backups.map((id) => `${id}${DRILL_ENDING}`));
  const records = new Map<string, DrillRecord>();
  for (const { name } of await storage.list()) {
    const record = wanted.has(name) ? await readJson<DrillRecord>(storage, name) : undefined;
    if (record) records.set(record.backup, record);
  }
  return records;
}

async function readJson<T>(storage: Storage, name: string): Promise<T | undefined> {
  try {
    return JSON.parse((await readSmall(storage, name, SMALL)).toString('utf8')) as T;
  } catch (error) {
    if (error instanceof ObjectNotFoundError || error instanceof SyntaxError) return undefined;
    throw error;
  }
}
