/** Requests to the API server: bounded in time, repeated while that may help, with typed errors and the server's clock. */
import type { IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Connection } from './connection.ts';
import { errorOfNetwork, errorOfResponse, KubeError } from './errors.ts';
import { readAll, send } from './http.ts';

type Verb = 'get' | 'list' | 'watch' | 'patch' | 'create' | 'delete';

/** One request that was sent, for metrics. */
export interface RequestRecord {
  verb: Verb;
  /** Last collection in the path, e.g. `deployments`. */
  resource: string;
  /** HTTP status, 0 when no answer came. */
  status: number;
  durationMs: number;
}

/** Bounds of a call; 20 s, four attempts by default. */
export interface CallOptions {
  query?: Record<string, string | number | boolean | undefined>;
  /** Cancels waiting. A write that is already on its way is awaited, so that nobody acts on a state it may yet change. */
  signal?: AbortSignal | undefined;
  /** Time for the call with all its retries. */
  timeoutMs?: number;
  /** How often it is tried at most; for callers that wait and try again themselves. */
  attempts?: number;
}

/** A call as {@link Requests} takes it. It must be one that may be sent again when its fate is unknown. */
interface Order extends CallOptions {
  verb: Verb;
  body?: unknown;
  contentType?: string;
}

export interface RequestsOptions {
  connection: Connection;
  /** Version in the User-Agent. */
  version?: string;
  /** Called once for every request that was sent, retries included. */
  onRequest?: (record: RequestRecord) => void;
}

const CALL_TIMEOUT_MS = 20_000;
const ATTEMPT_TIMEOUT_MS = 10_000;
const ATTEMPTS = 4;
/** A longer wish of the API server is passed on to the caller instead of being slept through. */
const MAX_RETRY_AFTER_MS = 5_000;

/** How calls are made; what they mean is the business of {@link KubeClient}. */
export class Requests {
  readonly #connection: Connection;
  readonly #userAgent: string;
  readonly #onRequest: ((record: RequestRecord) => void) | undefined;
  #clockOffsetMs = 0;

  constructor({ connection, version = '0.0.0', onRequest }: RequestsOptions) {
    this.#connection = connection;
    this.#userAgent = `slipway/${version}`;
    this.#onRequest = onRequest;
  }

  /** Milliseconds since the epoch by the API server's clock, as its last answer showed it. */
  now(): number {
    return Date.now() + this.#clockOffsetMs;
  }

  /** A call with its retries, and the JSON that answers it. Throws KubeError. */
  async call<T>(path: string, method: string, options: Order): Promise<T> {
    const deadline = performance.now() + (options.timeoutMs ?? CALL_TIMEOUT_MS);
    let renewed = false;
    for (let attempt = 1; ; attempt++) {
      options.signal?.throwIfAborted();
      const left = deadline - performance.now();
      try {
        const response = await this.once(path, method, options, Math.min(left, ATTEMPT_TIMEOUT_MS));
        return (await this.#json(response, `${method} /${path}`)) as T;
      } catch (error) {
        if (!(error instanceof KubeError)) throw error;
        if (error.status === 401 && !renewed) {
          renewed = true;
          await this.#connection.renew();
          continue;
        }
        const pause = error.retryAfterMs ?? backoff(attempt);
        const again =
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

  /** One attempt; answers with the head of a good answer, whose body is still to be read. Throws KubeError. */
  async once(
    path: string,
    method: string,
    options: Order,
    timeoutMs = ATTEMPT_TIMEOUT_MS,
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
      const credentials = await this.#connection.credentials();
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
    const url = new URL(path, this.#connection.server);
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
