// Unpacks gzip into memory that is used again. The streams of node:zlib make new memory for all that they give, which costs
// (pages from the system, garbage, a thread's turn for each piece) half as much again as the unpacking. What such a stream
// holds inside takes the memory to write to; a Node in which it does not is served by its streams.
import { pipeline, Readable } from 'node:stream';
import { constants, crc32, createGunzip, createInflateRaw } from 'node:zlib';
import type { Bytes } from './compression.ts';

const pieceBytes = 512 << 10;
/** More than any program writes before the data: of what is longer nothing is kept. */
const maxHeaderLength = 128 << 10;
const magic = Buffer.from([0x1f, 0x8b, 8]);
const flag = { headerSum: 2, extra: 4, name: 8, comment: 16 };
const trailerLength = 8;

export interface GunzipOptions {
  /** Members' sums are not computed, because what is read has been proven before and is compared with that afterwards. */
  withoutSums?: boolean;
  /** What unpacks; undefined: this Node has nothing of the kind. */
  inflater?: Inflater | undefined;
}

/** Of a deflate stream, into memory that is given. */
interface Inflater {
  /** Gives how much room is left there, and how much of the input. */
  write(input: Uint8Array, from: number, memory: Uint8Array): { room: number; rest: number };
  /** Makes ready for another stream. */
  reset(): void;
  close(): void;
}

/**
 * Every member of a .gz, one after the other. A piece is only good until the next is asked for; so it may be with the source's.
 * @throws Error of zlib when the bytes are damaged or stop early
 */
export async function* gunzip(source: Bytes, options: GunzipOptions = {}): AsyncGenerator<Buffer> {
  const inflater = 'inflater' in options ? options.inflater : openInflater();
  if (!inflater) return yield* streamed(source);
  const unpacker = new Unpacker(inflater, options.withoutSums === true);
  try {
    for await (const input of source) {
      yield* unpacker.push(input);
      if (unpacker.isOver) return;
    }
    unpacker.end();
  } finally {
    inflater.close();
  }
}

class Unpacker {
  readonly #inflater: Inflater;
  readonly #withoutSums: boolean;
  readonly #memory = Buffer.allocUnsafeSlow(pieceBytes);
  #state: 'header' | 'data' | 'trailer' = 'header';
  /** What is here of a header or trailer. */
  #apart: Buffer = Buffer.alloc(0);
  #members = 0;
  #crc = 0;
  #length = 0;
  /** Only padding can follow. */
  isOver = false;

  constructor(inflater: Inflater, withoutSums: boolean) {
    this.#inflater = inflater;
    this.#withoutSums = withoutSums;
  }

