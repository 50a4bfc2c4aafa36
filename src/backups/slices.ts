/** The slices of a policy at its destination: what they reach, what a moment is brought back from, and which may go. */
import { DRILL_PREFIX } from '../domain/backup/names.ts';
import type { SlicePrune } from '../domain/backup/types.ts';
import type { Moment } from '../domain/point-in-time/moment.ts';
import {
  type Base,
  planRecovery,
  reachableRanges,
  type ReachableRange,
  type Recovery,
} from '../domain/point-in-time/reach.ts';
import type { Clock } from '../domain/backup/retention.ts';
import { decideSlices, type SliceVerdict } from '../domain/point-in-time/slice-retention.ts';
import type { NamespaceFilter } from '../mongodb/dump/listing.ts';
import {
  deleteSlice,
  type ListedSlice,
  listSlices,
  newestSlice,
  readSliceManifest,
} from '../mongodb/oplog/catalog.ts';
import { forEachLimited } from '../mongodb/parallel.ts';
import type { SliceSource } from '../mongodb/restore/roll-forward.ts';
import type { BackupPolicy } from '../specs/backup.types.ts';
import { milliseconds } from '../specs/duration.ts';
import type { BackupManifest } from '../specs/manifest.ts';
import type { SliceManifest } from '../specs/slice.ts';
import type { Storage } from '../storage/storage.ts';
import { BackupUnknownError, verifiedBackups } from './verified.ts';

const PARALLEL_READS = 8;

/** What the slices of a policy hold: what its dumps take, also where the documents are of a kind that dumps leave out. */
export function sliceFilter({ spec }: BackupPolicy): NamespaceFilter {
  const { databases, include, exclude } = spec.source;
  return { databases: databases ?? [], include, exclude: [...exclude, `${DRILL_PREFIX}*`] };
}

/** The one moment that a backup shows; `undefined` when it shows none, so that nothing can go on from it. */
export function momentOf({ consistency }: BackupManifest): Moment | undefined {
  if (consistency.kind === 'snapshot') return consistency.clusterTime;
  return consistency.kind === 'oplog' ? consistency.to : undefined;
}

/** Backups that slices can go on from: those that show one moment. */
export function basesOf(manifests: readonly BackupManifest[]): Base[] {
  return manifests.flatMap((manifest) => {
    const at = momentOf(manifest);
    return at ? [{ id: manifest.id, at }] : [];
  });
}

/** A break in the slices. */
interface SliceGap {
  /** Slices reached up to this moment before it, and go on from `until`. */
  after: Moment;
  until: Moment;
  reason: string;
  /** When it was noticed, ISO 8601. */
  noticedAt: string;
}

/** What a policy's slices of the oplog reach, together with its verified backups. */
export interface Reach {
  slices: number;
  /** The newest moment that is in a slice; `null`: there are none. */
  reached: Moment | null;
  ranges: ReachableRange[];
  gaps: SliceGap[];
}

/** What can be brought back. */
export async function reachOf(storage: Storage, policy: string): Promise<Reach> {
  const { slices } = await listSlices(storage, policy);
  const bases = slices.length > 0 ? basesOf(await verifiedBackups(storage, policy)) : [];
  return {
    slices: slices.length,
    reached: newestSlice(slices)?.to ?? null,
    ranges: reachableRanges(bases, slices),
    gaps: await gapsOf(storage, policy, slices),
  };
}

/** How far the slices lead (`null`: there are none), and where they go on after the last break; without a look at the backups. */
export async function slicesLead(
  storage: Storage,
  policy: string,
): Promise<{ reached: Moment | null; lastGap: Moment | null }> {
  const { slices } = await listSlices(storage, policy);
  const gaps = await gapsOf(storage, policy, slices);
  return { reached: newestSlice(slices)?.to ?? null, lastGap: gaps.at(-1)?.until ?? null };
}

/** The breaks in the slices, oldest first. */
export async function sliceGaps(storage: Storage, policy: string): Promise<SliceGap[]> {
  return await gapsOf(storage, policy, (await listSlices(storage, policy)).slices);
}

