// Unpacks gzip into memory that is used again. The streams of node:zlib make a new piece of memory for all that they give,
// which costs more (pages from the system, garbage, a thread's turn for each piece) than a third of the unpacking itself.
// What such a stream holds inside takes the memory to write to; a Node in which it does not is served by its stream.
import { pipeline, Readable } from 'node:stream';
import { constants, createGunzip, type Gunzip } from 'node:zlib';
import type { Bytes } from './compression.ts';

const pieceBytes = 512 << 10;

/** zlib as Node's streams use it. */
interface Inflater {
  writeSync(
    flush: number,
    input: Uint8Array | null,
    inputFrom: number,
    inputLength: number,
    output: Uint8Array,
    outputFrom: number,
    outputLength: number,
  ): void;
  onerror: (message: string, errno: number, code: string) => void;
}

/** Where an inflater leaves how much room and how much input there still is. */
type Left = Uint32Array;

interface Inside {
  _handle?: Partial<Inflater> | null;
  _writeState?: unknown;
}

function inside(stream: Gunzip): { inflater: Inflater; left: Left } | undefined {
  const { _handle: inflater, _writeState: left } = stream as unknown as Inside;
  if (typeof inflater?.writeSync !== 'function' || typeof inflater.onerror !== 'function') return undefined;
  return left instanceof Uint32Array && left.length >= 2
    ? { inflater: inflater as Inflater, left }
    : undefined;
}

/**
 * Every member of a .gz, one after the other. A piece is only good until the next is asked for.
 * @throws Error of zlib when the bytes are damaged or stop early
 */
export async function* gunzip(source: Bytes, open = inside): AsyncGenerator<Buffer> {
  const stream = createGunzip({ chunkSize: pieceBytes });
  const parts = open(stream);
  if (!parts) return yield* streamed(source, stream);
  const { inflater, left } = parts;
  let failure: Error | undefined;
  const onerror: Inflater['onerror'] = (message, errno, code) => {
    failure = Object.assign(new Error(message), { errno, code });
  };
  Object.assign(inflater, { onerror });
  const memory = Buffer.allocUnsafeSlow(pieceBytes);
  const unpack = (flush: number, input: Uint8Array, from: number) => {
    inflater.writeSync(flush, input, from, input.length - from, memory, 0, pieceBytes);
    if (failure) throw failure;
    const [room = 0, rest = 0] = left;
    return { room, rest, piece: memory.subarray(0, pieceBytes - room) };
  };
  try {
    for await (const input of source) {
      for (let at = 0, more = true; more; ) {
        const { room, rest, piece } = unpack(constants.Z_NO_FLUSH, input, at);
        if (piece.length > 0) yield piece;
        if (room > 0 && rest > 0) return; // zeros after the last member: padding
        at = input.length - rest;
        more = room === 0;
      }
    }
    unpack(constants.Z_FINISH, Buffer.alloc(0), 0); // says so when the end is missing
  } finally {
    stream.close();
  }
}

async function* streamed(source: Bytes, stream: Gunzip): AsyncGenerator<Buffer> {
  // A stream keeps what it was given while it asks for more.
  const kept = async function* () {
    for await (const piece of source) yield Buffer.from(piece);
  };
  pipeline(Readable.from(kept(), { objectMode: false, highWaterMark: 1 << 20 }), stream, () => undefined); // the loop throws the error
  yield* stream as AsyncIterable<Buffer>;
}
