/**
 * Requests to the API server as raw JSON: what is read is what the server sent, what is written is what the caller gave.
 * Bounded in time, retried where repeating is harmless, with typed errors.
 */
import type { IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { FIELD_MANAGER } from '../domain/names.ts';
import type { KubeObject } from '../domain/workload/objects.types.ts';
import type { Connection } from './connection.ts';
import { errorOfNetwork, errorOfResponse, KubeError } from './errors.ts';
import { readAll, send } from './http.ts';
import { pathOf, type Resource } from './paths.ts';

export type Verb = 'get' | 'list' | 'watch' | 'patch' | 'create' | 'delete';

export interface RequestRecord {
  verb: Verb;
  /** Last collection in the path, e.g. `deployments`. */
  resource: string;
  /** HTTP status, 0 when no answer came. */
  status: number;
  durationMs: number;
}

export interface KubeClientOptions {
  connection: Connection;
  /** Version in the User-Agent. */
  version?: string;
  /** Called once for every request that was sent, retries included. */
  onRequest?: (record: RequestRecord) => void;
}

export interface CallOptions {
  query?: Record<string, string | number | boolean | undefined>;
  /** Cancels waiting. A write that is already on its way is awaited, so that nobody acts on a state it may yet change. */
  signal?: AbortSignal | undefined;
  /** Time for the call with all its retries. */
  timeoutMs?: number;
  /** How often it is tried at most; for callers that wait and try again themselves. */
  attempts?: number;
}

interface FullOptions extends CallOptions {
  body?: unknown;
  contentType?: string;
  verb: Verb;
  /** Whether the request may be sent again when its fate is unknown. */
  repeatable: boolean;
}

export type PatchKind = 'strategic-merge' | 'merge';

const CALL_TIMEOUT_MS = 20_000;
const ATTEMPT_TIMEOUT_MS = 10_000;
const ATTEMPTS = 4;
/** A longer wish of the API server is passed on to the caller instead of being slept through. */
const MAX_RETRY_AFTER_MS = 5_000;

export class KubeClient {
  readonly connection: Connection;
  readonly #userAgent: string;
  readonly #onRequest: ((record: RequestRecord) => void) | undefined;
  #clockOffsetMs = 0;

  constructor({ connection, version = '0.0.0', onRequest }: KubeClientOptions) {
    this.connection = connection;
    this.#userAgent = `slipway/${version}`;
    this.#onRequest = onRequest;
  }

  /** Milliseconds since the epoch by the API server's clock, as its last answer showed it. */
  now(): number {
    return Date.now() + this.#clockOffsetMs;
  }

  /** One object. Throws KubeError; reason `NotFound` when there is none. */
  get<T extends KubeObject>(
    resource: Resource,
    namespace: string,
    name: string,
    options: CallOptions = {},
  ): Promise<T> {
    return this.#call(pathOf(resource, namespace, name), 'GET', {
      ...options,
      verb: 'get',
      repeatable: true,
    });
  }

  /** All objects of a namespace, read in pages. Throws KubeError. */
  async list<T extends KubeObject>(
    resource: Resource,
    namespace: string,
    { labelSelector, limit = 500, ...options }: CallOptions & { labelSelector?: string; limit?: number } = {},
  ): Promise<{ items: T[]; resourceVersion: string }> {
    const items: T[] = [];
    let next: string | undefined;
    for (;;) {
      const page: Page<T> = await this.#call(pathOf(resource, namespace), 'GET', {
        ...options,
        query: { ...options.query, limit, labelSelector, continue: next },
        verb: 'list',
        repeatable: true,
      });
      items.push(...page.items);
      next = page.metadata.continue || undefined;
      if (!next) return { items, resourceVersion: page.metadata.resourceVersion };
    }
  }

  /**
   * Patches an object that has exactly this resourceVersion, as field manager `slipway`, and returns what it became.
   * Throws KubeError; reason `Conflict` when the object has changed since.
   */
  patch<T extends KubeObject>(
    resource: Resource,
    current: KubeObject,
    patch: { metadata?: object; spec?: object },
    {
      kind = 'strategic-merge',
      dryRun = false,
      ...options
    }: CallOptions & { kind?: PatchKind; dryRun?: boolean } = {},
  ): Promise<T> {
    const { namespace, name, resourceVersion, uid } = current.metadata;
    return this.#call(pathOf(resource, namespace, name), 'PATCH', {
      ...options,
      query: { ...options.query, fieldManager: FIELD_MANAGER, dryRun: dryRun ? 'All' : undefined },
      body: { ...patch, metadata: { ...patch.metadata, uid, resourceVersion } },
      contentType: `application/${kind}-patch+json`,
      verb: 'patch',
      // With the precondition a second copy can only fail.
      repeatable: true,
    });
  }

  /**
   * Makes an object that has a name of its own. Throws KubeError; reason `AlreadyExists` also when an earlier attempt of
   * this very call got through without an answer.
   */
  create<T extends KubeObject>(
    resource: Resource,
    namespace: string,
    object: object,
    options: CallOptions = {},
  ): Promise<T> {
    return this.#call(pathOf(resource, namespace), 'POST', {
      ...options,
      query: { ...options.query, fieldManager: FIELD_MANAGER },
      body: object,
      contentType: 'application/json',
      verb: 'create',
      repeatable: true,
    });
  }

  /** Deletes exactly this object, not a later one of its name, and what it owns. Throws KubeError, also `NotFound`. */
  async delete(
    resource: Resource,
    { metadata: { namespace, name, uid } }: KubeObject,
    options: CallOptions & { propagation?: 'Background' | 'Foreground' } = {},
  ): Promise<void> {
    const { propagation = 'Background', ...call } = options;
    await this.#call(pathOf(resource, namespace, name), 'DELETE', {
      ...call,
      body: { propagationPolicy: propagation, preconditions: { uid } },
      contentType: 'application/json',
      verb: 'delete',
      repeatable: true,
    });
  }

  /** Posts an object that the API server answers and does not keep, such as an access review. Throws KubeError. */
  review<T>(path: string, body: object, options: CallOptions = {}): Promise<T> {
    return this.#call(path, 'POST', {
      ...options,
      body,
      contentType: 'application/json',
      verb: 'create',
      repeatable: true,
    });
  }

  /** Opens a stream: one attempt, no limit once the head of the answer is there. Throws KubeError. */
  async stream(path: string, options: CallOptions): Promise<IncomingMessage> {
    return this.#attempt(path, 'GET', { ...options, verb: 'watch', repeatable: false }, ATTEMPT_TIMEOUT_MS);
  }

  async #call<T>(path: string, method: string, options: FullOptions): Promise<T> {
    const deadline = performance.now() + (options.timeoutMs ?? CALL_TIMEOUT_MS);
    let renewed = false;
    for (let attempt = 1; ; attempt++) {
      options.signal?.throwIfAborted();
      const left = deadline - performance.now();
      try {
        const response = await this.#attempt(path, method, options, Math.min(left, ATTEMPT_TIMEOUT_MS));
        return (await this.#json(response, `${method} /${path}`)) as T;
      } catch (error) {
        if (!(error instanceof KubeError)) throw error;
        if (error.status === 401 && !renewed) {
          renewed = true;
          await this.connection.renew();
          continue;
        }
        const pause = error.retryAfterMs ?? backoff(attempt);
        const again =
          options.repeatable &&
          error.retryable &&
          error.reason !== 'Conflict' &&
          attempt < (options.attempts ?? ATTEMPTS) &&
          pause <= MAX_RETRY_AFTER_MS &&
          performance.now() + pause < deadline;
        if (!again) throw error;
        await sleep(pause, undefined, options.signal ? { signal: options.signal } : {});
      }
    }
  }

  async #attempt(
    path: string,
    method: string,
    options: FullOptions,
    timeoutMs: number,
  ): Promise<IncomingMessage> {
    const request = `${method} /${path}`;
    const started = performance.now();
    const report = (status: number): void =>
      this.#onRequest?.({
        verb: options.verb,
        resource: resourceOf(path),
        status,
        durationMs: performance.now() - started,
      });
    let response: IncomingMessage;
    try {
      const credentials = await this.connection.credentials();
      response = await send({
        method,
        url: this.#url(path, options.query),
        headers: {
          'user-agent': this.#userAgent,
          ...(options.contentType && { 'content-type': options.contentType }),
        },
        body: options.body === undefined ? undefined : JSON.stringify(options.body),
        credentials,
        signal: method === 'GET' ? options.signal : undefined,
        timeoutMs: Math.max(1, timeoutMs),
      });
    } catch (error) {
      if (options.signal?.aborted && method === 'GET') throw options.signal.reason;
      report(0);
      throw errorOfNetwork(request, error);
    }
    const status = response.statusCode ?? 0;
    report(status);
    this.#readClock(response.headers.date);
    if (status >= 200 && status < 300) return response;
    const text = await readAll(response, ATTEMPT_TIMEOUT_MS).catch(() => '');
    throw errorOfResponse(request, status, text, response.headers['retry-after']);
  }

  async #json(response: IncomingMessage, request: string): Promise<unknown> {
    let text: string;
    try {
      text = await readAll(response, ATTEMPT_TIMEOUT_MS);
    } catch (error) {
      throw errorOfNetwork(request, error);
    }
    try {
      return JSON.parse(text);
    } catch {
      const message = `${request}: the answer is not JSON; is this a Kubernetes API server?`;
      throw new KubeError({ status: response.statusCode ?? 0, reason: 'NotJson', message, retryable: true });
    }
  }

  #url(path: string, query: CallOptions['query'] = {}): URL {
    const url = new URL(path, this.connection.server);
    for (const [name, value] of Object.entries(query)) {
      if (value !== undefined) url.searchParams.set(name, String(value));
    }
    return url;
  }

  /** Times in objects are the server's; a worker whose clock is off must not take a young pod for an old one. */
  #readClock(date: string | undefined): void {
    const server = Date.parse(date ?? '');
    if (Number.isNaN(server)) return;
    // The header has whole seconds, so up to two seconds are no difference.
    const offset = server + 500 - Date.now();
    this.#clockOffsetMs = Math.abs(offset) > 2_000 ? offset : 0;
  }
}

interface Page<T> {
  items: T[];
  metadata: { resourceVersion: string; continue?: string };
}

/** Between 50 % and 100 % of 50, 200, 800 ms. */
function backoff(attempt: number): number {
  return 50 * 4 ** (attempt - 1) * (0.5 + Math.random() / 2);
}

/** The collection at or above the end of the path. */
function resourceOf(path: string): string {
  const parts = path.split('/');
  const after = parts.indexOf('namespaces');
  return (after >= 0 ? parts[after + 2] : parts.at(-1)) ?? path;
}
