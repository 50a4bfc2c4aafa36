/**
 * Dumps a MongoDB server, or part of it, as one stream in the mongodump archive format. Memory does not depend on the
 * amount of data: each of the parallel readers holds a batch or two of about 1 MiB.
 */
import { MongoServerError, type MongoClient } from 'mongodb';
import { type ByteSink, ArchiveWriter } from './archive/writer.ts';
import {
  maxMongorestoreDocumentLength,
  type CollectionDescription,
  type Namespace,
} from './archive/format.ts';
import type { NamespaceSummary } from './archive/reader.ts';
import { documentsOf } from './bson/raw.ts';
import { serverFacts, type ServerFacts } from './connect.ts';
import {
  chooseConsistency,
  type ClusterTime,
  type Consistency,
  type ConsistencyChoice,
  type ConsistencyMode,
  DumpError,
  majorityTime,
  snapshotAt,
} from './dump/consistency.ts';
import {
  archiveNamespace,
  describeCollection,
  listCollections,
  type ListedCollection,
  type NamespaceFilter,
  namespaceSelector,
} from './dump/listing.ts';
import { assertOplogReaches, oplogWindowStart, readOplog, selectEntries } from './dump/oplog.ts';
import { forEachLimited } from './parallel.ts';
import { rawFind } from './raw-cursor.ts';
import { Throttle } from './throttle.ts';

export interface DumpProgress {
  /** Bytes of BSON and documents read so far. */
  bytes: number;
  documents: number;
  /** What is being read, for example `shop.orders`. */
  namespace: string;
  namespacesDone: number;
  namespacesTotal: number;
  /** What the server's statistics say the whole will be. */
  estimatedBytes: number;
}

export interface DumpOptions extends NamespaceFilter {
  /** Default `auto`. */
  consistency?: ConsistencyMode;
  /** Collections read at the same time, 1 to 16; default 2. */
  concurrency?: number;
  /** Limit of reading in uncompressed MB/s; may be changed while the dump runs. */
  throttle?: Throttle;
  toolVersion: string;
  signal?: AbortSignal | undefined;
  /** Called after every batch; must be quick. */
  onProgress?: (progress: DumpProgress) => void;
}

export interface DumpedNamespace extends NamespaceSummary {
  /** The name people know: differs from `collection` for a time-series. */
  name: string;
  type: CollectionDescription['type'];
  indexes: string[];
}

export interface DumpResult {
  server: ServerFacts;
  consistency: Consistency;
  namespaces: DumpedNamespace[];
  documents: number;
  bytes: number;
  /** SHA-256 of the archive up to its first block. */
  preludeSha256: string;
  /** What a reader of the archive should know, e.g. that mongorestore cannot read it. */
  warnings: string[];
}

interface Planned {
  listed: ListedCollection;
  description: CollectionDescription;
  indexes: string[];
  size: number;
}

const oplogNamespace: Namespace = { db: '', collection: 'oplog' };
/** mongorestore keeps these whole in memory and wants them first. */
const first = new Set(['admin.system.users', 'admin.system.roles', 'admin.system.version']);

/**
 * Writes the archive into `sink`, which is not closed.
 * @throws DumpError when the result would not be right, and what the driver or the sink throws
 */
export async function dump(client: MongoClient, sink: ByteSink, options: DumpOptions): Promise<DumpResult> {
  const concurrency = Math.min(16, Math.max(1, options.concurrency ?? 2));
  const run = new DumpRun(client, sink, options, concurrency);
  return run.run();
}

class DumpRun {
  readonly #client: MongoClient;
  readonly #sink: ByteSink;
  readonly #options: DumpOptions;
  readonly #concurrency: number;
  readonly #throttle: Throttle;
  readonly #progress: DumpProgress;
  readonly #done: DumpedNamespace[] = [];
  readonly #except: string[] = [];
  readonly #warnings: string[] = [];
  #snapshot: ClusterTime | undefined;
  #kind: ConsistencyChoice['kind'] = 'none';

