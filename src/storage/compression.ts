// Compression in independent blocks: each block is a gzip member (or zstd frame) of its own, compressed by libuv's
// threads side by side and written in order. A series of members is an ordinary .gz, a series of frames an ordinary .zst.
import { promisify } from 'node:util';
import { constants, gzip, zstdCompress, zstdDecompress } from 'node:zlib';
import { gunzip, type GunzipOptions } from './gunzip.ts';

export type Compression = 'none' | 'gzip' | 'zstd';

export type Bytes = AsyncIterable<Uint8Array>;

/** Uncompressed size of a block. Larger ones gain under 1 % in size and cost memory. */
const blockSize = 1 << 20;
const defaultLevels = { gzip: 6, zstd: 3 };
/** Blocks under way at once: libuv has 4 threads unless UV_THREADPOOL_SIZE says otherwise. */
const blocksInFlight = 4;
/** Compressed bytes come in pieces of at most so many: the library's 16 KiB would mean sixty calls of a thread a block. */
const chunkSize = 512 << 10;
/** Our frames hold at most {@link blockSize}; what is much larger was made by another program. */
const maxFrameLength = 4 << 20;

const gzipBlock = promisify<Uint8Array, object, Buffer>(gzip);
const zstdBlock = promisify<Uint8Array, object, Buffer>(zstdCompress);
const unzstdBlock = promisify<Uint8Array, object, Buffer>(zstdDecompress);

interface CompressionOptions {
  /** gzip 1..9 (default 6), zstd 1..19 (default 3). */
  level?: number | undefined;
}

/** File name ending of an archive: `.archive`, `.gz` or `.zst`. */
export function compressionSuffix(compression: Compression): string {
  return { none: '.archive', gzip: '.gz', zstd: '.zst' }[compression];
}

export function compress(source: Bytes, compression: Compression, options: CompressionOptions = {}): Bytes {
  if (compression === 'none') return source;
  const level = options.level ?? defaultLevels[compression];
  const block =
    compression === 'gzip'
      ? (bytes: Uint8Array) => gzipBlock(bytes, { level, chunkSize })
      : (bytes: Uint8Array) =>
          zstdBlock(bytes, {
            params: { [constants.ZSTD_c_compressionLevel]: level },
            // Known beforehand, the tables and the window are only as large as a block needs.
            pledgedSrcSize: bytes.length,
            chunkSize,
          });
  return compressBlocks(source, block);
}

/**
 * A piece of what comes out is only good until the next is asked for; it may be so with what goes in.
 * @throws Error of zlib when the bytes are damaged or stop early
 */
export function decompress(source: Bytes, compression: Compression, options: GunzipOptions = {}): Bytes {
  if (compression === 'none') return source;
  if (compression === 'gzip') return gunzip(source, options);
  return mapInOrder(frames(source), (frame) =>
    unzstdBlock(frame, { maxOutputLength: 64 * blockSize, chunkSize: blockSize }),
  );
}

/** What a file is compressed with, from its first bytes. */
export function detectCompression(start: Uint8Array): Compression {
  if (start[0] === 0x1f && start[1] === 0x8b) return 'gzip';
  return start[0] === 0x28 && start[1] === 0xb5 && start[2] === 0x2f && start[3] === 0xfd ? 'zstd' : 'none';
}

