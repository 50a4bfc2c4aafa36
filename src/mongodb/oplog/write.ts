/**
 * Stores the next slice of the oplog: from the last entry of the slice before to the newest one that a majority has. The
 * slices at the destination are the only memory, so a killed attempt leaves neither a hole nor an entry twice.
 */
import { randomBytes } from 'node:crypto';
import type { MongoClient } from 'mongodb';
import { compareMoments, type Moment } from '../../domain/point-in-time/moment.ts';
import type { SliceManifest } from '../../specs/slice.ts';
import { type Bytes, compress, type Compression } from '../../storage/compression.ts';
import { encrypt, type EncryptionKey } from '../../storage/encryption.ts';
import { hashOnTheSpot } from '../../storage/hashing.ts';
import { type StagedObject, type Storage, StorageError } from '../../storage/storage.ts';
import { hashed } from '../backup/archive-file.ts';
import { documentsOf, field } from '../bson/raw.ts';
import { serverFacts } from '../connect.ts';
import { majorityTime } from '../dump/consistency.ts';
import type { NamespaceFilter } from '../dump/listing.ts';
import { entryTime, readOplog } from '../dump/oplog.ts';
import type { DocumentRun } from '../kernels.ts';
import {
  forgetAttempt,
  listSlices,
  newestSlice,
  noteAttempt,
  readSliceManifest,
  sliceDataName,
  sliceId,
  sliceManifestName,
  sweepAttempts,
} from './catalog.ts';
import { beginChain, type Beginning, breakAfter, type EntryName, isSameEntry } from './history.ts';
import { readSlice } from './read.ts';
import { keepEntries, sliceSelection } from './selection.ts';

/** The server cannot give slices at all. */
export class SliceRefusedError extends Error {
  override name = 'SliceRefusedError';
}

export interface SliceOptions {
  policy: string;
  filter: NamespaceFilter;
  compression: Compression;
  key?: EncryptionKey | undefined;
  /** Bytes of the oplog after which a slice ends although there is more. */
  maxBytes: number;
  /** Moments of the verified backups, from which a new chain may begin. */
  bases: () => Promise<Moment[]>;
  toolVersion: string;
  signal?: AbortSignal | undefined;
  /** Bytes and entries of the oplog read so far. */
  onProgress?: (read: { bytes: number; entries: number }) => void;
}

export interface SliceOutcome {
  /** `null`: nothing has happened since the last slice. */
  slice: SliceManifest | null;
  /** The moment up to which slices reach now. */
  reached: Moment;
  /** There is more to read at once. */
  more: boolean;
}

/**
 * Stores one slice. Only one attempt of a policy may be under way.
 * @throws SliceRefusedError, StorageError, BackupDamagedError and errors of the driver; then nothing of this attempt is left
 */
export async function writeSlice(
  client: MongoClient,
  storage: Storage,
  options: SliceOptions,
): Promise<SliceOutcome> {
  const { topology } = await serverFacts(client);
  if (topology !== 'replicaSet')
    throw new SliceRefusedError(
      `spec.pointInTime needs a replica set, for only that has an oplog; this is a ${topology === 'sharded' ? 'sharded cluster' : 'standalone server'}`,
    );
  const { slices, orphans } = await listSlices(storage, options.policy);
  await sweepAttempts(storage, options.policy, orphans);
  const newest = newestSlice(slices);
  const previous = newest ? await readSliceManifest(storage, options.policy, newest) : null;
  const until = await majorityTime(client);
  const beginning = await beginningOf(client, previous, until, options);
  if (!beginning) return { slice: null, reached: previous?.to ?? until, more: false };
  return await new SliceRun(client, storage, options, beginning, until).run();
}

