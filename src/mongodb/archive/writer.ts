// Writes the mongodump archive. Data goes out in the order of the calls; nothing is buffered here.
import { createHash } from 'node:crypto';
import { crc64Joined, type DocumentRun, sumsOf } from '../kernels.ts';
import {
  type ArchiveHeader,
  type CollectionDescription,
  encodeBlockHeader,
  encodeDescription,
  encodeHeader,
  magic,
  type Namespace,
  namespaceName,
  terminator,
} from './format.ts';
import { hex64, type NamespaceSummary } from './reader.ts';

/** Takes the archive's bytes; the promise resolves when more may come (backpressure). */
export type ByteSink = (chunk: Buffer) => Promise<void>;

interface OpenNamespace {
  documents: number;
  bytes: number;
  crc: bigint;
  contentSum: bigint;
}

/**
 * Calls may come from several readers at once; each block is written whole. Opening more namespaces at once than the
 * header promises is refused, because mongorestore would hang on such an archive for ever.
 */
export class ArchiveWriter {
  readonly #sink: ByteSink;
  readonly #header: ArchiveHeader;
  readonly #announced = new Set<string>();
  readonly #open = new Map<string, OpenNamespace>();
  #lastBlock = '';
  #tail: Promise<void> = Promise.resolve();
  #preludeSha256 = '';

  constructor(sink: ByteSink, header: ArchiveHeader) {
    this.#sink = sink;
    this.#header = header;
  }

  /** SHA-256 of everything before the first block: the format itself does not protect options and index definitions. */
  get preludeSha256(): string {
    return this.#preludeSha256;
  }

  /**
   * Magic, header and the descriptions of all that will follow. `dataNames` lists each namespace as its blocks will name it.
   */
  async prelude(collections: Iterable<CollectionDescription>, dataNames: Iterable<Namespace>): Promise<void> {
    for (const namespace of dataNames) this.#announced.add(namespaceName(namespace));
    const hash = createHash('sha256');
    let parts: Buffer[] = [magic, encodeHeader(this.#header)];
    const flush = () => {
      const chunk = Buffer.concat(parts);
      parts = [];
      hash.update(chunk);
      return this.#write([chunk]);
    };
    for (const description of collections) {
      parts.push(encodeDescription(description));
      if (parts.length >= 256) await flush();
    }
    parts.push(terminator);
    await flush();
    this.#preludeSha256 = hash.digest('hex');
  }

  /** Appends whole documents to a namespace, which is opened by the first call. */
  async documents(namespace: Namespace, run: DocumentRun): Promise<void> {
    const open = this.#opened(namespace);
    open.documents += run.count;
    open.bytes += run.data.length;
    const { crc, contentSum } = run.sums ?? sumsOf(run.data);
    open.crc = crc64Joined(open.crc, crc, run.data.length);
    open.contentSum = BigInt.asUintN(64, open.contentSum + contentSum);
    await this.#write(() => this.#inBlock(namespace, run.data));
  }

  /** Ends a namespace (also one without documents) with its CRC. */
  async end(namespace: Namespace): Promise<NamespaceSummary> {
    const name = namespaceName(namespace);
    const { documents, bytes, crc, contentSum } = this.#opened(namespace);
    await this.#write(() => {
      const closing = this.#lastBlock === '' ? [] : [terminator];
      this.#lastBlock = '';
      return [...closing, encodeBlockHeader(namespace, true, crc), terminator];
    });
    this.#open.delete(name);
    this.#announced.delete(name);
    return { ...namespace, documents, bytes, crc: hex64(crc), contentSum: hex64(contentSum) };
  }

  /** Waits for the last write. @throws Error when an announced namespace was not ended */
  async close(): Promise<void> {
    await this.#tail;
    const [missing] = this.#announced;
    if (missing !== undefined) throw new Error(`the archive announces ${missing}, but it was not written`);
  }

  #opened(namespace: Namespace): OpenNamespace {
    const name = namespaceName(namespace);
    const known = this.#open.get(name);
    if (known) return known;
    if (!this.#announced.has(name)) throw new Error(`the archive does not announce ${name}, or it has ended`);
    if (this.#open.size >= this.#header.concurrentCollections) {
      throw new Error(`more than ${this.#header.concurrentCollections} namespaces open at once`);
    }
    const opened = { documents: 0, bytes: 0, crc: 0n, contentSum: 0n };
    this.#open.set(name, opened);
    return opened;
  }

  #inBlock(namespace: Namespace, data: Buffer): Buffer[] {
    const name = namespaceName(namespace);
    if (this.#lastBlock === name) return [data];
    const closing = this.#lastBlock === '' ? [] : [terminator];
    this.#lastBlock = name;
    return [...closing, encodeBlockHeader(namespace, false, 0n), data];
  }

  /** One writer at a time; the bytes are made when their turn comes. */
  async #write(parts: Buffer[] | (() => Buffer[])): Promise<void> {
    const previous = this.#tail;
    const turn = Promise.withResolvers<void>();
    this.#tail = turn.promise;
    try {
      await previous;
      for (const part of Array.isArray(parts) ? parts : parts()) await this.#sink(part);
      turn.resolve();
    } catch (error) {
      turn.promise.catch(() => undefined);
      turn.reject(error);
      throw error;
    }
  }
}
