// From stored bytes to archive events, and the proof that an archive is whole.
import { createHash, type Hash } from 'node:crypto';
import { type Bytes, decompress, detectCompression } from '../../storage/compression.ts';
import { decrypt, EncryptionError, type EncryptionKey, isEncrypted } from '../../storage/encryption.ts';
import { peek } from '../../storage/peek.ts';
import type { Prelude } from '../archive/format.ts';
import { type ArchiveEvent, type NamespaceSummary, readArchive } from '../archive/reader.ts';

/**
 * The archive inside a stored file, whatever wraps it: the file's own first bytes tell encryption and compression.
 * @throws EncryptionError when it is encrypted and no key, or another, is given
 */
export async function* unwrapArchive(stored: Bytes, key?: EncryptionKey): AsyncGenerator<Uint8Array> {
  const outer = await peek(stored, 8);
  let inner = outer;
  if (isEncrypted(outer.start)) {
    if (!key) throw new EncryptionError('the archive is encrypted: a key is needed');
    inner = await peek(decrypt(outer.whole, key), 8);
  }
  yield* decompress(inner.whole, detectCompression(inner.start));
}

/** Passes bytes on and takes note of their hash and number. */
export async function* hashed(
  source: Bytes,
  hash: Hash,
  count: (bytes: number) => void,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of source) {
    hash.update(chunk);
    count(chunk.length);
    yield chunk;
  }
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
  key?: EncryptionKey | undefined;
  signal?: AbortSignal | undefined;
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
  { key, signal, onProgress }: ProofOptions = {},
): Promise<ArchiveProof> {
  const hash = createHash('sha256');
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
    } else proof.namespaces.push(event.summary);
  }
  if (!first) throw new Error('an archive without a prelude'); // the reader has refused such a file
  return { ...proof, sha256: hash.digest('hex'), size, prelude: first.prelude, preludeSha256: first.sha256 };
}
