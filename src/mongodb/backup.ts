/**
 * Makes a backup: dumps into a stream that is compressed, encrypted and hashed on its way to the storage; reads it back
 * and proves it; then gives it its name and writes its manifest. Whatever dies on the way, a backup without a proof
 * never has a manifest, and what has no manifest is no backup.
 */
import type { MongoClient } from 'mongodb';
import { backupId } from '../specs/manifest-fields.ts';
import type { BackupManifest } from '../specs/manifest.ts';
import { streamOf } from '../storage/channel.ts';
import { type Bytes, compress, type Compression, compressionSuffix } from '../storage/compression.ts';
import { encrypt, type EncryptionKey } from '../storage/encryption.ts';
import { type Hasher, hashOnTheSpot } from '../storage/hashing.ts';
import {
  ObjectExistsError,
  ObjectNotFoundError,
  type StagedObject,
  type Storage,
} from '../storage/storage.ts';
import { hashed, proveArchive } from './backup/archive-file.ts';
import {
  BackupDamagedError,
  compareWithManifest,
  manifestName,
  noteName,
  readManifest,
  readNote,
  type RunNote,
  sweepRuns,
} from './backup/catalog.ts';
import { dump, type DumpOptions, type DumpProgress, type DumpResult } from './dump.ts';
import { DumpError } from './dump/consistency.ts';

export interface BackupProgress extends DumpProgress {
  phase: 'dump' | 'verify' | 'publish';
  /** Bytes stored so far, after compression. */
  storedBytes: number;
  /** Uncompressed bytes read back so far. */
  verifiedBytes: number;
}

export interface BackupOptions extends Omit<DumpOptions, 'onProgress'> {
  policy: string;
  /** Which run this is; a repeated call of the same run gives the backup that it had already made. */
  owner: string;
  /** Wanted id, for example `dump-20261123-020000`. When another run has taken it, `-2`, `-3` … is added. */
  id: string;
  compression: Compression;
  level?: number | undefined;
  key?: EncryptionKey | undefined;
  /** Default: where the stream is. */
  hasher?: Hasher | undefined;
  onProgress?: (progress: BackupProgress) => void;
  /** For tests. */
  now?: () => Date;
}

/**
 * Makes one backup and gives its manifest. Only one run of a policy may be under way at a storage.
 * @throws DumpError, StorageError, BackupDamagedError and errors of the driver; then nothing of this run is left
 */
export async function createBackup(
  client: MongoClient,
  storage: Storage,
  options: BackupOptions,
): Promise<BackupManifest> {
  backupId.parse(options.id);
  await sweepRuns(storage, options.policy);
  const claim = await claimId(storage, options);
  if ('manifest' in claim) return claim.manifest;
  const run = new BackupRun(client, storage, options, claim.id, claim.note);
  try {
    return await run.run();
  } finally {
    await storage.delete(noteName(claim.id)).catch(() => undefined); // the next run's sweep takes it away
  }
}

type Claim = { manifest: BackupManifest } | { id: string; note: RunNote };

/** Takes the wanted id or the next free one, by a note that only one run can create. */
async function claimId(
  storage: Storage,
  { id: wanted, policy, owner, compression, key, now }: BackupOptions,
): Promise<Claim> {
  for (let number = 1; number < 1000; number++) {
    const id = number === 1 ? wanted : `${wanted}-${number}`;
    const archive = `${id}${compressionSuffix(compression)}${key ? '.enc' : ''}`;
    const existing = await manifestOf(storage, id);
    if (existing?.owner === owner && existing.policy === policy) return { manifest: existing };
    if (existing || (await storage.stat(manifestName(id))) || (await storage.stat(archive))) continue;
    await storage.removeUnfinished(noteName(id)); // of a run that was killed while it wrote its note
    const note: RunNote = { policy, owner, archive, startedAt: (now?.() ?? new Date()).toISOString() };
    try {
      await storage.write(noteName(id), JSON.stringify(note));
      return { id, note };
    } catch (error) {
      if (!(error instanceof ObjectExistsError)) throw error;
      if ((await readNote(storage, id))?.owner === owner) return { id, note };
    }
  }
  throw new Error(`no free name for backup ${wanted}: -2 to -999 are taken`);
}

async function manifestOf(storage: Storage, id: string): Promise<BackupManifest | undefined> {
  try {
    return await readManifest(storage, id);
  } catch (error) {
    if (error instanceof ObjectNotFoundError) return undefined;
    if (error instanceof Error && error.message.startsWith('the manifest')) return undefined;
    throw error;
  }
}

