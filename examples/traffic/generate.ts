/** Steady load on a service, as its customers make it, with an account of every request that failed. */
import { Agent } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { send } from './send.ts';
import { Tally, type Failure, type Snapshot } from './tally.ts';

export type { Counts, Failure, Snapshot } from './tally.ts';

export interface TrafficOptions {
  /** Asked in turn, e.g. `http://10.96.0.10:8080/products`. */
  urls: readonly string[];
  /** Requests per second, over all urls. They are sent on time, however slow the answers are. */
  rps: number;
  /** Requests that may wait for an answer at once (default 200); one more is not sent and counts as failed. */
  maxInFlight?: number;
  /** For a whole request, in milliseconds (default 5000). */
  timeoutMs?: number;
  /** Called for every failed request. */
  onFailure?: (failure: Failure) => void;
}

export interface Traffic extends AsyncDisposable {
  snapshot(): Snapshot;
  /** Sends nothing more, waits for the answers that are due, and gives the final account. May be called twice. */
  stop(): Promise<Snapshot>;
}

const TICK_MS = 5;
/**
 * Half of the requests take a kept connection, because that is where a careless shutdown loses requests. A kept connection stays with one pod,
 * so it is given up after some requests: otherwise new pods would hardly be asked.
 */
const REQUESTS_PER_KEPT_CONNECTION = 20;

/**
 * Starts sending at once.
 *
 * @throws RangeError when there is no url or `rps` is not above 0
 * @throws TypeError when a url is not an http url
 */
export function generateTraffic(options: TrafficOptions): Traffic {
  const urls = checked(options);
  return new OpenLoop(urls, options);
}

function checked({ urls, rps }: TrafficOptions): string[] {
  if (urls.length === 0) throw new RangeError('urls: found none, at least one is needed');
  if (!(rps > 0 && rps <= 100_000))
    throw new RangeError(`rps: found ${rps}, allowed is above 0 and up to 100000`);
  return urls.map((text) => {
    if (URL.parse(text)?.protocol !== 'http:')
      throw new TypeError(`urls: found "${text}", allowed is http://host:port/path`);
    return text;
  });
}

class OpenLoop implements Traffic {
  readonly #urls: string[];
  readonly #rps: number;
  readonly #maxInFlight: number;
  readonly #timeoutMs: number;
  readonly #onFailure: (failure: Failure) => void;
  readonly #tally = new Tally();
  readonly #kept = new Agent({ keepAlive: true, scheduling: 'fifo', maxFreeSockets: 16 });
  readonly #fresh = new Agent({ keepAlive: false });
  readonly #startedAt = performance.now();
  readonly #timer: NodeJS.Timeout;
  readonly #running = new Set<Promise<void>>();
  #due = 0;

  constructor(urls: string[], options: TrafficOptions) {
    this.#urls = urls;
    this.#rps = options.rps;
    this.#maxInFlight = options.maxInFlight ?? 200;
    this.#timeoutMs = options.timeoutMs ?? 5000;
    this.#onFailure = options.onFailure ?? (() => {});
    this.#timer = setInterval(() => this.#sendDue(), TICK_MS);
  }

  snapshot(): Snapshot {
    return this.#tally.snapshot(this.#running.size);
  }

  async stop(): Promise<Snapshot> {
    clearInterval(this.#timer);
    await Promise.race([
      Promise.all(this.#running),
      sleep(this.#timeoutMs + 1000, undefined, { ref: false }),
    ]);
    this.#kept.destroy();
    this.#fresh.destroy();
    return this.snapshot();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #sendDue(): void {
    const target = Math.floor(((performance.now() - this.#startedAt) * this.#rps) / 1000);
    for (; this.#due < target; this.#due += 1) {
      const number = this.#due;
      const url = this.#urls[number % this.#urls.length] ?? '';
      if (this.#running.size >= this.#maxInFlight) this.#refuse(url);
      else {
        const running = this.#send(url, number).finally(() => this.#running.delete(running));
        this.#running.add(running);
      }
    }
  }

  #refuse(url: string): void {
    const message = `${this.#maxInFlight} requests were already waiting`;
    this.#fail({ at: new Date(), url, kind: 'not-sent', message, milliseconds: 0 });
  }

  async #send(url: string, number: number): Promise<void> {
    // Over whole rounds of the urls, so that each url sees both kinds of connections.
    const round = Math.floor(number / this.#urls.length);
    const keep = round % 2 === 0;
    const outcome = await send(url, {
      agent: keep ? this.#kept : this.#fresh,
      timeoutMs: this.#timeoutMs,
      close: keep && (round / 2) % REQUESTS_PER_KEPT_CONNECTION === 0,
    });
    if ('failure' in outcome) this.#fail(outcome.failure);
    else this.#tally.succeeded(outcome.success);
  }

  #fail(failure: Failure): void {
    this.#tally.failed(failure);
    this.#onFailure(failure);
  }
}
