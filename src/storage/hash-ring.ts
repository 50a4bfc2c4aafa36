/**
 * Memory that two threads share, through which bytes go from one to the other: whoever fills it goes on while the other
 * still reads, and waits only when it is full. The bytes of a stream are followed by a request for what they come to.
 */

/** A power of two, because positions go round at 2^32. */
export const ringBytes = 4 << 20;
/** As hexadecimal text this is a SHA-256. */
export const answerBytes = 32;

/** Numbers in front of the bytes; each has its own line of the processor's cache. */
const number = { published: 0, taken: 16, requests: 32, answers: 48, wake: 64 } as const;
const numbers = 80;
const answerAt = numbers * 4;
const bytesAt = answerAt + 64;
/** Positions go round at 2^32 and are negative in between; they begin where the first of that is soon, for any stream. */
const firstPosition = 2 ** 31 - ringBytes;

class Ring {
  protected readonly numbers: Int32Array;
  protected readonly bytes: Buffer;
  protected readonly answer: Uint8Array;

  constructor(memory: SharedArrayBuffer) {
    this.numbers = new Int32Array(memory, 0, numbers);
    this.answer = new Uint8Array(memory, answerAt, answerBytes);
    this.bytes = Buffer.from(memory, bytesAt, ringBytes);
  }

  protected get(which: keyof typeof number): number {
    return Atomics.load(this.numbers, number[which]);
  }

  protected advance(which: keyof typeof number, by: number): void {
    Atomics.add(this.numbers, number[which], by);
  }

  protected notify(which: keyof typeof number): void {
    Atomics.notify(this.numbers, number[which]);
  }
}

/** The other thread is woken for so many bytes, neither for each small piece nor for a whole chunk, which comes in pieces. */
const worthWaking = 256 << 10;

/** The end that is filled. Calls must not overlap. */
export class RingSource extends Ring {
  #filled = firstPosition;
  #unpublished = 0;

  /** For one ring, both ends of which are made of it. */
  static memory(): SharedArrayBuffer {
    const memory = new SharedArrayBuffer(bytesAt + ringBytes);
    const { published, taken } = number;
    for (const position of [published, taken]) new Int32Array(memory)[position] = firstPosition;
    return memory;
  }

  /** Copies in as much of `chunk` as there is room for, and says how much that was. */
  fill(chunk: Uint8Array): number {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
    const room = ringBytes - ((this.#filled - this.get('taken')) | 0);
    const end = Math.min(room, bytes.length);
    for (let from = 0; from < end; ) {
      const at = this.#filled & (ringBytes - 1);
      const length = Math.min(end - from, worthWaking, ringBytes - at);
      // Not the whole of it at once, which Node does by `set`, and that goes byte by byte where memory is shared.
      bytes.copy(this.bytes, at, from, from + length);
      from += length;
      this.#filled = (this.#filled + length) | 0;
      this.#unpublished += length;
      if (this.#unpublished >= worthWaking) this.#publish();
    }
    if (end < bytes.length) this.#publish();
    return end;
  }

  /** Resolves when there is room, at once when there is some. */
  async room(): Promise<void> {
    const taken = this.get('taken');
    if (((this.#filled - taken) | 0) < ringBytes) return;
    await Atomics.waitAsync(this.numbers, number.taken, taken).value;
  }

  /** Asks what all bytes since the last answer come to. */
  async ask(): Promise<Uint8Array> {
    const answers = this.get('answers');
    this.#publish(); // before the request, which is for these bytes too
    this.advance('requests', 1);
    this.#wake();
    await Atomics.waitAsync(this.numbers, number.answers, answers).value;
    return this.answer.slice();
  }

  #publish(): void {
    this.advance('published', this.#unpublished);
    this.#unpublished = 0;
    this.#wake();
  }

  #wake(): void {
    this.advance('wake', 1);
    this.notify('wake');
  }
}

/** The end that is read. It blocks its thread while there is nothing. */
export class RingDrain extends Ring {
  /** For ever: gives all bytes to `take`, in pieces, and answers requests by `answer`. */
  run(take: (piece: Uint8Array) => void, answer: () => Uint8Array): never {
    for (let taken: number = firstPosition, answered = 0; ; ) {
      const wake = this.get('wake');
      const requests = this.get('requests');
      // Read after the requests: what they ask for had been published before.
      for (let left = (this.get('published') - taken) | 0; left > 0; ) {
        const at = taken & (ringBytes - 1);
        const length = Math.min(left, worthWaking, ringBytes - at);
        take(this.bytes.subarray(at, at + length));
        taken = (taken + length) | 0;
        left -= length;
        this.advance('taken', length);
        this.notify('taken');
      }
      if (answered !== requests) {
        answered = requests;
        this.answer.set(answer());
        this.advance('answers', 1);
        this.notify('answers');
      }
      Atomics.wait(this.numbers, number.wake, wake);
    }
  }
}