/** After the slice before, or at the head of a new chain. */
async function beginningOf(
  client: MongoClient,
  previous: SliceManifest | null,
  until: Moment,
  { filter, bases }: SliceOptions,
): Promise<Beginning | undefined> {
  if (!previous) {
    const first = await beginChain(client, until, { bases: await bases(), after: null });
    return first && { ...first, chain: 1, isHead: true, gap: null };
  }
  const { to, term, wall, chain } = previous;
  const sameFilter = JSON.stringify(previous.filter) === JSON.stringify(filterOf(filter));
  const reason =
    (await breakAfter(client, { at: to, term, wall })) ??
    (sameFilter ? null : 'the policy takes other namespaces');
  if (reason === null) return { at: to, term, wall, chain, isHead: false, gap: null };
  const next = await beginChain(client, until, { bases: await bases(), after: to });
  return next && { ...next, chain: chain + 1, isHead: true, gap: { after: to, reason } };
}

function filterOf({ databases, include, exclude }: NamespaceFilter): SliceManifest['filter'] {
  return { databases: [...(databases ?? [])], include: [...(include ?? [])], exclude: [...(exclude ?? [])] };
}

type Stored = NonNullable<SliceManifest['data']>;

class SliceRun {
  readonly #client: MongoClient;
  readonly #storage: Storage;
  readonly #options: SliceOptions;
  readonly #beginning: Beginning;
  readonly #until: Moment;
  readonly #mark = randomBytes(4).toString('hex');
  /** The last entry read, kept or not. */
  #to: EntryName;
  #more = false;
  #read = { bytes: 0, entries: 0 };
  #kept = { entries: 0, bytes: 0, first: null as Moment | null, last: null as Moment | null };

  constructor(
    client: MongoClient,
    storage: Storage,
    options: SliceOptions,
    beginning: Beginning,
    until: Moment,
  ) {
    this.#client = client;
    this.#storage = storage;
    this.#options = options;
    this.#beginning = beginning;
    this.#until = until;
    const { at, term, wall } = beginning;
    this.#to = { at, term, wall };
  }

