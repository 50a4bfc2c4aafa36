/**
 * The SHA-256 of a stream, taken on its way: by the thread that moves it, or by a thread of its own, because hashing is a
 * quarter of what a fast dump computes.
 */
import { createHash, type Hash } from 'node:crypto';
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { RingSource } from './hash-ring.ts';

/** Takes one stream. */
export interface StreamHash {
  /** Has taken the chunk, which may be used again, when this or the promise that it gives returns. One call at a time. */
  update(chunk: Uint8Array): Promise<void> | undefined;
  /** The end of the stream: 64 hexadecimal digits. */
  digest(): Promise<string>;
}

/** Hashes one stream after the other. */
export interface Hasher {
  /** What a stream before has left unfinished is dropped. */
  start(signal?: AbortSignal): StreamHash;
  close(): Promise<void>;
}

/** Hashes where it is called. */
export const hashOnTheSpot: Hasher = { start: () => new SpotHash(), close: () => Promise.resolve() };

/** Hashes in a thread of its own; where the system has none to give, on the spot. It must be closed. */
export function hashAside(code?: URL): Hasher {
  try {
    return new HashingThread(code);
  } catch {
    return hashOnTheSpot;
  }
}

class SpotHash implements StreamHash {
  readonly #hash: Hash = createHash('sha256');

  update(chunk: Uint8Array): undefined {
    this.#hash.update(chunk);
  }

  digest(): Promise<string> {
    return Promise.resolve(this.#hash.digest('hex'));
  }
}

/** It holds little; the default would be half of the memory of the machine. */
const resourceLimits = { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 2, stackSizeMb: 1 };

/** A thread that hashes; when it fails, so do its streams. */
export class HashingThread implements Hasher {
  readonly #ring: RingSource;
  readonly #worker: Worker;
  readonly #failed = new AbortController();
  #last: ThreadHash | undefined;

  constructor(code = new URL(`./hash-thread${extname(import.meta.url)}`, import.meta.url)) {
    const memory = RingSource.memory();
    this.#ring = new RingSource(memory);
    this.#worker = new Worker(code, { workerData: memory, env: {}, execArgv: [], resourceLimits });
    this.#worker.once('error', (error) => this.#fail(error));
    this.#worker.once('exit', () => this.#fail());
  }

  start(signal?: AbortSignal): StreamHash {
    this.#last = new ThreadHash(this.#ring, this.#failed.signal, signal, this.#last?.end());
    return this.#last;
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }

  #fail(cause?: unknown): void {
    this.#failed.abort(new Error('the thread that hashes has ended', { cause }));
  }
}

class ThreadHash implements StreamHash {
  readonly #ring: RingSource;
  readonly #failed: AbortSignal;
  readonly #stop: AbortSignal;
  /** Of the stream before, whose bytes must not be counted with these. */
  #emptied: Promise<unknown> | undefined;
  #result: Promise<Uint8Array> | undefined;

  constructor(
    ring: RingSource,
    failed: AbortSignal,
    signal: AbortSignal | undefined,
    emptied: Promise<unknown> | undefined,
  ) {
    this.#ring = ring;
    this.#failed = failed;
    this.#stop = signal ? AbortSignal.any([failed, signal]) : failed;
    this.#emptied = emptied;
  }

  update(chunk: Uint8Array): Promise<void> | undefined {
    this.#stop.throwIfAborted();
    const taken = this.#emptied ? 0 : this.#ring.fill(chunk);
    return taken < chunk.length ? this.#rest(chunk.subarray(taken)) : undefined;
  }

  async digest(): Promise<string> {
    return Buffer.from(await unless(this.#stop, this.end())).toString('hex');
  }

  /** What the bytes so far come to; there will be no more. */
  end(): Promise<Uint8Array> {
    if (!this.#result) {
      this.#result = unless(
        this.#failed,
        this.#start().then(() => this.#ring.ask()),
      );
      this.#result.catch(() => undefined); // whoever asks for it is told
    }
    return this.#result;
  }

  async #rest(chunk: Uint8Array): Promise<void> {
    await unless(this.#stop, this.#start());
    for (let at = this.#ring.fill(chunk); at < chunk.length; at += this.#ring.fill(chunk.subarray(at)))
      await unless(this.#stop, this.#ring.room());
  }

  async #start(): Promise<void> {
    await this.#emptied;
    this.#emptied = undefined;
  }
}

/** What the work gives, or the signal's reason when that comes before; then nobody waits for the work any more. */
async function unless<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  work.catch(() => undefined); // is awaited below, unless the signal comes first
  signal.throwIfAborted();
  const stopped = Promise.withResolvers<never>();
  const stop = () => stopped.reject(signal.reason);
  signal.addEventListener('abort', stop);
  try {
    return await Promise.race([work, stopped.promise]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