/** Fills blocks, has several compressed at a time, and gives them in order. The memory of the blocks is used again. */
async function* compressBlocks(
  source: Bytes,
  compressBlock: (block: Uint8Array) => Promise<Buffer>,
): AsyncGenerator<Buffer> {
  const running: { memory: Buffer; result: Promise<Buffer> }[] = [];
  const free: Buffer[] = [];
  const finishOne = async () => {
    const [oldest] = running.splice(0, 1) as [(typeof running)[0]];
    const result = await oldest.result;
    free.push(oldest.memory);
    return result;
  };
  let memory: Buffer = Buffer.allocUnsafeSlow(blockSize);
  let filled = 0;
  const start = (block: Buffer) => {
    const result = compressBlock(block);
    result.catch(() => undefined); // is awaited in its turn
    running.push({ memory, result });
  };
  for await (const chunk of source) {
    for (let at = 0; at < chunk.length; ) {
      const part = chunk.subarray(at, at + blockSize - filled);
      memory.set(part, filled);
      filled += part.length;
      at += part.length;
      if (filled < blockSize) continue;
      start(memory);
      filled = 0;
      if (running.length >= blocksInFlight) yield await finishOne();
      memory = free.pop() ?? Buffer.allocUnsafeSlow(blockSize);
    }
  }
  if (filled > 0) start(memory.subarray(0, filled));
  while (running.length > 0) yield await finishOne();
}

/** Applies `work` to several inputs at a time and gives the results in the order of the inputs. */
async function* mapInOrder(
  source: Bytes,
  work: (input: Uint8Array) => Promise<Buffer>,
): AsyncGenerator<Buffer> {
  const running: Promise<Buffer>[] = [];
  for await (const input of source) {
    const result = work(input);
    result.catch(() => undefined); // is awaited in its turn
    running.push(result);
    if (running.length >= blocksInFlight) yield (await running.shift()) as Buffer;
  }
  for (const result of running) yield await result;
}

/** Cuts a zstd stream into its frames. (Node's streaming decoder stops in silence after the first one.) */
async function* frames(source: Bytes): AsyncGenerator<Buffer> {
  let buffered: Buffer = Buffer.alloc(0);
  for await (const chunk of source) {
    const isAlone = buffered.length === 0;
    buffered = isAlone
      ? Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length)
      : Buffer.concat([buffered, chunk]);
    for (let length = frameLength(buffered); length !== undefined; length = frameLength(buffered)) {
      yield Buffer.from(buffered.subarray(0, length));
      buffered = buffered.subarray(length);
    }
    if (buffered.length > maxFrameLength) {
      throw new Error(
        `a zstd frame of more than ${maxFrameLength} bytes: not written by slipway; unpack it with zstd -d first`,
      );
    }
    if (isAlone) buffered = Buffer.from(buffered); // the source may use its memory again
  }
  if (buffered.length > 0) throw new Error('the zstd stream ends in the middle of a frame (truncated)');
}

/** Length of the frame at the start of `bytes` (RFC 8878, section 3.1), or undefined when more bytes are needed. */
function frameLength(bytes: Buffer): number | undefined {
  if (bytes.length < 5) return undefined;
  const magicNumber = bytes.readUInt32LE(0);
  if (magicNumber >>> 4 === 0x184d2a5) return skippableLength(bytes);
  if (magicNumber !== 0xfd2fb528)
    throw new Error('the zstd stream is damaged: no frame where one should begin');
  const descriptor = bytes.readUInt8(4);
  const singleSegment = (descriptor & 0x20) !== 0;
  const contentSizeBytes = [singleSegment ? 1 : 0, 2, 4, 8][descriptor >> 6] ?? 0;
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3] ?? 0;
  let at = 5 + (singleSegment ? 0 : 1) + dictionaryBytes + contentSizeBytes;
  for (let last = false; !last; ) {
    if (at + 3 > bytes.length) return undefined;
    const header = bytes.readUIntLE(at, 3);
    last = (header & 1) === 1;
    const isRunLength = ((header >> 1) & 3) === 1;
    at += 3 + (isRunLength ? 1 : header >> 3);
  }
  const checksum = (descriptor & 0x04) !== 0 ? 4 : 0;
  return at + checksum <= bytes.length ? at + checksum : undefined;
}

function skippableLength(bytes: Buffer): number | undefined {
  if (bytes.length < 8) return undefined;
  const length = 8 + bytes.readUInt32LE(4);
  return length <= bytes.length ? length : undefined;
}
