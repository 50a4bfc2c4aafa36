/**
 * Restores a mongodump archive (ours or mongodump's own) without ever putting data at risk that is there: the whole
 * archive is proven first; documents go into staging collections; counts and contents are compared; indexes are built;
 * only then names are swapped. A restore that is called again with the same id goes on where it was killed.
 */
import { createHash } from 'node:crypto';
import type { MongoClient } from 'mongodb';
import type { BackupManifest } from '../specs/manifest.ts';
import type { Bytes } from '../storage/compression.ts';
import type { EncryptionKey } from '../storage/encryption.ts';
import { type ArchiveEvent, readArchive } from './archive/reader.ts';
import { type ArchiveProof, proveArchive, unwrapArchive } from './backup/archive-file.ts';
import { BackupDamagedError, compareWithManifest } from './backup/catalog.ts';
import { serverFacts } from './connect.ts';
import type { ClusterTime } from './dump/consistency.ts';
import { forEachLimited } from './parallel.ts';
import type { FailedDocument } from './raw-write.ts';
import {
  allowMixedSchemas,
  buildIndexes,
  createCollection,
  dataCollection,
  dropIfThere,
  namesIn,
  splitIndexes,
} from './restore/collections.ts';
import { summarize } from './restore/compare.ts';
import { RestoreJournal } from './restore/journal.ts';
import { Loader } from './restore/load.ts';
import {
  planRestore,
  type RestoreItem,
  type RestorePlan,
  RestorePlanError,
  type RestoreSelection,
  selector,
} from './restore/plan.ts';
import { OplogReplay } from './restore/replay.ts';
import { swapAll } from './restore/swap.ts';
import { UsersAndRoles } from './restore/users.ts';
import { stagingPrefix } from './staging.ts';

export type RestorePhase = 'verify' | 'load' | 'compare' | 'replay' | 'indexes' | 'swap' | 'users' | 'done';

export interface RestoreProgress {
  phase: RestorePhase;
  /** What is worked on, for example `shop.orders`. */
  namespace: string;
  /** Uncompressed bytes and documents handled in this phase, and the whole where it is known. */
  bytes: number;
  documents: number;
  totalBytes: number;
  namespacesDone: number;
  namespacesTotal: number;
}

export interface RestoreSource extends RestoreSelection {
  /** Opens the stored file from its beginning; called once to prove and once to load. */
  open: (signal?: AbortSignal) => Promise<Bytes>;
  key?: EncryptionKey | undefined;
  /** When given, the archive must be the one that this manifest describes. */
  manifest?: BackupManifest | undefined;
}

export interface RestoreOptions extends RestoreSource {
  /** Names this restore; the same id again resumes it. Letters, digits and `-`, at most 40. */
  id: string;
  /** Allows that existing collections are replaced. Default false: then the restore refuses before it writes. */
  replace?: boolean | undefined;
  /** Merges users and roles when the archive holds them and everything is restored under its own name. Default true. */
  usersAndRoles?: boolean | undefined;
  /** Replays the archive's oplog, if it has one, so that the data is of one moment. Default true. */
  replayOplog?: boolean | undefined;
  /** Leaves out oplog entries after this time. */
  oplogUntil?: ClusterTime | undefined;
  signal?: AbortSignal | undefined;
  onProgress?: (progress: RestoreProgress) => void;
}

export interface RestoreResult {
  restored: {
    source: string;
    target: string;
    kind: RestoreItem['kind'];
    documents: number;
    bytes: number;
    replaced: boolean;
  }[];
  skipped: RestorePlan['skipped'];
  usersAndRoles: boolean;
  documents: number;
  bytes: number;
  /** Milliseconds for each phase. */
  timings: Partial<Record<RestorePhase, number>>;
}

/** Some documents did not go in, or came out different; nothing was swapped and the staging collections are gone. */
export class RestoreFailedError extends Error {
  override name = 'RestoreFailedError';
  /** The documents that the server refused, at most 1000 of them. */
  readonly failed: readonly FailedDocument[];
  constructor(message: string, failed: readonly FailedDocument[] = []) {
    super(message);
    this.failed = failed;
  }
}