  constructor(client: MongoClient, sink: ByteSink, options: DumpOptions, concurrency: number) {
    this.#client = client;
    this.#sink = sink;
    this.#options = options;
    this.#concurrency = concurrency;
    this.#throttle = options.throttle ?? new Throttle();
    this.#progress = {
      bytes: 0,
      documents: 0,
      namespace: '',
      namespacesDone: 0,
      namespacesTotal: 0,
      estimatedBytes: 0,
    };
  }

  async run(): Promise<DumpResult> {
    const { consistency = 'auto', signal } = this.#options;
    const server = await serverFacts(this.#client);
    const estimate = await this.#estimate();
    const rate = this.#throttle.megabytesPerSecond;
    const choice = await chooseConsistency(this.#client, server, consistency, estimate, rate && rate * 1e6);
    this.#kind = choice.kind;
    const from = choice.kind === 'oplog' ? await oplogWindowStart(this.#client) : undefined;
    const listed = await this.#listAtMoment();
    const plan = await this.#describe(listed);
    const concurrentCollections = Math.max(4, this.#concurrency);
    const header = {
      concurrentCollections,
      serverVersion: server.version,
      toolVersion: this.#options.toolVersion,
    };
    const writer = new ArchiveWriter(this.#sink, header);
    await this.#prelude(writer, plan, from !== undefined);
    for (const planned of plan.filter(isFirst)) await this.#collection(writer, planned, signal);
    const rest = plan.filter((planned) => !isFirst(planned)).sort((a, b) => b.size - a.size);
    await forEachLimited(
      rest,
      this.#concurrency,
      (planned, stop) => this.#collection(writer, planned, stop),
      signal,
    );
    const to = from && (await this.#oplog(writer, from));
    await writer.close();
    if (choice.kind === 'none') await this.#assertUnchanged(listed);
    return {
      server,
      consistency: this.#consistency(choice, from, to),
      namespaces: this.#done,
      documents: this.#progress.documents,
      bytes: this.#progress.bytes,
      preludeSha256: writer.preludeSha256,
      warnings: this.#warnings,
    };
  }

  #consistency(choice: ConsistencyChoice, from?: ClusterTime, to?: ClusterTime): Consistency {
    if (this.#snapshot) return { kind: 'snapshot', clusterTime: this.#snapshot, except: this.#except };
    if (from && to) return { kind: 'oplog', from, to };
    return { kind: 'none', reason: choice.reason };
  }

  async #estimate(): Promise<number> {
    const { databases } = await this.#client.db('admin').command({ listDatabases: 1, nameOnly: true });
    const wanted = this.#options.databases;
    let bytes = 0;
    for (const { name } of databases as { name: string }[]) {
      if (name === 'local' || name === 'config' || (wanted?.length && !wanted.includes(name))) continue;
      bytes += Number((await this.#client.db(name).command({ dbStats: 1 }))['dataSize'] ?? 0);
    }
    return bytes;
  }

  /** Lists, takes the snapshot's time, and lists again: equal lists mean that the list is of that time. */
  async #listAtMoment(): Promise<ListedCollection[]> {
    const { signal } = this.#options;
    let listed = await listCollections(this.#client, this.#options, signal);
    if (this.#kind !== 'snapshot') return listed;
    for (let attempt = 0; attempt < 5; attempt++) {
      const time = await majorityTime(this.#client);
      const again = await listCollections(this.#client, this.#options, signal);
      if (sameCollections(listed, again)) {
        this.#snapshot = time;
        return again;
      }
      listed = again;
    }
    throw new DumpError(
      'collection-changed',
      'collections were created or dropped each of five times that they were listed',
    );
  }

  async #describe(listed: ListedCollection[]): Promise<Planned[]> {
    const plan: Planned[] = [];
    await forEachLimited(
      listed,
      4,
      async (entry, signal) => {
        const [{ description, indexNames }, size] = await Promise.all([
          describeCollection(this.#client, entry, signal),
          this.#dataSize(entry),
        ]);
        plan.push({ listed: entry, description, indexes: indexNames, size });
      },
      this.#options.signal,
    );
    this.#progress.estimatedBytes = plan.reduce((sum, { size }) => sum + size, 0);
    this.#progress.namespacesTotal = plan.length;
    return plan;
  }

  async #dataSize({ db, dataName }: ListedCollection): Promise<number> {
    if (dataName === undefined) return 0;
    try {
      return Number((await this.#client.db(db).command({ collStats: dataName }))['size'] ?? 0);
    } catch {
      return 0; // an estimate is not worth a failure: not every user may read statistics
    }
  }

  async #prelude(writer: ArchiveWriter, plan: Planned[], withOplog: boolean): Promise<void> {
    const descriptions = plan.map(({ description }) => description);
    const names = plan.map(({ listed }) => archiveNamespace(listed));
    if (withOplog) {
      descriptions.push({ ...oplogNamespace, metadata: '', type: '' });
      names.push(oplogNamespace);
    }
    await writer.prelude(descriptions, names);
  }

  async #collection(writer: ArchiveWriter, planned: Planned, signal: AbortSignal | undefined): Promise<void> {
    const { listed, indexes } = planned;
    const namespace = archiveNamespace(listed);
    if (listed.dataName !== undefined) await this.#documents(writer, listed, namespace, signal);
    const summary = await writer.end(namespace);
    this.#done.push({ ...summary, name: listed.name, type: listed.type, indexes });
    this.#progress.namespacesDone++;
    this.#options.onProgress?.({ ...this.#progress });
  }

  async #documents(
    writer: ArchiveWriter,
    listed: ListedCollection,
    namespace: Namespace,
    signal?: AbortSignal,
  ): Promise<void> {
    let started = false;
    const copy = async (snapshot: ClusterTime | undefined) => {
      for await (const run of this.#read(listed, snapshot, signal)) {
        started = true;
        this.#count(run.data.length, run.count, `${listed.db}.${listed.name}`);
        await writer.documents(namespace, run);
        await this.#throttle.take(run.data.length, signal);
      }
    };
    try {
      await copy(this.#snapshot);
    } catch (error) {
      const code = error instanceof MongoServerError ? error.code : undefined;
      if (code === 246 && listed.capped && !started) {
        // Before 7.0 a capped collection cannot be read at a past time.
        await copy(undefined);
        this.#except.push(`${listed.db}.${listed.name}`);
      } else if (this.#kind !== 'oplog' || code !== 26) {
        throw explain(error, listed);
      }
    }
  }

  async *#read(listed: ListedCollection, snapshot: ClusterTime | undefined, signal?: AbortSignal) {
    const session = this.#client.startSession({ causalConsistency: false });
    try {
      yield* rawFind(this.#client.db(listed.db), {
        collection: listed.uuid ?? (listed.dataName as string),
        hint: { $natural: 1 },
        session,
        ...(snapshot && { readConcern: snapshotAt(snapshot) }),
        ...(signal && { signal }),
      });
    } finally {
      await session.endSession();
    }
  }

  async #oplog(writer: ArchiveWriter, from: ClusterTime): Promise<ClusterTime> {
    const { signal } = this.#options;
    const takes = namespaceSelector(this.#options);
    const to = await majorityTime(this.#client);
    await assertOplogReaches(this.#client, from);
    for await (const run of readOplog(this.#client, { from, to, signal })) {
      const selected = selectEntries(run, takes);
      if (selected.count === 0) continue;
      this.#count(selected.data.length, selected.count, 'oplog');
      this.#warnAboutSize(selected.data);
      await writer.documents(oplogNamespace, selected);
      await this.#throttle.take(selected.data.length, signal);
    }
    await assertOplogReaches(this.#client, from);
    const summary = await writer.end(oplogNamespace);
    this.#done.push({ ...summary, name: 'oplog', type: '', indexes: [] });
    return to;
  }

  #warnAboutSize(entries: Buffer): void {
    for (const { length } of documentsOf(entries)) {
      if (length <= maxMongorestoreDocumentLength) continue;
      this.#warnings.push(
        `the oplog holds an entry of ${length} bytes: slipway restores this archive, mongorestore cannot read it`,
      );
    }
  }

  #count(bytes: number, documents: number, namespace: string): void {
    this.#progress.bytes += bytes;
    this.#progress.documents += documents;
    this.#progress.namespace = namespace;
    this.#options.onProgress?.({ ...this.#progress });
  }

  async #assertUnchanged(before: ListedCollection[]): Promise<void> {
    const after = await listCollections(this.#client, this.#options, this.#options.signal);
    if (!sameCollections(before, after)) {
      throw new DumpError(
        'collection-changed',
        'collections were created, dropped or renamed during the dump; start it again',
      );
    }
  }
}

function isFirst({ listed }: Planned): boolean {
  return first.has(`${listed.db}.${listed.name}`);
}

function sameCollections(a: ListedCollection[], b: ListedCollection[]): boolean {
  const key = ({ db, name, type, uuid, options }: ListedCollection) => [
    db,
    name,
    type,
    uuid?.toHexString(),
    options.toString('base64'),
  ];
  return a.length === b.length && JSON.stringify(a.map(key)) === JSON.stringify(b.map(key));
}

/** The server's codes for a read that lost its moment, in words that say what to do. */
function explain(error: unknown, { db, name }: ListedCollection): unknown {
  if (!(error instanceof MongoServerError)) return error;
  const cause = { cause: error };
  switch (error.code) {
    case 239:
      return new DumpError(
        'snapshot-too-old',
        `${db}.${name}: the dump took longer than the server keeps history (minSnapshotHistoryWindowInSeconds)`,
        cause,
      );
    case 26:
    case 175:
    case 246:
      return new DumpError(
        'collection-changed',
        `${db}.${name} was changed, dropped or renamed while it was dumped: ${error.message}`,
        cause,
      );
    default:
      return error;
  }
}