interface Stored {
  staged: StagedObject;
  result: DumpResult;
  sha256: string;
  storedAt: Date;
}

class BackupRun {
  readonly #client: MongoClient;
  readonly #storage: Storage;
  readonly #options: BackupOptions;
  readonly #id: string;
  readonly #note: RunNote;
  #progress: BackupProgress = {
    phase: 'dump',
    bytes: 0,
    documents: 0,
    namespace: '',
    namespacesDone: 0,
    namespacesTotal: 0,
    estimatedBytes: 0,
    storedBytes: 0,
    verifiedBytes: 0,
  };

  constructor(client: MongoClient, storage: Storage, options: BackupOptions, id: string, note: RunNote) {
    this.#client = client;
    this.#storage = storage;
    this.#options = options;
    this.#id = id;
    this.#note = note;
  }

  async run(): Promise<BackupManifest> {
    const stored = await this.#store();
    try {
      const manifest = await this.#prove(stored);
      this.#report({ phase: 'publish' });
      await stored.staged.publish();
      await this.#storage.write(manifestName(this.#id), `${JSON.stringify(manifest, undefined, 1)}\n`);
      return manifest;
    } catch (error) {
      // A manifest whose writing failed may still have arrived; without its archive it must not stay.
      await this.#storage.delete(manifestName(this.#id)).catch(() => undefined);
      await stored.staged.discard().catch(() => undefined);
      throw error;
    }
  }

  /** In `auto` mode a snapshot that turns out too short for the data is followed by a dump with an oplog window. */
  async #store(): Promise<Stored> {
    const { consistency = 'auto' } = this.#options;
    try {
      return await this.#storeOnce(consistency);
    } catch (error) {
      if (consistency !== 'auto' || !(error instanceof DumpError) || error.problem !== 'snapshot-too-old')
        throw error;
      return this.#storeOnce('oplog');
    }
  }

  async #storeOnce(consistency: NonNullable<DumpOptions['consistency']>): Promise<Stored> {
    const { compression, level, key, signal, hasher = hashOnTheSpot } = this.#options;
    const dumpOptions = this.#options as Omit<BackupOptions, 'onProgress'>;
    let result: DumpResult | undefined;
    const plain = streamOf(
      async (sink, stop) => {
        const onProgress = (progress: DumpProgress) => this.#report(progress);
        result = await dump(this.#client, sink, { ...dumpOptions, consistency, signal: stop, onProgress });
      },
      { signal },
    );
    const packed = compress(plain, compression, { level });
    const sealed: Bytes = key ? encrypt(packed, key) : packed;
    const hash = hasher.start(signal);
    this.#progress.storedBytes = 0;
    const noted = hashed(sealed, hash, (bytes) => (this.#progress.storedBytes += bytes));
    const staged = await this.#storage.stage(this.#note.archive, noted, { signal });
    if (!result) throw new Error('the storage stopped reading before the dump ended');
    return { staged, result, sha256: await hash.digest(), storedAt: this.#now() };
  }

  async #prove({ staged, result, sha256, storedAt }: Stored): Promise<BackupManifest> {
    const { key, signal, compression, policy, owner, toolVersion } = this.#options;
    const proof = await proveArchive(await staged.read(signal), {
      key,
      signal,
      hasher: this.#options.hasher,
      onProgress: (verifiedBytes) => this.#report({ phase: 'verify', verifiedBytes }),
    });
    const { server, consistency, namespaces, documents, bytes, warnings, preludeSha256 } = result;
    const encryption = key ? { encryption: { keyId: key.id } } : {};
    const manifest: BackupManifest = {
      kind: 'slipway-backup',
      version: 1,
      id: this.#id,
      policy,
      owner,
      archive: {
        name: this.#note.archive,
        size: staged.size,
        sha256,
        compression,
        ...encryption,
        preludeSha256,
      },
      source: { serverVersion: server.version, topology: server.topology },
      consistency,
      namespaces,
      documents,
      bytes,
      warnings,
      startedAt: this.#note.startedAt,
      storedAt: storedAt.toISOString(),
      verifiedAt: this.#now().toISOString(),
      toolVersion,
    };
    const difference = compareWithManifest(proof, manifest);
    if (difference)
      throw new BackupDamagedError(
        `read back from ${this.#storage.location}, the new archive is damaged: ${difference}`,
      );
    return manifest;
  }

  #report(change: Partial<BackupProgress>): void {
    this.#progress = { ...this.#progress, ...change };
    this.#options.onProgress?.(this.#progress);
  }

  #now(): Date {
    return this.#options.now?.() ?? new Date();
  }
}