  async run(): Promise<SliceOutcome> {
    const { policy } = this.#options;
    const entries = this.#entries();
    // Nothing is stored before there is something to store.
    const first = await entries.next();
    const { at, isHead } = this.#beginning;
    if (first.done && !isHead && compareMoments(this.#to.at, at) <= 0)
      return { slice: null, reached: this.#to.at, more: false };
    let staged: StagedObject | undefined;
    let manifest: SliceManifest | undefined;
    try {
      let data: Stored | null = null;
      if (!first.done) {
        const name = this.#dataName();
        await noteAttempt(this.#storage, policy, { data: name });
        [staged, data] = await this.#store(name, resumed(first.value, entries));
      }
      manifest = this.#manifest(data);
      if (staged) await this.#prove(staged, manifest);
      await staged?.publish();
      await this.#announce(manifest);
      return { slice: manifest, reached: this.#to.at, more: this.#more };
    } catch (error) {
      // A manifest whose writing failed may still have arrived; without its data it must not stay.
      if (manifest) await this.#storage.delete(this.#manifestName(manifest)).catch(() => undefined);
      await staged?.discard().catch(() => undefined);
      throw error;
    }
  }

  #dataName(): string {
    const { policy, compression, key } = this.#options;
    const { chain, at } = this.#beginning;
    const place = { chain, from: at, mark: this.#mark };
    return sliceDataName(policy, place, { compression, encrypted: key !== undefined });
  }

  /** What the policy keeps of the oplog, run by run; notes how far it has read. */
  async *#entries(): AsyncGenerator<Uint8Array> {
    const { filter, maxBytes, signal, onProgress } = this.#options;
    const selection = sliceSelection(filter);
    const { at } = this.#beginning;
    let isFirst = true;
    for await (const run of readOplog(this.#client, { from: at, to: this.#until, signal })) {
      signal?.throwIfAborted();
      let rest: DocumentRun = run;
      if (isFirst) {
        rest = afterEntry(run, this.#beginning);
        isFirst = false;
      }
      // The entry that is stored already does not count, or one of 16 MB would stop the slice before it begins.
      this.#note(rest);
      onProgress?.(this.#read);
      const kept = keepEntries(rest, selection);
      this.#count(kept);
      if (kept.count > 0) yield kept.data;
      if (this.#read.bytes < maxBytes) continue;
      this.#more = compareMoments(this.#to.at, this.#until) < 0;
      return;
    }
  }

  #note({ data, count }: DocumentRun): void {
    this.#read.bytes += data.length;
    this.#read.entries += count;
    let last: Buffer | undefined;
    for (const entry of documentsOf(data)) last = entry;
    if (!last) return;
    this.#to = nameOf(last);
  }

  #count({ data, count }: DocumentRun): void {
    if (count === 0) return;
    this.#kept.entries += count;
    this.#kept.bytes += data.length;
    for (const entry of documentsOf(data)) {
      this.#kept.last = entryTime(entry);
      this.#kept.first ??= this.#kept.last;
    }
  }

  async #store(name: string, plain: Bytes): Promise<[StagedObject, Stored]> {
    const { compression, key, signal } = this.#options;
    const packed = compress(plain, compression);
    const hash = hashOnTheSpot.start();
    const sealed = hashed(key ? encrypt(packed, key) : packed, hash, () => undefined);
    const staged = await this.#storage.stage(name, sealed, { signal });
    const encryption = key ? { encryption: { keyId: key.id } } : {};
    return [staged, { name, size: staged.size, sha256: await hash.digest(), compression, ...encryption }];
  }

  #manifest(data: Stored | null): SliceManifest {
    const { policy, filter, toolVersion } = this.#options;
    const { chain, at, gap } = this.#beginning;
    return {
      kind: 'slipway-oplog-slice',
      version: 1,
      policy,
      chain,
      from: at,
      to: this.#to.at,
      term: this.#to.term,
      wall: this.#to.wall,
      ...this.#kept,
      data,
      filter: filterOf(filter),
      gap,
      storedAt: new Date().toISOString(),
      toolVersion,
    };
  }

  async #prove(staged: StagedObject, manifest: SliceManifest): Promise<void> {
    const { key, signal } = this.#options;
    for await (const _ of readSlice(manifest, () => staged.read(signal), key)) signal?.throwIfAborted();
  }

  async #announce(manifest: SliceManifest): Promise<void> {
    await this.#storage.write(this.#manifestName(manifest), `${JSON.stringify(manifest)}\n`);
    if (!manifest.data) return;
    // An attempt that was given up for dead may find its data swept away by the next one.
    if (!(await this.#storage.stat(manifest.data.name)))
      throw new StorageError(
        `${manifest.data.name} was removed from ${this.#storage.location} by another attempt`,
      );
    await forgetAttempt(this.#storage, this.#options.policy);
  }

  #manifestName(manifest: SliceManifest): string {
    return sliceManifestName(sliceId(this.#options.policy, { ...manifest, mark: this.#mark }));
  }
}

async function* resumed(first: Uint8Array, rest: AsyncGenerator<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield first;
  yield* rest;
}

/** The first run must begin with the very entry that the slice before ended with: then nothing is missing in between. */
function afterEntry(run: DocumentRun, last: EntryName): DocumentRun {
  const [first] = documentsOf(run.data);
  if (!first || !isSameEntry(nameOf(first), last))
    throw new Error('the oplog was cut off while it was read; the next attempt tells how far');
  return { data: run.data.subarray(first.length), count: run.count - 1 };
}

function nameOf(entry: Buffer): EntryName {
  const wall = field(entry, 'wall');
  return {
    at: entryTime(entry),
    term: termOf(entry),
    wall: wall?.type === 0x09 ? Number(wall.value.readBigInt64LE(0)) : -1,
  };
}

function termOf(entry: Buffer): number {
  const term = field(entry, 't');
  if (term?.type === 0x12) return Number(term.value.readBigInt64LE(0));
  return term?.type === 0x10 ? term.value.readInt32LE(0) : -1;
}
