// The catalog of backups is the manifests at the destination; there is no other. Beside them lie at most the notes of
// runs under way, by which the next run clears up after one that was killed.
import { type BackupManifest, parseManifest } from '../../specs/manifest.ts';
import type { ReadingKey } from '../../storage/encryption.ts';
import { ObjectNotFoundError, readSmall, type Storage } from '../../storage/storage.ts';
import { type ArchiveProof, BackupDamagedError, proveArchive } from './archive-file.ts';

export { BackupDamagedError } from './archive-file.ts';

const manifestEnding = '.manifest.json';
const noteEnding = '.running.json';

export type CatalogEntry =
  | { id: string; manifest: BackupManifest; state: 'verified' }
  /** The manifest is there, its archive is not, or has another size. */
  | { id: string; manifest: BackupManifest; state: 'damaged'; reason: string }
  /** A manifest that cannot be read; nothing may rely on it, and nothing deletes it. */
  | { id: string; state: 'invalid'; reason: string };

/** Written before a run stores anything, deleted after its manifest is there. */
export interface RunNote {
  policy: string;
  owner: string;
  archive: string;
  startedAt: string;
}

export function manifestName(id: string): string {
  return `${id}${manifestEnding}`;
}

export function noteName(id: string): string {
  return `${id}${noteEnding}`;
}

/** All backups at a destination, oldest first. Reads the manifests and compares names and sizes, not contents. */
export async function listBackups(storage: Storage, policy?: string): Promise<CatalogEntry[]> {
  const objects = await storage.list();
  const sizes = new Map(objects.map(({ name, size }) => [name, size]));
  const entries: CatalogEntry[] = [];
  for (const { name } of objects) {
    if (!name.endsWith(manifestEnding)) continue;
    const entry = await readEntry(storage, name.slice(0, -manifestEnding.length), sizes);
    if (entry && (policy === undefined || !('manifest' in entry) || entry.manifest.policy === policy))
      entries.push(entry);
  }
  return entries.sort((a, b) => startOf(a).localeCompare(startOf(b)));
}

function startOf(entry: CatalogEntry): string {
  return 'manifest' in entry ? entry.manifest.startedAt : '';
}

async function readEntry(
  storage: Storage,
  id: string,
  sizes: Map<string, number>,
): Promise<CatalogEntry | undefined> {
  let manifest: BackupManifest;
  try {
    manifest = await readManifest(storage, id);
  } catch (error) {
    if (error instanceof ObjectNotFoundError) return undefined; // deleted since the listing
    return { id, state: 'invalid', reason: (error as Error).message };
  }
  const { name, size } = manifest.archive;
  const found = sizes.get(name);
  if (found === size) return { id, manifest, state: 'verified' };
  const reason =
    found === undefined
      ? `its archive ${name} is missing`
      : `its archive ${name} has ${found} bytes instead of ${size}`;
  return { id, manifest, state: 'damaged', reason };
}

/** @throws ObjectNotFoundError, or Error when the manifest is not valid or of another backup */
export async function readManifest(storage: Storage, id: string): Promise<BackupManifest> {
  const manifest = parseManifest((await readSmall(storage, manifestName(id))).toString('utf8'));
  if (manifest.id !== id) throw new Error(`the manifest of ${id} says it is of ${manifest.id}`);
  return manifest;
}

export interface VerifyOptions {
  key?: ReadingKey | undefined;
  signal?: AbortSignal | undefined;
  /** Uncompressed bytes checked so far; the manifest's `bytes` is the whole. */
  onProgress?: (bytes: number) => void;
}

/**
 * Reads a backup from end to end and compares it with its manifest.
 * @throws BackupDamagedError, ArchiveCorruptError, EncryptionError, ObjectNotFoundError
 */
export async function verifyBackup(
  storage: Storage,
  id: string,
  options: VerifyOptions = {},
): Promise<BackupManifest> {
  const manifest = await readManifest(storage, id);
  const proof = await proveArchive(
    await storage.read(manifest.archive.name, { signal: options.signal }),
    options,
  );
  const difference = compareWithManifest(proof, manifest);
  if (difference) throw new BackupDamagedError(`backup ${id}: ${difference}`);
  return manifest;
}

/** The first difference between what was read and what the manifest says, in words. */
export function compareWithManifest(
  proof: ArchiveProof,
  manifest: Pick<BackupManifest, 'archive' | 'namespaces'>,
): string | undefined {
  const { archive, namespaces } = manifest;
  if (proof.preludeSha256 !== archive.preludeSha256)
    return 'the descriptions of its collections were changed';
  const read = new Map(
    proof.namespaces.map((namespace) => [`${namespace.db}.${namespace.collection}`, namespace]),
  );
  for (const expected of namespaces) {
    const name = `${expected.db}.${expected.collection}`;
    const found = read.get(name);
    if (!found) return `${name} is missing`;
    if (found.documents !== expected.documents)
      return `${name} holds ${found.documents} documents instead of ${expected.documents}`;
    if (found.crc !== expected.crc || found.bytes !== expected.bytes)
      return `${name} has other content than was dumped`;
  }
  if (read.size !== namespaces.length)
    return `it holds ${read.size} namespaces instead of ${namespaces.length}`;
  if (proof.size !== archive.size) return `it has ${proof.size} bytes instead of ${archive.size}`;
  if (proof.sha256 !== archive.sha256) return 'its SHA-256 is not the one noted when it was stored';
  return undefined;
}

/**
 * Deletes a backup: first the manifest, so that it is no backup any more, then the archive. When the process dies in
 * between, {@link sweepRuns} of the same policy goes on. Deleting what does not exist is no error.
 */
export async function deleteBackup(storage: Storage, manifest: BackupManifest): Promise<void> {
  const { id, policy, owner, archive, startedAt } = manifest;
  const note: RunNote = { policy, owner, archive: archive.name, startedAt };
  await storage.write(noteName(id), JSON.stringify(note), { replace: true });
  await storage.delete(manifestName(id));
  await storage.delete(archive.name);
  await storage.delete(noteName(id));
}

/**
 * Clears up after runs of this policy that were killed: their unfinished files and uploads, and archives that never got
 * a manifest. Call it only when no other run of the policy is under way, or for the runs of one `owner`. Gives the ids
 * that were cleared.
 */
export async function sweepRuns(storage: Storage, policy: string, owner?: string): Promise<string[]> {
  const swept: string[] = [];
  for (const { name } of await storage.list()) {
    if (!name.endsWith(noteEnding)) continue;
    const id = name.slice(0, -noteEnding.length);
    const note = await readNote(storage, id);
    if (note?.policy !== policy || (owner !== undefined && note.owner !== owner)) continue;
    await storage.removeUnfinished(note.archive);
    await storage.removeUnfinished(manifestName(id));
    if (!(await storage.stat(manifestName(id)))) await storage.delete(note.archive);
    await storage.delete(name);
    swept.push(id);
  }
  return swept;
}

/** The note of a run, or undefined when there is none or it cannot be read. */
export async function readNote(storage: Storage, id: string): Promise<RunNote | undefined> {
  try {
    const note = JSON.parse((await readSmall(storage, noteName(id))).toString('utf8')) as Partial<RunNote>;
    const { policy, owner, archive, startedAt } = note;
    const isOfThisId = archive?.startsWith(`${id}.`) ?? false;
    return policy && owner && archive && startedAt && isOfThisId
      ? { policy, owner, archive, startedAt }
      : undefined;
  } catch (error) {
    if (error instanceof ObjectNotFoundError || error instanceof SyntaxError) return undefined;
    throw error;
  }
}
