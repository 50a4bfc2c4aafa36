// Reads an archive from chunks of any size. It holds at most one unfinished document, and checks all that the format
// lets it check: order of blocks, an end for every namespace, CRC of every namespace unless told to leave that to others,
// nothing after the end.
import { createHash } from 'node:crypto';
import { asBuffer, minDocumentLength } from '../bson/raw.ts';
import { contentSum, crc64 } from '../kernels.ts';
import {
  ArchiveCorruptError,
  type ArchiveHeader,
  type BlockHeader,
  type CollectionDescription,
  decodeBlockHeader,
  decodeDescription,
  decodeHeader,
  magic,
  maxDocumentLength,
  maxPreludeLength,
  type Namespace,
  namespaceName,
  type Prelude,
} from './format.ts';

/** What one namespace's blocks held; the CRC has been checked against the archive's. */
export interface NamespaceSummary extends Namespace {
  documents: number;
  bytes: number;
  /** CRC-64/XZ of all documents in their order, 16 hexadecimal digits. */
  crc: string;
  /** Sum of the XXH64 of each document, 16 hexadecimal digits: equal for equal content in any order. */
  contentSum: string;
}

export type ArchiveEvent =
  | { kind: 'prelude'; prelude: Prelude; sha256: string }
  /** Whole documents of one namespace, one after the other. `data` is a view that the next push may overwrite. */
  | { kind: 'documents'; namespace: Namespace; data: Buffer; count: number }
  /** No summary when the sums were left out. */
  | { kind: 'end'; namespace: Namespace; summary: NamespaceSummary | null };

export interface ReaderOptions {
  /** Namespaces whose CRC is not computed, because what is read of them is compared with what was proven before. */
  withoutSums?: (namespace: Namespace) => boolean;
}

interface OpenNamespace extends Namespace {
  documents: number;
  bytes: number;
  sums: { crc: bigint; content: bigint } | null;
  ended: boolean;
}

type State = 'magic' | 'header' | 'descriptions' | 'block' | 'documents' | 'terminator';

const terminatorLength = -1;
const magicLength = magic.readInt32LE(0);

/** 16 hexadecimal digits, as manifests write CRCs and content sums. */
export function hex64(value: bigint): string {
  return BigInt.asUintN(64, value).toString(16).padStart(16, '0');
}

/** Push parser: feed with {@link push}, then call {@link end}. Both throw {@link ArchiveCorruptError}. */
export class ArchiveReader {
  #state: State = 'magic';
  /** A unit (document, terminator or magic) that the last chunk cut off, and how much of it is here. */
  #pending: Buffer | undefined;
  #filled = 0;
  #position = 0;
  #preludeLength = 0;
  readonly #preludeHash = createHash('sha256');
  #header: ArchiveHeader | undefined;
  #descriptions: CollectionDescription[] = [];
  readonly #awaited = new Set<string>();
  readonly #bucketNames = new Map<string, string>();
  readonly #seen = new Map<string, OpenNamespace>();
  #current: OpenNamespace | undefined;
  readonly #options: ReaderOptions;

  constructor(options: ReaderOptions = {}) {
    this.#options = options;
  }

  /** Takes in the next bytes and gives what they complete, in order. Consume all of it before the next push. */
  *push(chunk: Uint8Array): Generator<ArchiveEvent> {
    const input = asBuffer(chunk);
    let at = 0;
    while (at < input.length) {
      if (this.#pending === undefined) {
        at = yield* this.#consume(input, at);
        if (at === input.length) return;
        this.#pending = Buffer.allocUnsafeSlow(4);
        this.#filled = 0;
      }
      const taken = input.copy(this.#pending, this.#filled, at);
      this.#filled += taken;
      at += taken;
      if (this.#filled === this.#pending.length) yield* this.#pendingFull(this.#pending);
    }
  }

  /**
   * The input is over.
   * @throws ArchiveCorruptError when it stops in the middle, or before a described namespace has its end
   */
  end(): void {
    if (this.#state !== 'block' || this.#pending)
      this.#fail('the archive is truncated: it ends in the middle');
    for (const namespace of this.#seen.values()) {
      if (!namespace.ended) this.#fail(`the archive is truncated: ${namespaceName(namespace)} has no end`);
    }
    const [missing] = this.#awaited;
    if (missing !== undefined)
      this.#fail(`the archive is truncated: ${missing} is announced but did not come`);
  }

  *#pendingFull(pending: Buffer): Generator<ArchiveEvent> {
    const length = this.#unitLength(pending, 0);
    if (length > pending.length) {
      this.#pending = Buffer.allocUnsafeSlow(length);
      pending.copy(this.#pending);
      return;
    }
    this.#pending = undefined;
    yield* this.#consume(pending, 0);
  }

  /** Handles all whole units from `at` on; gives the place where the first unfinished one starts. */
  *#consume(input: Buffer, from: number): Generator<ArchiveEvent, number> {
    let at = from;
    while (at + 4 <= input.length) {
      if (this.#state === 'documents') {
        const { end, count } = this.#documentRun(input, at);
        if (count > 0) {
          yield this.#documents(input.subarray(at, end), count);
          at = end;
          continue;
        }
      }
      const length = this.#unitLength(input, at);
      if (at + length > input.length) return at;
      const unit = input.subarray(at, at + length);
      const event = this.#unit(unit);
      this.#position += length;
      at += length;
      if (event) yield event;
    }
    return at;
  }

  /** As many whole documents as lie here in a row. */
  #documentRun(input: Buffer, from: number): { end: number; count: number } {
    let end = from;
    let count = 0;
    while (end + 4 <= input.length && input.readInt32LE(end) !== terminatorLength) {
      const length = this.#unitLength(input, end);
      if (end + length > input.length) break;
      if (input[end + length - 1] !== 0) this.#fail('a document does not end with a zero byte', end - from);
      end += length;
      count++;
    }
    return { end, count };
  }

  #documents(data: Buffer, count: number): ArchiveEvent {
    const namespace = this.#current;
    if (!namespace) return this.#fail('documents outside a block');
    namespace.documents += count;
    namespace.bytes += data.length;
    const { sums } = namespace;
    if (sums) {
      sums.crc = crc64(data, sums.crc);
      sums.content = contentSum(data, sums.content);
    }
    this.#position += data.length;
    return {
      kind: 'documents',
      namespace: { db: namespace.db, collection: namespace.collection },
      data,
      count,
    };
  }

