// Multipart upload of a stream of unknown length. The SDK's own helper needs the length to choose a part size: with its
// default a stream ends at 10,000 parts of 5 MiB. Here parts grow as the stream goes on, and memory stays bounded.
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import type { Bytes } from './compression.ts';

const mebibyte = 1 << 20;
/** Parts under way at once take at most so much memory (at least one part). */
const bytesInFlight = 12 * mebibyte;

/**
 * 6 MiB up to 6 GB, 32 MiB up to 240 GB, 128 MiB beyond: 10,000 parts hold 509 GB. One part is filled while others are on
 * their way, so that only beyond 240 GB of compressed archive an upload takes more memory than all the rest.
 */
function partSize(number: number): number {
  return (number <= 1000 ? 6 : number <= 8000 ? 32 : 128) * mebibyte;
}

interface Part {
  number: number;
  body: Buffer;
  last: boolean;
}

/** Memory of parts that have arrived, for the next ones: garbage of this size would wait long for its collection. */
export class PartMemory {
  #free: Buffer[] = [];

  take(length: number): Buffer {
    this.#free = this.#free.filter((body) => body.length === length);
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(length);
  }

  give(body: Buffer): void {
    this.#free.push(body);
  }
}

/** Cuts a stream into parts; an empty stream is one empty part. */
export async function* partsOf(source: Bytes, memory = new PartMemory()): AsyncGenerator<Part> {
  let number = 1;
  let body = memory.take(partSize(number));
  let length = 0;
  for await (const chunk of source) {
    for (let at = 0; at < chunk.length; ) {
      if (length === body.length) {
        yield { number: number++, body, last: false };
        body = memory.take(partSize(number));
        length = 0;
      }
      const piece = chunk.subarray(at, at + body.length - length);
      body.set(piece, length);
      length += piece.length;
      at += piece.length;
    }
  }
  yield { number, body: body.subarray(0, length), last: true };
}

interface UploadTarget {
  Bucket: string;
  Key: string;
  UploadId: string;
}

/** One upload under way. Parts go up side by side; the first that fails for good is thrown by the next call. */
export class MultipartUpload {
  readonly #client: S3Client;
  readonly #target: UploadTarget;
  readonly #memory: PartMemory;
  readonly #stopped = new AbortController();
  readonly #signal: AbortSignal;
  readonly #done: { PartNumber: number; ETag: string | undefined }[] = [];
  readonly #running = new Set<Promise<void>>();
  #runningBytes = 0;
  #size = 0;
  #error: unknown;

  constructor(client: S3Client, target: UploadTarget, memory: PartMemory, signal: AbortSignal | undefined) {
    this.#client = client;
    this.#target = target;
    this.#memory = memory;
    this.#signal = signal ? AbortSignal.any([signal, this.#stopped.signal]) : this.#stopped.signal;
  }

  /** Starts a part; resolves when there is room for another. */
  async add(number: number, body: Buffer): Promise<void> {
    if (number > 10_000)
      throw new Error('an S3 object has at most 10,000 parts; this stream is larger than 509 GB');
    while (this.#running.size > 0 && this.#runningBytes + body.length > bytesInFlight)
      await Promise.race(this.#running);
    if (this.#error) throw this.#error;
    this.#runningBytes += body.length;
    this.#size += body.length;
    const upload: Promise<void> = this.#put(number, body).finally(() => {
      this.#running.delete(upload);
      this.#runningBytes -= body.length;
    });
    this.#running.add(upload);
  }

  async #put(number: number, body: Buffer): Promise<void> {
    try {
      const command = new UploadPartCommand({ ...this.#target, PartNumber: number, Body: body });
      const { ETag } = await this.#client.send(command, abortable(this.#signal));
      this.#done.push({ PartNumber: number, ETag });
      this.#memory.give(body);
    } catch (error) {
      this.#error ??= error;
    }
  }

  /** Waits for all parts and joins them; gives the number of bytes. */
  async complete(): Promise<number> {
    await Promise.all(this.#running);
    if (this.#error) throw this.#error;
    const Parts = this.#done.sort((a, b) => a.PartNumber - b.PartNumber);
    const command = new CompleteMultipartUploadCommand({ ...this.#target, MultipartUpload: { Parts } });
    await this.#client.send(command, abortable(this.#signal));
    return this.#size;
  }

  /** Ends it and frees what was stored. A server that cannot be reached now is asked again by the next run's sweep. */
  async abort(): Promise<void> {
    this.#stopped.abort();
    await Promise.all(this.#running);
    const timeout = AbortSignal.timeout(30_000);
    await this.#client
      .send(new AbortMultipartUploadCommand(this.#target), abortable(timeout))
      .catch(() => undefined);
  }
}

export function abortable(signal: AbortSignal | undefined): { abortSignal?: AbortSignal } {
  return signal ? { abortSignal: signal } : {};
}

/** HTTP status of an error of the SDK. */
export function statusOf(error: unknown): number | undefined {
  const metadata = (error as { $metadata?: { httpStatusCode?: number } } | undefined)?.$metadata;
  return metadata?.httpStatusCode;
}
