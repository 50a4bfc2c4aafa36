/**
 * Dumps a MongoDB server, or part of it, as one stream in the mongodump archive format. Memory does not depend on the
 * amount of data: each of the parallel readers holds a batch or two of about 1 MiB.
 */
import type { MongoClient } from 'mongodb';
import { maxMongorestoreDocumentLength, type Namespace } from './archive/format.ts';
import { ArchiveWriter, type ByteSink } from './archive/writer.ts';
import { documentsOf } from './bson/raw.ts';
import { serverFacts, type ServerFacts } from './connect.ts';
import {
  chooseConsistency,
  type ClusterTime,
  type Consistency,
  type ConsistencyChoice,
  majorityTime,
} from './dump/consistency.ts';
import { readDocuments } from './dump/documents.ts';
import {
  archiveNamespace,
  listCollections,
  type ListedCollection,
  namespaceSelector,
} from './dump/listing.ts';
import { assertOplogReaches, oplogWindowStart, readOplog, selectEntries } from './dump/oplog.ts';
import {
  assertSameListing,
  describeAll,
  estimateSize,
  inOrder,
  listAtOneMoment,
  type PlannedCollection,
} from './dump/plan.ts';
import type { DumpedNamespace, DumpOptions, DumpProgress, DumpResult } from './dump/run.types.ts';
import type { DocumentRun } from './kernels.ts';
import { forEachLimited } from './parallel.ts';
import { Throttle } from './throttle.ts';

export type { DumpedNamespace, DumpOptions, DumpProgress, DumpResult } from './dump/run.types.ts';

const oplogNamespace: Namespace = { db: '', collection: 'oplog' };

/**
 * Writes the archive into `sink`, which is not closed.
 * @throws DumpError when the result would not be right, and what the driver or the sink throws
 */
export async function dump(client: MongoClient, sink: ByteSink, options: DumpOptions): Promise<DumpResult> {
  return new DumpRun(client, sink, options).run();
}

class DumpRun {
  readonly #client: MongoClient;
  readonly #options: DumpOptions;
  readonly #sink: ByteSink;
  readonly #concurrency: number;
  readonly #throttle: Throttle;
  readonly #progress: DumpProgress;
  readonly #done: DumpedNamespace[] = [];
  readonly #except: string[] = [];
  readonly #warnings: string[] = [];
  #snapshot: ClusterTime | undefined;
  #kind: ConsistencyChoice['kind'] = 'none';

  constructor(client: MongoClient, sink: ByteSink, options: DumpOptions) {
    this.#client = client;
    this.#sink = sink;
    this.#options = options;
    this.#concurrency = Math.min(16, Math.max(1, options.concurrency ?? 2));
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
    const { signal } = this.#options;
    const server = await serverFacts(this.#client);
    const choice = await this.#choose(server);
    const from = choice.kind === 'oplog' ? await oplogWindowStart(this.#client) : undefined;
    const listed = await this.#list();
    const plan = await describeAll(this.#client, listed, signal);
    this.#progress.estimatedBytes = plan.reduce((sum, { size }) => sum + size, 0);
    this.#progress.namespacesTotal = plan.length;
    const writer = await this.#start(server, plan, from !== undefined);
    const { first, rest } = inOrder(plan);
    for (const planned of first) await this.#collection(writer, planned, signal);
    await forEachLimited(
      rest,
      this.#concurrency,
      (planned, stop) => this.#collection(writer, planned, stop),
      signal,
    );
    const to = from && (await this.#oplog(writer, from));
    await writer.close();
    if (choice.kind === 'none') await assertSameListing(this.#client, this.#options, listed, signal);
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

  async #choose(server: ServerFacts): Promise<ConsistencyChoice> {
    const { consistency = 'auto' } = this.#options;
    const estimate = await estimateSize(this.#client, this.#options);
    const rate = this.#throttle.megabytesPerSecond;
    const choice = await chooseConsistency(this.#client, server, consistency, estimate, rate && rate * 1e6);
    this.#kind = choice.kind;
    return choice;
  }

  async #list(): Promise<ListedCollection[]> {
    const { signal } = this.#options;
    if (this.#kind !== 'snapshot') return listCollections(this.#client, this.#options, signal);
    const { listed, time } = await listAtOneMoment(this.#client, this.#options, signal);
    this.#snapshot = time;
    return listed;
  }

  #consistency(choice: ConsistencyChoice, from?: ClusterTime, to?: ClusterTime): Consistency {
    if (this.#snapshot) return { kind: 'snapshot', clusterTime: this.#snapshot, except: this.#except };
    if (from && to) return { kind: 'oplog', from, to };
    return { kind: 'none', reason: choice.reason };
  }

  /** The archive up to its first block. */
  async #start(server: ServerFacts, plan: PlannedCollection[], withOplog: boolean): Promise<ArchiveWriter> {
    const writer = new ArchiveWriter(this.#sink, {
      concurrentCollections: Math.max(4, this.#concurrency),
      serverVersion: server.version,
      toolVersion: this.#options.toolVersion,
    });
    const descriptions = plan.map(({ description }) => description);
    const names = plan.map(({ listed }) => archiveNamespace(listed));
    if (withOplog) {
      descriptions.push({ ...oplogNamespace, metadata: '', type: '' });
      names.push(oplogNamespace);
    }
    await writer.prelude(descriptions, names);
    return writer;
  }

  async #collection(
    writer: ArchiveWriter,
    { listed, indexes }: PlannedCollection,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const namespace = archiveNamespace(listed);
    const name = `${listed.db}.${listed.name}`;
    if (listed.dataName !== undefined) {
      const reading = { snapshot: this.#snapshot, mayVanish: this.#kind === 'oplog', signal };
      const atMoment = await readDocuments(this.#client, listed, reading, (run) =>
        this.#write(writer, namespace, run, name, signal),
      );
      if (!atMoment) this.#except.push(name);
    }
    const summary = await writer.end(namespace);
    this.#done.push({ ...summary, name: listed.name, type: listed.type, indexes });
    this.#progress.namespacesDone++;
    this.#options.onProgress?.({ ...this.#progress });
  }

  async #oplog(writer: ArchiveWriter, from: ClusterTime): Promise<ClusterTime> {
    const { signal } = this.#options;
    const takes = namespaceSelector(this.#options);
    const to = await majorityTime(this.#client);
    await assertOplogReaches(this.#client, from);
    for await (const run of readOplog(this.#client, { from, to, signal })) {
      const selected = selectEntries(run, takes);
      if (selected.count === 0) continue;
      this.#warnAboutSize(selected.data);
      await this.#write(writer, oplogNamespace, selected, 'oplog', signal);
    }
    await assertOplogReaches(this.#client, from);
    const summary = await writer.end(oplogNamespace);
    this.#done.push({ ...summary, name: 'oplog', type: '', indexes: [] });
    return to;
  }

  async #write(
    writer: ArchiveWriter,
    namespace: Namespace,
    run: DocumentRun,
    name: string,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    this.#progress.bytes += run.data.length;
    this.#progress.documents += run.count;
    this.#progress.namespace = name;
    this.#options.onProgress?.({ ...this.#progress });
    await writer.documents(namespace, run);
    await this.#throttle.take(run.data.length, signal);
  }

  #warnAboutSize(entries: Buffer): void {
    for (const { length } of documentsOf(entries)) {
      if (length <= maxMongorestoreDocumentLength) continue;
      this.#warnings.push(
        `the oplog holds an entry of ${length} bytes: slipway restores this archive, mongorestore cannot read it`,
      );
    }
  }
}