async function gapsOf(storage: Storage, policy: string, slices: readonly ListedSlice[]): Promise<SliceGap[]> {
  const firsts = slices.filter(({ chain }, at) => chain > 1 && slices[at - 1]?.chain !== chain);
  const gaps: SliceGap[] = [];
  for (const first of firsts) {
    const { gap, from, storedAt } = await readSliceManifest(storage, policy, first);
    if (gap) gaps.push({ ...gap, until: from, noticedAt: storedAt });
  }
  return gaps;
}

/** A backup and the slices that lead from it to a moment. */
export interface OpenRecovery {
  manifest: BackupManifest;
  after: Moment;
  until: Moment;
  slices: SliceSource[];
}

/** Whether moments between backups are meant when a policy is asked for a time. */
export async function hasSlices(storage: Storage, { metadata, spec }: BackupPolicy): Promise<boolean> {
  // Policies that were applied before there were slices do not have the field.
  return Boolean(spec.pointInTime ?? (await listSlices(storage, metadata.name)).slices.length > 0);
}

/**
 * What a moment is brought back from. `backup` pins the base that a plan has named.
 * @throws BackupUnknownError with what can be reached instead; BackupDamagedError when a slice has no valid manifest
 */
export async function recoveryAt(
  storage: Storage,
  policy: string,
  until: Moment,
  backup: string | null,
): Promise<OpenRecovery> {
  const all = await verifiedBackups(storage, policy);
  const manifests = backup === null ? all : all.filter(({ id }) => id === backup);
  const { slices } = await listSlices(storage, policy);
  const recovery = planRecovery(basesOf(manifests), slices, until);
  if (typeof recovery === 'string') throw new BackupUnknownError(`policy ${policy}: ${recovery}`);
  const manifest = manifests.find(({ id }) => id === recovery.base.id) as BackupManifest;
  return { manifest, after: recovery.base.at, until, slices: await sourcesOf(storage, policy, recovery) };
}

async function sourcesOf(
  storage: Storage,
  policy: string,
  { slices }: Recovery<ListedSlice>,
): Promise<SliceSource[]> {
  const manifests = new Map<ListedSlice, SliceManifest>();
  await forEachLimited(slices, PARALLEL_READS, async (slice) => {
    manifests.set(slice, await readSliceManifest(storage, policy, slice));
  });
  return slices.map((slice) => {
    const manifest = manifests.get(slice) as SliceManifest;
    const name = manifest.data?.name ?? '';
    return { manifest, open: async (signal) => storage.read(name, { signal }) };
  });
}

/** What retention makes of the slices, given the backups that stay. */
export async function sliceVerdict(
  storage: Storage,
  policy: BackupPolicy,
  stay: readonly BackupManifest[],
  clocks: readonly Clock[],
): Promise<SliceVerdict & { doomed: ListedSlice[] }> {
  const { slices } = await listSlices(storage, policy.metadata.name);
  const keepFor = policy.spec.pointInTime?.keepFor ?? null;
  const verdict = decideSlices({
    bases: basesOf(stay),
    slices,
    keepForMs: keepFor === null ? null : milliseconds(keepFor),
    clocks,
  });
  const doomed = new Set(verdict.delete);
  return { ...verdict, doomed: slices.filter(({ id }) => doomed.has(id)) };
}

/** Deletes the slices that no backup needs which is there now. `null`: there are none at all. */
export async function pruneSlices(
  storage: Storage,
  policy: BackupPolicy,
  clocks: readonly Clock[],
): Promise<(SlicePrune & { problems: string[] }) | null> {
  const { name } = policy.metadata;
  const { doomed, kept, reason } = await sliceVerdict(
    storage,
    policy,
    await verifiedBackups(storage, name),
    clocks,
  );
  if (doomed.length + kept === 0) return null;
  const problems: string[] = [];
  let deleted = 0;
  await forEachLimited(doomed, PARALLEL_READS, async (slice) => {
    try {
      await deleteSlice(storage, name, slice);
      deleted++;
    } catch (error) {
      problems.push(`${slice.id} could not be deleted: ${(error as Error).message}`);
    }
  });
  return { kept: kept + doomed.length - deleted, deleted, reason, problems: problems.slice(0, 5) };
}