  *push(input: Uint8Array): Generator<Buffer> {
    for (let at = 0; at < input.length && !this.isOver; ) {
      if (this.#state === 'data') at = yield* this.#data(input, at);
      else at += this.#frame(input.subarray(at));
    }
  }

  /** @throws Error of zlib when there is no member, or not all of one */
  end(): void {
    if (this.#members === 0 || this.#state !== 'header' || this.#apart.length > 0)
      throw zlibError('unexpected end of file', 'Z_BUF_ERROR');
  }

  *#data(input: Uint8Array, from: number): Generator<Buffer, number> {
    for (let at = from; ; ) {
      const { room, rest } = this.#inflater.write(input, at, this.#memory);
      const piece = this.#memory.subarray(0, pieceBytes - room);
      this.#length += piece.length;
      if (!this.#withoutSums) this.#crc = crc32(piece, this.#crc);
      if (piece.length > 0) yield piece;
      at = input.length - rest;
      if (room === 0) continue; // there may be more that only had no room
      if (rest > 0) this.#enter('trailer'); // it wants no more
      return at;
    }
  }

  /** Takes bytes of a header or trailer, and gives how many. */
  #frame(input: Uint8Array): number {
    if (this.#state === 'header' && this.#members > 0 && this.#apart.length === 0 && input[0] === 0) {
      this.isOver = true;
      return 0;
    }
    let taken = 0;
    for (;;) {
      const needed = this.#state === 'header' ? headerLength(this.#apart) : trailerLength;
      if (this.#apart.length === needed) break;
      if (taken === input.length) return taken;
      const part = input.subarray(taken, taken + needed - this.#apart.length);
      this.#apart = Buffer.concat([this.#apart, part]);
      taken += part.length;
    }
    if (this.#state === 'header') this.#enter('data');
    else this.#endMember();
    return taken;
  }

  #endMember(): void {
    if (!this.#withoutSums && this.#apart.readUInt32LE(0) !== this.#crc)
      throw zlibError('incorrect data check', 'Z_DATA_ERROR');
    if (this.#apart.readUInt32LE(4) !== this.#length % 2 ** 32)
      throw zlibError('incorrect length check', 'Z_DATA_ERROR');
    this.#members++;
    this.#crc = 0;
    this.#length = 0;
    this.#inflater.reset();
    this.#enter('header');
  }

  #enter(state: 'header' | 'data' | 'trailer'): void {
    this.#state = state;
    this.#apart = this.#apart.subarray(0, 0);
  }
}

/** Length of the header that begins like this; more than is here when that does not tell yet. RFC 1952, section 2.3. */
function headerLength(start: Buffer): number {
  if (
    !start.subarray(0, magic.length).equals(magic.subarray(0, start.length)) ||
    start.length > maxHeaderLength
  )
    throw zlibError('incorrect header check', 'Z_DATA_ERROR');
  let length = 10;
  if (start.length < length) return length;
  const flags = start.readUInt8(3);
  if (flags & flag.extra) {
    length += 2;
    if (start.length < length) return length;
    length += start.readUInt16LE(length - 2);
  }
  for (const text of [flag.name, flag.comment]) {
    if ((flags & text) === 0) continue;
    const end = start.indexOf(0, length);
    if (end < 0) return Math.max(start.length, length) + 1;
    length = end + 1;
  }
  return flags & flag.headerSum ? length + 2 : length;
}

function zlibError(message: string, code: 'Z_BUF_ERROR' | 'Z_DATA_ERROR'): Error {
  return Object.assign(new Error(message), { code, errno: constants[code] });
}

/** zlib as Node's streams use it: it leaves in `_writeState` how much room and how much input there still is. */
interface Inside {
  _handle?: {
    writeSync?: (
      flush: number,
      input: Uint8Array,
      inputFrom: number,
      inputLength: number,
      output: Uint8Array,
      outputFrom: number,
      outputLength: number,
    ) => void;
    onerror?: (message: string, errno: number, code: string) => void;
  } | null;
  _writeState?: unknown;
}

function openInflater(): Inflater | undefined {
  const stream = createInflateRaw();
  const { _handle: inside, _writeState: left } = stream as unknown as Inside;
  if (typeof inside?.writeSync !== 'function' || typeof inside.onerror !== 'function') return undefined;
  if (!(left instanceof Uint32Array)) return undefined;
  let failure: Error | undefined;
  const onerror = (message: string, errno: number, code: string) => {
    failure = Object.assign(new Error(message), { errno, code });
  };
  Object.assign(inside, { onerror });
  return {
    write(input, from, memory) {
      inside.writeSync?.(constants.Z_NO_FLUSH, input, from, input.length - from, memory, 0, memory.length);
      if (failure) throw failure;
      const [room = 0, rest = 0] = left;
      return { room, rest };
    },
    reset: () => stream.reset(),
    close: () => stream.close(),
  };
}

async function* streamed(source: Bytes): AsyncGenerator<Buffer> {
  const stream = createGunzip({ chunkSize: pieceBytes });
  // A stream keeps what it was given while it asks for more.
  const kept = async function* () {
    for await (const piece of source) yield Buffer.from(piece);
  };
  pipeline(Readable.from(kept(), { objectMode: false, highWaterMark: 1 << 20 }), stream, () => undefined); // the loop throws the error
  yield* stream as AsyncIterable<Buffer>;
}
