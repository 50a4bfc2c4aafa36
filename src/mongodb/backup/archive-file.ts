// From stored bytes to archive events, and the proof that an archive is whole.
import { createHash } from 'node:crypto';
import type { BackupManifest } from '../../specs/manifest.ts';
import { type Bytes, decompress, detectCompression } from '../../storage/compression.ts';
import { decrypt, isEncrypted, type ReadingKey, WrongKeyError } from '../../storage/encryption.ts';
import type { GunzipOptions } from '../../storage/gunzip.ts';
import { type Hasher, hashOnTheSpot, type StreamHash } from '../../storage/hashing.ts';
import { peek } from '../../storage/peek.ts';
import type { Prelude } from '../archive/format.ts';
import { type ArchiveEvent, type NamespaceSummary, readArchive } from '../archive/reader.ts';

/**
 * The archive inside a stored file, whatever wraps it: the file's own first bytes tell encryption and compression. A piece is
 * only good until the next is asked for; so it may be with what is stored.
 * @throws WrongKeyError when it is encrypted and no key, or another, is given
 */
export async function* unwrapArchive(
  stored: Bytes,
  key: ReadingKey = noKey,
  options: Pick<GunzipOptions, 'withoutSums'> = {},
): AsyncGenerator<Uint8Array> {
  const outer = await peek(stored, 8);
  let inner = outer;
  if (isEncrypted(outer.start)) inner = await peek(decrypt(outer.whole, key), 8);
  yield* decompress(inner.whole, detectCompression(inner.start), options);
}

function noKey(keyId: string): never {
  throw new WrongKeyError(`encrypted with key ${keyId}, and no key is given`);
}

/** Passes bytes on and takes note of their hash and number. */
export async function* hashed(
  source: Bytes,
  hash: StreamHash,
  count: (bytes: number) => void,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of source) {
    const taken = hash.update(chunk);
    if (taken) await taken;
    count(chunk.length);
    yield chunk;
  }
}

/** A stored backup is not what its manifest says. */
export class BackupDamagedError extends Error {
  override name = 'BackupDamagedError';
}

export interface ArchiveProof {
  /** Of the stored file, as it is. */
  sha256: string;
  size: number;
  prelude: Prelude;
  preludeSha256: string;
  namespaces: NamespaceSummary[];
  documents: number;
  bytes: number;
}

export interface ProofOptions {
  key?: ReadingKey | undefined;
  signal?: AbortSignal | undefined;
  hasher?: Hasher | undefined;
  /** Uncompressed bytes checked so far. */
  onProgress?: (bytes: number) => void;
}

/**
 * Reads a stored archive from end to end: its hash, its encryption, its compression, the order of its blocks, the CRC of
 * every namespace.
 * @throws ArchiveCorruptError, EncryptionError or an error of zlib when anything is not as it must be
 */
export async function proveArchive(
  stored: Bytes,
  { key, signal, hasher = hashOnTheSpot, onProgress }: ProofOptions = {},
): Promise<ArchiveProof> {
  const hash = hasher.start(signal);
  let size = 0;
  const counted = hashed(stored, hash, (bytes) => (size += bytes));
  const proof = { documents: 0, bytes: 0, namespaces: [] as NamespaceSummary[] };
  let first: Extract<ArchiveEvent, { kind: 'prelude' }> | undefined;
  for await (const event of readArchive(unwrapArchive(counted, key))) {
    signal?.throwIfAborted();
    if (event.kind === 'prelude') first = event;
    else if (event.kind === 'documents') {
      proof.documents += event.count;
      proof.bytes += event.data.length;
      onProgress?.(proof.bytes);
    } else if (event.summary) proof.namespaces.push(event.summary);
  }
  if (!first) throw new Error('an archive without a prelude'); // the reader has refused such a file
  const sha256 = await hash.digest();
  return { ...proof, sha256, size, prelude: first.prelude, preludeSha256: first.sha256 };
}

/**
 * Proves that a stored archive is, byte for byte, the one that was read from end to end before its manifest was written:
 * its hash says so, at the speed of reading. What the archive holds, the manifest tells.
 * @throws BackupDamagedError when it is another, WrongKeyError without the right key
 */
export async function proveStored(
  open: (signal?: AbortSignal) => Promise<Bytes>,
  manifest: BackupManifest,
  { key, signal, onProgress }: ProofOptions = {},
): Promise<ArchiveProof> {
  const { archive, namespaces, documents, bytes } = manifest;
  const hash = createHash('sha256');
  let size = 0;
  for await (const chunk of await open(signal)) {
    signal?.throwIfAborted();
    hash.update(chunk);
    size += chunk.length;
    onProgress?.(Math.round((bytes * Math.min(size, archive.size)) / archive.size));
  }
  const damaged = (what: string) => new BackupDamagedError(`backup ${manifest.id}: ${what}`);
  if (size !== archive.size) throw damaged(`it has ${size} bytes instead of ${archive.size}`);
  const sha256 = hash.digest('hex');
  if (sha256 !== archive.sha256) throw damaged('its SHA-256 is not the one noted when it was stored');
  const first = await firstEvent(await open(signal), key);
  if (first?.kind !== 'prelude') throw damaged('it has no prelude');
  return { sha256, size, prelude: first.prelude, preludeSha256: first.sha256, namespaces, documents, bytes };
}

async function firstEvent(stored: Bytes, key: ReadingKey | undefined): Promise<ArchiveEvent | undefined> {
  for await (const event of readArchive(unwrapArchive(stored, key))) return event;
  return undefined;
}
