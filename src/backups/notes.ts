/** What lies beside archives and manifests: holds, which keep retention away, and records of drills. */
import { createHash } from 'node:crypto';
import type { DrillRecord } from '../domain/backup/drill.types.ts';
import type { Clock, Hold } from '../domain/backup/retention.ts';
import { ObjectNotFoundError, readSmall, type Storage } from '../storage/storage.ts';

const HOLD_PART = '.hold-';
const SMALL = 1 << 20;

/** Who holds a backup, and until when (ISO 8601). */
export interface HoldNote {
  claimant: string;
  until: string;
}

/** Name of the note beside the archive. */
export function holdName(id: string, claimant: string): string {
  return `${id}${HOLD_PART}${createHash('sha256').update(claimant).digest('hex').slice(0, 16)}.json`;
}

/** Keeps retention away from a backup until a time. Repeating it moves the time. */
export async function hold(storage: Storage, id: string, note: HoldNote): Promise<void> {
  await storage.write(holdName(id, note.claimant), JSON.stringify(note), { replace: true });
}

/** Lets retention go again. One that is not there is no error. */
export async function releaseHold(storage: Storage, id: string, claimant: string): Promise<void> {
  await storage.delete(holdName(id, claimant));
}

/** Holds that have not run out; those that have are removed. */
export async function activeHolds(storage: Storage, clocks: readonly Clock[]): Promise<Hold[]> {
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

/** Name of the record of the last drill, beside the archive. */
export function drillRecordName(backup: string): string {
  return `${backup}.drill.json`;
}

/** Writes down how a drill of a backup went; the last one counts. */
export async function recordDrill(storage: Storage, record: DrillRecord): Promise<void> {
  await storage.write(drillRecordName(record.backup), JSON.stringify(record, null, 1), { replace: true });
}

/** Drill records by backup. */
export async function drillRecords(
  storage: Storage,
  backups: readonly string[],
): Promise<Map<string, DrillRecord>> {
  const wanted = new Set(backups.map(drillRecordName));
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
