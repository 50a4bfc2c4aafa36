// The slices at a destination. Their names tell policy, chain and stretch, so that thousands of them are known by one
// listing; a slice is there when its manifest is, and its data.
import type { Moment } from '../../domain/point-in-time/moment.ts';
import { compareMoments, momentLabel } from '../../domain/point-in-time/moment.ts';
import type { Stretch } from '../../domain/point-in-time/reach.ts';
import { parseSliceManifest, type SliceManifest } from '../../specs/slice.ts';
import { type Compression, compressionSuffix } from '../../storage/compression.ts';
import { ObjectNotFoundError, readSmall, type Storage } from '../../storage/storage.ts';
import { BackupDamagedError } from '../backup/catalog.ts';

const manifestEnding = '.slice.json';

/** One slice, as its name and the listing tell. */
export interface ListedSlice extends Stretch {
  /** Made by one attempt to store it; data and manifest share it. */
  mark: string;
}

/** Written before an attempt stores anything. */
interface AttemptNote {
  data: string;
}

function prefixOf(policy: string): string {
  return `oplog.${policy}.`;
}

function stamp({ t, i }: Moment): string {
  return `${String(t).padStart(10, '0')}-${String(i).padStart(10, '0')}`;
}

function chainText(chain: number): string {
  return String(chain).padStart(6, '0');
}

/** Name of a slice's data; its end is not known when writing begins, so the mark tells it apart. */
export function sliceDataName(
  policy: string,
  { chain, from, mark }: Pick<ListedSlice, 'chain' | 'from' | 'mark'>,
  { compression, encrypted }: { compression: Compression; encrypted: boolean },
): string {
  const ending = compressionSuffix(compression).replace('.archive', '');
  return `${prefixOf(policy)}${chainText(chain)}.${stamp(from)}.${mark}.bson${ending}${encrypted ? '.enc' : ''}`;
}

export function sliceId(policy: string, { chain, from, to, mark }: Omit<ListedSlice, 'id'>): string {
  return `${prefixOf(policy)}${chainText(chain)}.${stamp(from)}.${stamp(to)}.${mark}`;
}

export function sliceManifestName(id: string): string {
  return `${id}${manifestEnding}`;
}

/** Whether a file's name is one that slices have, whatever their policy. */
export function isSliceFile(name: string): boolean {
  return /^oplog\..+\.\d{6}\.\d{10}-\d{10}\.[0-9a-f]{8}\.bson(\.gz|\.zst)?(\.enc)?$/.test(name);
}

const idForm = /^(\d{6})\.(\d{10})-(\d{10})\.(\d{10})-(\d{10})\.([0-9a-f]{8})$/;
const dataForm = /^(\d{6})\.(\d{10}-\d{10})\.([0-9a-f]{8})\.bson/;

export interface SliceListing {
  /** By chain, then by beginning. */
  slices: ListedSlice[];
  /** Data without a manifest: left by attempts that were killed. */
  orphans: string[];
}

/** All slices of a policy. */
export async function listSlices(storage: Storage, policy: string): Promise<SliceListing> {
  const prefix = prefixOf(policy);
  const objects = await storage.list(prefix);
  const slices: ListedSlice[] = [];
  for (const { name } of objects) {
    const parts = name.endsWith(manifestEnding)
      ? idForm.exec(name.slice(prefix.length, -manifestEnding.length))
      : null;
    if (!parts) continue;
    const [chain, fromT, fromI, toT, toI] = parts.slice(1, 6).map(Number) as [
      number,
      number,
      number,
      number,
      number,
    ];
    const id = name.slice(0, -manifestEnding.length);
    slices.push({ id, chain, from: { t: fromT, i: fromI }, to: { t: toT, i: toI }, mark: parts[6] ?? '' });
  }
  const marks = new Set(slices.map(({ mark }) => mark));
  const orphans = objects.flatMap(({ name }) => {
    const parts = dataForm.exec(name.slice(prefix.length));
    return parts?.[3] !== undefined && !marks.has(parts[3]) ? [name] : [];
  });
  return { slices: slices.sort(byPlace), orphans };
}

function byPlace(a: ListedSlice, b: ListedSlice): number {
  return a.chain - b.chain || compareMoments(a.from, b.from) || compareMoments(a.to, b.to);
}

/** The slice to go on from: of the last chain the one that leads farthest. */
export function newestSlice(slices: readonly ListedSlice[]): ListedSlice | undefined {
  const chain = Math.max(0, ...slices.map((slice) => slice.chain));
  return slices
    .filter((slice) => slice.chain === chain)
    .reduce<ListedSlice | undefined>(
      (best, slice) => (best && compareMoments(best.to, slice.to) >= 0 ? best : slice),
      undefined,
    );
}

/**
 * @throws BackupDamagedError when the manifest is gone, not valid, or of another slice
 */
export async function readSliceManifest(
  storage: Storage,
  policy: string,
  slice: ListedSlice,
): Promise<SliceManifest> {
  let manifest: SliceManifest;
  try {
    manifest = parseSliceManifest((await readSmall(storage, sliceManifestName(slice.id))).toString('utf8'));
  } catch (error) {
    if (!(error instanceof ObjectNotFoundError) && !(error as Error).message.startsWith('the manifest'))
      throw error;
    throw new BackupDamagedError(`slice ${sliceLabel(slice)}: ${(error as Error).message}`, { cause: error });
  }
  if (sliceId(policy, { ...manifest, mark: slice.mark }) !== slice.id || manifest.policy !== policy)
    throw new BackupDamagedError(`slice ${sliceLabel(slice)}: its manifest is of another slice`);
  return manifest;
}

export function sliceLabel({ from, to }: Pick<Stretch, 'from' | 'to'>): string {
  return `from ${momentLabel(from)} to ${momentLabel(to)}`;
}

/** Deletes a slice: the manifest first, so that it is none any more. What does not exist is no error. */
export async function deleteSlice(storage: Storage, policy: string, slice: ListedSlice): Promise<void> {
  await storage.delete(sliceManifestName(slice.id));
  for (const { name } of await storage.list(
    `${prefixOf(policy)}${chainText(slice.chain)}.${stamp(slice.from)}.${slice.mark}`,
  )) {
    if (isSliceFile(name)) await storage.delete(name);
  }
}

function noteName(policy: string): string {
  return `${prefixOf(policy)}attempt.json`;
}

/** Notes what an attempt is about to store, so that the next one can clear up after it. */
export async function noteAttempt(storage: Storage, policy: string, note: AttemptNote): Promise<void> {
  await storage.write(noteName(policy), JSON.stringify(note), { replace: true });
}

export async function forgetAttempt(storage: Storage, policy: string): Promise<void> {
  await storage.delete(noteName(policy));
}

/** Clears up after attempts that were killed. Call it only when no other attempt of the policy is under way. */
export async function sweepAttempts(
  storage: Storage,
  policy: string,
  orphans: readonly string[],
): Promise<void> {
  const note = await readNote(storage, policy);
  if (note) await storage.removeUnfinished(note.data);
  for (const name of orphans) await storage.delete(name);
  if (note) await forgetAttempt(storage, policy);
}

async function readNote(storage: Storage, policy: string): Promise<AttemptNote | undefined> {
  try {
    const { data } = JSON.parse(
      (await readSmall(storage, noteName(policy))).toString('utf8'),
    ) as Partial<AttemptNote>;
    return data?.startsWith(prefixOf(policy)) ? { data } : undefined;
  } catch (error) {
    if (error instanceof ObjectNotFoundError || error instanceof SyntaxError) return undefined;
    throw error;
  }
}