/**
 * What a restore would do. Proves the archive, reads the target's names, changes nothing.
 * @throws ArchiveCorruptError, EncryptionError, BackupDamagedError, RestorePlanError
 */
export async function previewRestore(
  client: MongoClient,
  source: RestoreSource & {
    id?: string;
    signal?: AbortSignal | undefined;
    onProgress?: (bytes: number) => void;
  },
): Promise<{ proof: ArchiveProof; plan: RestorePlan }> {
  const { key, signal, manifest, onProgress } = source;
  const proof = await proveArchive(await source.open(signal), {
    key,
    signal,
    ...(onProgress && { onProgress }),
  });
  const difference = manifest && compareWithManifest(proof, manifest);
  if (difference) throw new BackupDamagedError(`backup ${manifest.id}: ${difference}`);
  const { prelude, namespaces } = proof;
  const plan = await planRestore(client, {
    id: source.id ?? 'preview',
    prelude,
    namespaces,
    selection: source,
  });
  return { proof, plan };
}

/**
 * Carries a restore out.
 * @throws RestorePlanError before anything is written, RestoreFailedError before anything is swapped, and errors of
 * reading, of the driver, or of the signal
 */
export async function restore(client: MongoClient, options: RestoreOptions): Promise<RestoreResult> {
  if (!/^[A-Za-z0-9-]{1,40}$/.test(options.id)) {
    throw new RestorePlanError(
      `restore id ${JSON.stringify(options.id)}: 1 to 40 letters, digits and - are allowed`,
    );
  }
  return new RestoreRun(client, options).run();
}

