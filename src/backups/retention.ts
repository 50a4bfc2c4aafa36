/** What retention makes of all that lies at a destination, and doing it. */
import type { PruneSummary } from '../domain/backup/types.ts';
import { type Candidate, type Clock, decideRetention, type Verdict } from '../domain/backup/retention.ts';
import { type CatalogEntry, deleteBackup, listBackups } from '../mongodb/backup/catalog.ts';
import type { BackupPolicy } from '../specs/backup.types.ts';
import type { Storage } from '../storage/storage.ts';
import { isSliceFile } from '../mongodb/oplog/catalog.ts';
import { activeHolds, drillRecordName } from './notes.ts';
import { pruneSlices } from './slices.ts';
import { dataTime } from './verified.ts';

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
    .filter(({ name }) => !name.endsWith('.json') && !ours.has(name) && !isSliceFile(name))
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
      await storage.delete(drillRecordName(id));
      deleted.push(id);
    } catch (error) {
      problems.push(`${id} could not be deleted: ${(error as Error).message}`);
    }
  }
  // Only now, for a slice is needed as long as a backup is there that could not be deleted.
  const slices = await pruneSlices(storage, policy, clocks);
  if (!slices) return { kept: verdicts.length - deleted.length, deleted, problems };
  const { problems: ofSlices, ...summary } = slices;
  return {
    kept: verdicts.length - deleted.length,
    deleted,
    problems: [...problems, ...ofSlices],
    slices: summary,
  };
}
