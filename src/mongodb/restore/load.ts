// Feeds the archive's documents into the staging collections: batches of some MiB, several under way at once.
import type { MongoClient } from 'mongodb';
import { type FailedDocument, maxInsertDocuments, mayHoldZeroTimestamp, rawInsert } from '../raw-write.ts';
import { Batch, Segments } from './batch.ts';
import { dataCollection } from './collections.ts';
import type { RestoreItem } from './plan.ts';

const batchDocuments = 50_000;
/** Of all collections that are filled side by side. */
const maxWaitingBytes = 8 << 20;
/** At the same time: as many as the server has cores; on two, four would cost it a sixth more CPU for the same work. */
const insertsInFlight = { least: 2, most: 4 };
/** In all of them. Fewer and larger ones cost less CPU here, the server the same. */
const bytesInFlight = 8 << 20;
/** So many failures are told one by one; the number of all is always told. */
const maxReportedFailures = 1000;

/** What of a server decides how it is loaded. */
interface LoadedServer {
  keepsZeroTimestamps: boolean;
  /** Where it says so. */
  cores: number | undefined;
}

export class Loader {
  readonly #client: MongoClient;
  readonly #keepsZeroTimestamps: boolean;
  readonly #signal: AbortSignal | undefined;
  readonly #batches = new Map<RestoreItem, Batch>();
  readonly #running = new Set<Promise<void>>();
  readonly #memory = new Segments();
  readonly #insertsInFlight: number;
  readonly #batchBytes: number;
  #error: unknown;
  #waitingBytes = 0;

  readonly failed: FailedDocument[] = [];
  failedCount = 0;

  constructor(client: MongoClient, server: LoadedServer, signal: AbortSignal | undefined) {
    this.#client = client;
    this.#keepsZeroTimestamps = server.keepsZeroTimestamps;
    const { least, most } = insertsInFlight;
    this.#insertsInFlight = Math.min(most, Math.max(least, server.cores ?? most));
    this.#batchBytes = bytesInFlight / this.#insertsInFlight;
    this.#signal = signal;
  }

  /** Takes whole documents; resolves when more may come. @throws the first error of any insert */
  async add(item: RestoreItem, data: Buffer, count: number): Promise<void> {
    for (const run of runsOf(data, count)) {
      const batch = this.#batches.get(item) ?? new Batch(this.#memory);
      this.#batches.set(item, batch);
      const heldBefore = batch.heldBytes;
      batch.add(run.data, run.count);
      if (!this.#keepsZeroTimestamps) batch.mayHoldZeroTimestamp ||= mayHoldZeroTimestamp(run.data);
      this.#waitingBytes += batch.heldBytes - heldBefore;
      if (batch.bytes >= this.#batchBytes || batch.count >= batchDocuments) await this.#send(item);
    }
    while (this.#waitingBytes > maxWaitingBytes) await this.#send(this.#largest());
  }

  /** All of an item is here. */
  async end(item: RestoreItem): Promise<void> {
    if (this.#batches.has(item)) await this.#send(item);
  }

  /** Waits for all inserts. @throws the first error of any */
  async finish(): Promise<void> {
    await Promise.all(this.#running);
    if (this.#error) throw this.#error;
  }

  #largest(): RestoreItem {
    const [[item]] = [...this.#batches].sort(([, a], [, b]) => b.bytes - a.bytes) as [[RestoreItem, Batch]];
    return item;
  }

  async #send(item: RestoreItem): Promise<void> {
    const batch = this.#batches.get(item);
    if (!batch) return;
    this.#batches.delete(item);
    this.#waitingBytes -= batch.heldBytes;
    const keepsOrder = item.options.get('capped') === true;
    while (this.#running.size >= (keepsOrder ? 1 : this.#insertsInFlight)) await Promise.race(this.#running);
    if (this.#error) throw this.#error;
    this.#signal?.throwIfAborted();
    const insert: Promise<void> = this.#insert(item, batch, keepsOrder).finally(() =>
      this.#running.delete(insert),
    );
    this.#running.add(insert);
    if (keepsOrder) await insert;
  }

  async #insert(item: RestoreItem, batch: Batch, ordered: boolean): Promise<void> {
    try {
      const failed = await rawInsert({
        db: this.#client.db(item.db),
        collection: dataCollection(item, item.staging),
        pieces: batch.pieces,
        ordered,
        keepsZeroTimestamps: this.#keepsZeroTimestamps,
        mayHoldZeroTimestamp: batch.mayHoldZeroTimestamp,
        ...(this.#signal && { signal: this.#signal }),
      });
      // Not after an error: the bytes may still be on their way.
      this.#memory.giveBack(batch.segments);
      this.failedCount += failed.length;
      const room = maxReportedFailures - this.failed.length;
      this.failed.push(...failed.slice(0, room).map((document) => ({ ...document, namespace: item.source })));
    } catch (error) {
      this.#error ??= error;
    }
  }
}

/** Cuts a run that holds more documents than one command may. */
function* runsOf(data: Buffer, count: number): Generator<{ data: Buffer; count: number }> {
  if (count <= maxInsertDocuments - batchDocuments) {
    yield { data, count };
    return;
  }
  let start = 0;
  let taken = 0;
  for (let at = 0; at < data.length; ) {
    at += data.readInt32LE(at);
    taken++;
    if (taken < batchDocuments && at < data.length) continue;
    yield { data: data.subarray(start, at), count: taken };
    start = at;
    taken = 0;
  }
}