class RestoreRun {
  readonly #client: MongoClient;
  readonly #options: RestoreOptions;
  readonly #timings: RestoreResult['timings'] = {};
  readonly #users = new UsersAndRoles();
  #progress: RestoreProgress = {
    phase: 'verify',
    namespace: '',
    bytes: 0,
    documents: 0,
    totalBytes: 0,
    namespacesDone: 0,
    namespacesTotal: 0,
  };
  #phaseStart = performance.now();
  #keepsZeroTimestamps = false;

  constructor(client: MongoClient, options: RestoreOptions) {
    this.#client = client;
    this.#options = options;
  }

  async run(): Promise<RestoreResult> {
    this.#enter('verify', this.#options.manifest?.bytes ?? 0);
    const onProgress = (bytes: number) => this.#report({ bytes });
    const { plan, proof } = await previewRestore(this.#client, { ...this.#options, onProgress });
    this.#keepsZeroTimestamps = (await serverFacts(this.#client)).majorMinor[0] >= 8;
    const journal = new RestoreJournal(this.#client, this.#options.id, plan, fingerprint(proof, plan));
    const resumed = await journal.phase();
    if (resumed !== 'swapping') {
      this.#assertMayReplace(plan);
      await this.#dropStaging(plan);
      await this.#stage(plan, journal);
    }
    this.#enter('swap');
    const { items } = plan;
    const keepsZeroTimestamps = this.#keepsZeroTimestamps;
    await swapAll(this.#client, items, { keepsZeroTimestamps, onSwapped: (item) => this.#doneWith(item) });
    const usersAndRoles = await this.#mergeUsers(plan, resumed === 'swapping');
    await journal.remove();
    this.#enter('done');
    return this.#result(plan, usersAndRoles);
  }

  /** Everything before the swap; when any of it fails, the staging collections are dropped. */
  async #stage(plan: RestorePlan, journal: RestoreJournal): Promise<void> {
    await journal.enter('loading');
    try {
      await this.#load(plan);
      await this.#buildIndexes(plan);
      this.#options.signal?.throwIfAborted();
      await journal.enter('swapping');
    } catch (error) {
      await this.#dropStaging(plan).catch(() => undefined); // the first error is the one to tell
      await journal.remove().catch(() => undefined);
      throw error;
    }
  }

  async #load(plan: RestorePlan): Promise<void> {
    const { signal } = this.#options;
    const stored = plan.items.filter(({ kind }) => kind !== 'view');
    const total = stored.reduce((sum, { bytes }) => sum + bytes, 0);
    this.#enter('load', total, stored.length);
    await forEachLimited(
      stored,
      4,
      async (item) => {
        const db = this.#client.db(item.db);
        await createCollection(db, item, item.staging);
        if (item.kind === 'timeseries') await allowMixedSchemas(db, item.staging);
      },
      signal,
    );
    const bySource = new Map(stored.map((item) => [item.sourceData, item]));
    const loader = new Loader(this.#client, this.#keepsZeroTimestamps, signal);
    try {
      await this.#feed(loader, bySource, plan);
    } finally {
      await loader.finish().catch(() => undefined); // no insert may go on when the staging is dropped
    }
  }

  /** All documents are sent: none may have failed, and what the server holds must be what the archive holds. */
  async #loaded(loader: Loader, plan: RestorePlan): Promise<void> {
    await loader.finish();
    const { failed, failedCount } = loader;
    if (failedCount > 0) {
      const [first] = failed;
      const example = first ? `, for example ${first.id} of ${first.namespace}: ${first.message}` : '';
      throw new RestoreFailedError(`the server refused ${failedCount} documents${example}`, failed);
    }
    await this.#compare(plan);
  }

  /** The oplog comes last in an archive; its entries go over data that has been compared. */
  async #feed(loader: Loader, bySource: Map<string, RestoreItem>, plan: RestorePlan): Promise<void> {
    const { open, key, signal, replayOplog = true, oplogUntil } = this.#options;
    let replay: OplogReplay | undefined;
    for await (const event of readArchive(unwrapArchive(await open(signal), key))) {
      signal?.throwIfAborted();
      if (event.kind === 'prelude') continue;
      const { db, collection } = event.kind === 'documents' ? event.namespace : event.summary;
      const item = bySource.get(`${db}.${collection}`);
      if (item) await this.#feedItem(loader, item, event);
      else if (event.kind !== 'documents') continue;
      else if (db === 'admin' || collection.startsWith('$admin.')) this.#users.take(collection, event.data);
      else if (db === '' && replayOplog) {
        if (!replay) await this.#loaded(loader, plan);
        if (!replay) this.#enter('replay');
        replay ??= new OplogReplay(this.#client, bySource, oplogUntil);
        await replay.take(event.data);
        this.#report({ namespace: 'oplog', documents: this.#progress.documents + event.count });
      }
    }
    if (!replay) return this.#loaded(loader, plan);
    await replay.finish();
    for (const source of replay.unknown) {
      if (isCreatedMeanwhile(source, plan, this.#options)) {
        plan.skipped.push({ source, reason: 'written to during the dump, but not in the archive' });
      }
    }
  }

  async #feedItem(
    loader: Loader,
    item: RestoreItem,
    event: Exclude<ArchiveEvent, { kind: 'prelude' }>,
  ): Promise<void> {
    if (event.kind === 'end') {
      await loader.end(item);
      this.#doneWith(item);
      return;
    }
    await loader.add(item, event.data, event.count);
    const { bytes, documents } = this.#progress;
    this.#report({
      namespace: item.source,
      bytes: bytes + event.data.length,
      documents: documents + event.count,
    });
  }

  /** Reads everything back: what the server holds now must be what the archive holds. */
  async #compare(plan: RestorePlan): Promise<void> {
    const { signal } = this.#options;
    const stored = plan.items.filter(({ kind }) => kind !== 'view');
    this.#enter(
      'compare',
      stored.reduce((sum, { bytes }) => sum + bytes, 0),
      stored.length,
    );
    await forEachLimited(
      stored,
      2,
      async (item, stop) => {
        const onProgress = (bytes: number) => this.#report({ bytes: this.#progress.bytes + bytes });
        const found = await summarize(this.#client, item.db, dataCollection(item, item.staging), {
          signal: stop,
          onProgress,
        });
        if (found.documents !== item.documents) {
          throw new RestoreFailedError(
            `${item.source}: ${item.documents} documents were sent, ${found.documents} are there`,
          );
        }
        if (item.documents > 0 && found.contentSum !== item.contentSum) {
          throw new RestoreFailedError(`${item.source}: the restored content is not the archive's`);
        }
        this.#doneWith(item);
      },
      signal,
    );
  }

  async #buildIndexes(plan: RestorePlan): Promise<void> {
    const stored = plan.items.filter(({ kind }) => kind !== 'view');
    this.#enter('indexes', 0, stored.length);
    for (const item of stored) {
      this.#report({ namespace: item.source });
      await buildIndexes(
        this.#client.db(item.db),
        item.staging,
        splitIndexes(item).plain,
        this.#options.signal,
      );
      this.#doneWith(item);
    }
  }

  async #mergeUsers(plan: RestorePlan, resumed: boolean): Promise<boolean> {
    if (!this.#restoresUsers(plan)) return false;
    this.#enter('users');
    if (resumed) await this.#readUsers();
    await this.#users.merge(this.#client);
    return true;
  }

  /** Users and roles name databases: they fit only when everything keeps its name. */
  #restoresUsers(plan: RestorePlan): boolean {
    const { usersAndRoles = true, include, exclude, nsFrom } = this.#options;
    return usersAndRoles && plan.hasUsersAndRoles && !include?.length && !exclude?.length && !nsFrom?.length;
  }

  async #readUsers(): Promise<void> {
    const { open, key, signal } = this.#options;
    for await (const event of readArchive(unwrapArchive(await open(signal), key))) {
      if (event.kind === 'documents' && event.namespace.db === 'admin')
        this.#users.take(event.namespace.collection, event.data);
    }
  }

  #assertMayReplace(plan: RestorePlan): void {
    const existing = plan.items.filter(({ replaces }) => replaces !== undefined);
    if (existing.length === 0 || this.#options.replace) return;
    const names = existing.slice(0, 5).map(({ db, collection }) => `${db}.${collection}`);
    const more = existing.length > 5 ? ` and ${existing.length - 5} more` : '';
    throw new RestorePlanError(
      `${names.join(', ')}${more} exist already; allow replacing them, or restore under other names`,
    );
  }

  /** Removes what an earlier run of this id has left. */
  async #dropStaging({ items }: RestorePlan): Promise<void> {
    const prefix = `${stagingPrefix}${this.#options.id}_`;
    for (const db of new Set(items.map((item) => item.db))) {
      const names = await namesIn(this.#client.db(db), prefix);
      for (const name of names.keys()) await dropIfThere(this.#client.db(db), name);
    }
  }

  #result({ items, skipped }: RestorePlan, usersAndRoles: boolean): RestoreResult {
    return {
      restored: items.map(({ source, db, collection, kind, documents, bytes, replaces }) => {
        return {
          source,
          target: `${db}.${collection}`,
          kind,
          documents,
          bytes,
          replaced: replaces !== undefined,
        };
      }),
      skipped,
      usersAndRoles,
      documents: items.reduce((sum, item) => sum + item.documents, 0),
      bytes: items.reduce((sum, item) => sum + item.bytes, 0),
      timings: this.#timings,
    };
  }

  #enter(phase: RestorePhase, totalBytes = 0, namespacesTotal = 0): void {
    const now = performance.now();
    this.#timings[this.#progress.phase] = Math.round(now - this.#phaseStart);
    this.#phaseStart = now;
    this.#report({
      phase,
      totalBytes,
      namespacesTotal,
      bytes: 0,
      documents: 0,
      namespacesDone: 0,
      namespace: '',
    });
  }

  #doneWith({ source }: RestoreItem): void {
    this.#report({ namespace: source, namespacesDone: this.#progress.namespacesDone + 1 });
  }

  #report(change: Partial<RestoreProgress>): void {
    this.#progress = { ...this.#progress, ...change };
    this.#options.onProgress?.(this.#progress);
  }
}

/** A namespace that came into being while the archive was dumped, and not one that the plan leaves out on purpose. */
function isCreatedMeanwhile(source: string, plan: RestorePlan, selection: RestoreSelection): boolean {
  const [db] = source.split('.');
  return (
    !['admin', 'config', 'local'].includes(db ?? '') &&
    selector(selection)(source) &&
    !plan.skipped.some((skipped) => skipped.source === source)
  );
}

/** Same archive, same names: only then may a later run go on with what an earlier one has staged. */
function fingerprint(proof: ArchiveProof, plan: RestorePlan): string {
  const hash = createHash('sha256').update(proof.sha256);
  for (const { source, db, collection, staging } of plan.items)
    hash.update(JSON.stringify([source, db, collection, staging]));
  return hash.digest('hex');
}
