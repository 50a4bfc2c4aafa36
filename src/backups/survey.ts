/** What a destination holds of a policy, as alarms want to know it: looked at often, so nothing is read twice or in bulk. */
import type { DrillRecord } from '../domain/backup/drill.types.ts';
import { manifestName, readManifest } from '../mongodb/backup/catalog.ts';
import type { BackupPolicy } from '../specs/backup.types.ts';
import type { BackupManifest } from '../specs/manifest.ts';
import { ObjectNotFoundError, type Storage } from '../storage/storage.ts';
import { drillRecordName, drillRecords } from './notes.ts';
import { slicesLead } from './slices.ts';
import { dataTime, notOfTheFuture } from './verified.ts';

/** So many manifests are read at most for one look: a destination may hold the backups of many policies. */
const MOST_READ = 100;
/** Names follow the planned times of runs, which is nearly the order of the data: the newest is among so many. */
const CANDIDATES = 5;

type Known = Pick<BackupManifest, 'policy' | 'consistency' | 'startedAt' | 'bytes' | 'archive'>;
/** What is kept of manifests between two looks, by id; they never change. `null`: no manifest that can be read. */
export type SurveyMemory = Map<string, Known | null>;

export interface Survey {
  /** Newest verified backup, its data's time in ISO 8601; `null`: there is none. */
  newest: { at: string; size: number | null; bytes: number | null } | null;
  lastDrill: Pick<DrillRecord, 'at' | 'passed' | 'restoreMs'> | null;
  /** `null` when the policy wants no slices. Seconds since 1970; `null` when there is none yet. */
  slices: { reached: number | null; lastGap: number | null } | null;
}

/** Looks at names and sizes, and into the newest manifests that were not seen before. */
export async function survey(
  storage: Storage,
  { metadata, spec }: BackupPolicy,
  memory: SurveyMemory,
): Promise<Survey> {
  const { name: policy } = metadata;
  const sizes = new Map((await storage.list()).map(({ name, size }) => [name, size]));
  for (const id of memory.keys()) if (!sizes.has(manifestName(id))) memory.delete(id);
  const ending = manifestName('');
  const ids = [...sizes.keys()]
    .flatMap((name) => (name.endsWith(ending) ? [name.slice(0, -ending.length)] : []))
    .sort()
    .reverse();
  let reads = 0;
  const newestOf = async (among: readonly string[]): Promise<Map<string, Known>> => {
    const own = new Map<string, Known>();
    for (const id of among) {
      if (!memory.has(id)) {
        if (++reads > MOST_READ) break;
        memory.set(id, await knownOf(storage, id));
      }
      const known = memory.get(id);
      if (known?.policy === policy && sizes.get(known.archive.name) === known.archive.size)
        own.set(id, known);
      if (own.size === CANDIDATES) break;
    }
    return own;
  };
  const verified = [...(await newestOf(ids)).values()];
  const [newest] = notOfTheFuture(verified).sort((a, b) => Date.parse(dataTime(b)) - Date.parse(dataTime(a)));
  const drilled = await newestOf(ids.filter((id) => sizes.has(drillRecordName(id))));
  const records = drilled.size === 0 ? [] : [...(await drillRecords(storage, [...drilled.keys()])).values()];
  return {
    newest: newest ? { at: dataTime(newest), size: newest.archive.size, bytes: newest.bytes } : null,
    lastDrill: records.sort((a, b) => b.at.localeCompare(a.at))[0] ?? null,
    slices: spec.pointInTime ? await slicesOf(storage, policy) : null,
  };
}

async function knownOf(storage: Storage, id: string): Promise<Known | null> {
  try {
    const { policy, consistency, startedAt, bytes, archive } = await readManifest(storage, id);
    return { policy, consistency, startedAt, bytes, archive };
  } catch (error) {
    // What is no manifest is no backup. A storage that fails is another matter.
    if (error instanceof ObjectNotFoundError) return null;
    if (/^(the manifest|it was made by mongodump)/.test((error as Error).message)) return null;
    throw error;
  }
}

async function slicesOf(storage: Storage, policy: string): Promise<NonNullable<Survey['slices']>> {
  const { reached, lastGap } = await slicesLead(storage, policy);
  return { reached: reached?.t ?? null, lastGap: lastGap?.t ?? null };
}
