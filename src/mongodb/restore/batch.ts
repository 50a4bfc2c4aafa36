// Documents on their way to the server, in memory that is used again: fresh memory for every batch costs more (pages from
// the system, garbage that has to be found) than filling it.

const segmentBytes = 256 << 10;

/** Pieces of memory that are free, all of one size. */
export class Segments {
  readonly #free: Buffer[] = [];

  take(): Buffer {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(segmentBytes);
  }

  /** Nobody may read or write them any more. */
  giveBack(segments: readonly Buffer[]): void {
    this.#free.push(...segments);
  }
}

/** Documents of one collection, as they follow one another. */
export class Batch {
  readonly segments: Buffer[] = [];
  readonly #memory: Segments;
  #room = 0;
  bytes = 0;
  count = 0;
  /** One of them may hold a timestamp that the server would replace. */
  mayHoldZeroTimestamp = false;

  constructor(memory: Segments) {
    this.#memory = memory;
  }

  /** Memory that it holds, full or not. */
  get heldBytes(): number {
    return this.segments.length * segmentBytes;
  }

  /** Copies whole documents. */
  add(documents: Buffer, count: number): void {
    for (let at = 0; at < documents.length; ) {
      if (this.#room === 0) {
        this.segments.push(this.#memory.take());
        this.#room = segmentBytes;
      }
      const segment = this.segments.at(-1) as Buffer;
      const copied = documents.copy(segment, segmentBytes - this.#room, at);
      this.#room -= copied;
      at += copied;
    }
    this.bytes += documents.length;
    this.count += count;
  }

  /** Its bytes, in pieces that are cut without regard to documents. */
  get pieces(): Buffer[] {
    const last = this.segments.length - 1;
    return this.segments.map((segment, at) =>
      at === last ? segment.subarray(0, segmentBytes - this.#room) : segment,
    );
  }
}
