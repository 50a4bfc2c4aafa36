/**
 * A local copy of one collection, kept by list and watch. It goes on through expired versions (410), error events,
 * streams that end, stall or break, and an API server that is away; it never polls and never lists in a storm.
 */
import type { IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { KubeObject } from '../domain/workload/objects.types.ts';
import type { KubeClient } from './client.ts';
import { errorOfStatus, KubeError } from './errors.ts';
import { readLines } from './http.ts';
import { pathOf, type Resource } from './paths.ts';

export interface ListWatchTiming {
  /** The API server sends bookmarks about once a minute; a stream silent for longer is taken for dead. */
  idleMs: number;
  /** How long the API server is asked to keep a stream, +-10 %. */
  streamSeconds: number;
  minBackoffMs: number;
  maxBackoffMs: number;
  /** A stream that lived this long was healthy: the next failure starts with the shortest pause again. */
  healthyMs: number;
}

const TIMING: ListWatchTiming = {
  idleMs: 90_000,
  streamSeconds: 290,
  minBackoffMs: 200,
  maxBackoffMs: 5_000,
  healthyMs: 10_000,
};

interface ListWatchOptions<T extends KubeObject> {
  client: KubeClient;
  resource: Resource;
  namespace: string;
  /** Only objects with these labels. */
  labelSelector?: string;
  /** Called for each object that came, changed or (`gone`) went. */
  onChange: (object: T, gone: boolean) => void;
  /** Called after each failure; the loop goes on by itself. */
  onError?: (error: KubeError) => void;
  /** Called when the stream is there again and when it is lost; see {@link ListWatch.lostSince}. */
  onSight?: () => void;
  timing?: Partial<ListWatchTiming>;
}

interface WatchEvent<T> {
  type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
  object: T;
}

/** Begins at once and goes on until `stop`. */
export class ListWatch<T extends KubeObject> {
  readonly #options: ListWatchOptions<T>;
  readonly #timing: ListWatchTiming;
  readonly #items = new Map<string, T>();
  readonly #stop = new AbortController();
  #version: string | undefined;
  #failures = 0;
  #lostSince: number | null = performance.now();
  #lostWhy: string | null = null;
  #pausing: AbortController | null = null;
  #synced = Promise.withResolvers<void>();

  constructor(options: ListWatchOptions<T>) {
    this.#options = options;
    this.#timing = { ...TIMING, ...options.timing };
    this.#synced.promise.catch(() => {});
    void this.#run();
  }

  /** Objects by UID, so that one that was deleted and made again is another. */
  get items(): ReadonlyMap<string, T> {
    return this.#items;
  }

  /** Resolves after the first list; rejects with a KubeError when reading is forbidden, and may be asked again then. */
  get synced(): Promise<void> {
    return this.#synced.promise;
  }

  /**
   * Since when nothing has been heard, by `performance.now()`; `null` while there is a stream. One that ends in the normal
   * way and is opened again at once was not lost.
   */
  get lostSince(): number | null {
    return this.#lostSince;
  }

  /** The API server answered somebody: there is no point in waiting any longer before the next try. */
  nudge(): void {
    this.#pausing?.abort();
  }

  /** What the last failure said; `null` while there is a stream. */
  get lostWhy(): string | null {
    return this.#lostSince === null ? null : this.#lostWhy;
  }

  stop(): void {
    this.#stop.abort();
    this.#synced.reject(new KubeError({ status: 0, reason: 'Stopped', message: 'stopped', retryable: true }));
  }

  /** Takes in an object that was read or written elsewhere, unless this copy has already seen later changes. */
  offer(object: T): void {
    if (this.#version === undefined || compareVersions(object.metadata.resourceVersion, this.#version) > 0) {
      this.#put(object);
    }
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const started = performance.now();
      try {
        if (this.#version === undefined) await this.#list();
        await this.#watch();
        // That a stream ends is normal; that one ends at once, again and again, is not.
        this.#failures = performance.now() - started < this.#timing.minBackoffMs ? this.#failures + 1 : 0;
      } catch (error) {
        if (signal.aborted) return;
        this.#onFailure(error, performance.now() - started);
        this.#sight(false);
      }
      if (this.#failures > 0) await this.#pause();
    }
  }

  #onFailure(error: unknown, lived: number): void {
    this.#failures = lived > this.#timing.healthyMs ? 1 : this.#failures + 1;
    const known =
      error instanceof KubeError
        ? error
        : new KubeError({
            status: 0,
            reason: 'Broken',
            message: String(error),
            retryable: true,
            cause: error,
          });
    // 410: the version is too old. Other answers may be about it too, without saying so, when they do not stop; that
    // there is no answer never is.
    const suspicious = known.status !== 0 && this.#failures >= 5;
    if (known.status === 410 || !known.retryable || suspicious) this.#version = undefined;
    if (!known.retryable && known.status !== 410) {
      this.#synced.reject(known);
      this.#synced = Promise.withResolvers();
      this.#synced.promise.catch(() => {});
    }
    this.#lostWhy = known.message;
    this.#options.onError?.(known);
  }

  async #pause(): Promise<void> {
    const { minBackoffMs, maxBackoffMs } = this.#timing;
    const longest = Math.min(maxBackoffMs, minBackoffMs * 2 ** Math.min(this.#failures - 1, 10));
    const ms = longest * (0.5 + Math.random() / 2);
    const pausing = new AbortController();
    this.#pausing = pausing;
    const signal = AbortSignal.any([pausing.signal, this.#stop.signal]);
    await sleep(ms, undefined, { signal, ref: false }).catch(() => {});
    this.#pausing = null;
  }

  #sight(there: boolean): void {
    if (there === (this.#lostSince === null)) return;
    this.#lostSince = there ? null : performance.now();
    this.#options.onSight?.();
  }

  async #list(): Promise<void> {
    const { client, resource, namespace, labelSelector } = this.#options;
    const { items, resourceVersion } = await client.list<T>(resource, namespace, {
      signal: this.#stop.signal,
      ...(labelSelector === undefined ? {} : { labelSelector }),
    });
    const listed = new Set(items.map(({ metadata }) => metadata.uid));
    for (const [uid, object] of this.#items) {
      // What was offered after the list was read is newer than the list.
      const newer = compareVersions(object.metadata.resourceVersion, resourceVersion) > 0;
      if (!listed.has(uid) && !newer) this.#remove(object);
    }
    this.#version = resourceVersion;
    if (this.#lostSince !== null) this.#lostSince = performance.now();
    for (const object of items) this.#put(object);
    this.#synced.resolve();
  }

  async #watch(): Promise<void> {
    const { client, resource, namespace, labelSelector } = this.#options;
    const spread = 0.9 + Math.random() * 0.2;
    const response = await client.stream(pathOf(resource, namespace), {
      signal: this.#stop.signal,
      query: {
        watch: true,
        labelSelector,
        allowWatchBookmarks: true,
        resourceVersion: this.#version,
        timeoutSeconds: Math.round(this.#timing.streamSeconds * spread),
      },
    });
    this.#sight(true);
    const watchdog = this.#watchdog(response);
    try {
      for await (const line of readLines(response)) this.#take(JSON.parse(line) as WatchEvent<T>);
    } finally {
      clearTimeout(watchdog);
      response.destroy();
    }
  }

  /** Half-open connections never end by themselves. */
  #watchdog(response: IncomingMessage): NodeJS.Timeout {
    const { idleMs } = this.#timing;
    const message = `no data on the watch for ${idleMs} ms`;
    const timer = setTimeout(() => {
      response.destroy(new KubeError({ status: 0, reason: 'Idle', message, retryable: true }));
    }, idleMs);
    timer.unref();
    response.on('data', () => timer.refresh());
    return timer;
  }

  #take({ type, object }: WatchEvent<T>): void {
    if (type === 'ERROR') throw errorOfStatus(object as object);
    this.#version = object.metadata.resourceVersion;
    if (type === 'DELETED') this.#remove(object);
    else if (type !== 'BOOKMARK') this.#put(object);
  }

  #put(object: T): void {
    const known = this.#items.get(object.metadata.uid);
    if (known && compareVersions(known.metadata.resourceVersion, object.metadata.resourceVersion) >= 0)
      return;
    this.#items.set(object.metadata.uid, object);
    this.#options.onChange(object, false);
  }

  #remove(object: T): void {
    if (this.#items.delete(object.metadata.uid)) this.#options.onChange(object, true);
  }
}

/** Orders resource versions of one collection: whole numbers, of any length. Anything else counts as later. */
export function compareVersions(a: string, b: string): number {
  if (a === b) return 0;
  if (!/^\d+$/.test(a) || !/^\d+$/.test(b)) return 1;
  return a.length === b.length ? (a > b ? 1 : -1) : a.length - b.length;
}