  #unitLength(input: Buffer, at: number): number {
    const length = input.readInt32LE(at);
    if (this.#state === 'magic') {
      if (length !== magicLength) this.#fail('not a mongodump archive: it does not start with 6d e2 99 81');
      return 4;
    }
    if (length === terminatorLength) return 4;
    if (length < minDocumentLength || length > maxDocumentLength) {
      this.#fail(`neither a document's length nor a terminator, but ${length}`);
    }
    return length;
  }

  #unit(unit: Buffer): ArchiveEvent | undefined {
    const isTerminator = unit.length === 4 && this.#state !== 'magic';
    switch (this.#state) {
      case 'magic':
        this.#inPrelude(unit);
        this.#state = 'header';
        return undefined;
      case 'header':
        if (isTerminator) this.#fail('the header is missing');
        this.#inPrelude(unit);
        this.#header = decodeHeader(unit);
        this.#state = 'descriptions';
        return undefined;
      case 'descriptions':
        this.#inPrelude(unit);
        if (isTerminator) return this.#preludeComplete();
        this.#describe(decodeDescription(unit));
        return undefined;
      case 'block':
        if (isTerminator) this.#fail('two terminators in a row');
        return this.#openBlock(decodeBlockHeader(unit));
      case 'documents':
        this.#current = undefined;
        this.#state = 'block';
        return undefined;
      case 'terminator':
        if (!isTerminator) this.#fail('a document after the end of its namespace');
        this.#state = 'block';
        return undefined;
    }
  }

  #inPrelude(unit: Buffer): void {
    this.#preludeLength += unit.length;
    if (this.#preludeLength > maxPreludeLength)
      this.#fail('the collection descriptions are larger than 1 GiB');
    this.#preludeHash.update(unit);
  }

  #describe(description: CollectionDescription): void {
    const name = namespaceName(description);
    if (this.#awaited.has(name)) this.#fail(`${name} is described twice`);
    this.#awaited.add(name);
    if (description.type === 'timeseries') {
      this.#bucketNames.set(`${description.db}.system.buckets.${description.collection}`, name);
    }
    this.#descriptions.push(description);
  }

  #preludeComplete(): ArchiveEvent {
    const header = this.#header as ArchiveHeader;
    const prelude = { header, collections: this.#descriptions };
    this.#descriptions = [];
    this.#state = 'block';
    return { kind: 'prelude', prelude, sha256: this.#preludeHash.digest('hex') };
  }

  #openBlock(header: BlockHeader): ArchiveEvent | undefined {
    const namespace = this.#namespace(header);
    if (namespace.ended) this.#fail(`${namespaceName(header)} goes on after its end`);
    if (!header.eof) {
      this.#current = namespace;
      this.#state = 'documents';
      return undefined;
    }
    namespace.ended = true;
    this.#state = 'terminator';
    return {
      kind: 'end',
      namespace: { db: namespace.db, collection: namespace.collection },
      summary: this.#summary(namespace, header.crc),
    };
  }

  #summary({ db, collection, documents, bytes, sums }: OpenNamespace, crc: bigint): NamespaceSummary | null {
    if (!sums) return null;
    if (sums.crc !== crc) {
      this.#fail(
        `${namespaceName({ db, collection })} is damaged: its documents have the CRC ${hex64(sums.crc)}, the archive says ${hex64(crc)}`,
      );
    }
    return { db, collection, documents, bytes, crc: hex64(sums.crc), contentSum: hex64(sums.content) };
  }

  #namespace({ db, collection }: Namespace): OpenNamespace {
    const name = namespaceName({ db, collection });
    const known = this.#seen.get(name);
    if (known) return known;
    const described = this.#bucketNames.get(name) ?? name;
    if (!this.#awaited.delete(described))
      this.#fail(`documents of ${name}, which the archive does not describe`);
    const sums = this.#options.withoutSums?.({ db, collection }) ? null : { crc: 0n, content: 0n };
    const opened = { db, collection, documents: 0, bytes: 0, sums, ended: false };
    this.#seen.set(name, opened);
    return opened;
  }

  #fail(problem: string, offset = 0): never {
    throw new ArchiveCorruptError(
      `${problem} (at byte ${this.#position + offset} of the uncompressed archive)`,
    );
  }
}

/** Parses a whole stream; every event is handled before the next bytes are taken in. */
export async function* readArchive(
  chunks: AsyncIterable<Uint8Array>,
  options?: ReaderOptions,
): AsyncGenerator<ArchiveEvent> {
  const reader = new ArchiveReader(options);
  for await (const chunk of chunks) yield* reader.push(chunk);
  reader.end();
}
