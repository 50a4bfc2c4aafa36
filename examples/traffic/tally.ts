/** What became of the requests: counts for the whole run and by the version that answered. */
import { Latencies } from './latency.ts';

/** One request that did not get its answer. */
export interface Failure {
  /** When the request was sent. */
  at: Date;
  url: string;
  /**
   * `status`: answered with 500 or more; `timeout`: no whole answer in time; `connection`: refused, reset or cut;
   * `not-sent`: as many requests as allowed were already waiting, so the service was too slow for the rate.
   */
  kind: 'status' | 'timeout' | 'connection' | 'not-sent';
  /** The status code, or the error's own words. */
  message: string;
  milliseconds: number;
  /** Of `x-version` and `x-pod`, where an answer came. */
  version?: string;
  pod?: string;
}

export interface Success {
  at: Date;
  status: number;
  milliseconds: number;
  version?: string;
  pod?: string;
}

export interface Counts {
  ok: number;
  failed: number;
}

/** A copy: it does not change any more. */
export interface Snapshot extends Counts {
  startedAt: Date;
  seconds: number;
  inFlight: number;
  /** Milliseconds, of answered requests that did not fail. */
  p50: number | undefined;
  p99: number | undefined;
  byVersion: Record<string, Counts>;
  byPod: Record<string, Counts>;
  byStatus: Record<string, number>;
  /** The first ones, at most `MAX_KEPT_FAILURES`; `failed` counts them all. */
  failures: Failure[];
}

export const MAX_KEPT_FAILURES = 1000;

export class Tally {
  readonly #startedAt = new Date();
  readonly #latencies = new Latencies();
  readonly #total: Counts = { ok: 0, failed: 0 };
  readonly #byVersion = new Map<string, Counts>();
  readonly #byPod = new Map<string, Counts>();
  readonly #byStatus = new Map<string, number>();
  readonly #failures: Failure[] = [];

  succeeded(success: Success): void {
    this.#latencies.add(success.milliseconds);
    this.#count('ok', success);
    this.#countStatus(String(success.status));
  }

  failed(failure: Failure): void {
    if (this.#failures.length < MAX_KEPT_FAILURES) this.#failures.push(failure);
    this.#count('failed', failure);
    this.#countStatus(failure.kind === 'status' ? failure.message : failure.kind);
  }

  snapshot(inFlight: number): Snapshot {
    const copy = (counts: Map<string, Counts>) =>
      Object.fromEntries(
        [...counts].sort(([a], [b]) => a.localeCompare(b)).map(([key, value]) => [key, { ...value }]),
      );
    return {
      ...this.#total,
      startedAt: this.#startedAt,
      seconds: (Date.now() - this.#startedAt.getTime()) / 1000,
      inFlight,
      p50: this.#latencies.percentile(0.5),
      p99: this.#latencies.percentile(0.99),
      byVersion: copy(this.#byVersion),
      byPod: copy(this.#byPod),
      byStatus: Object.fromEntries(this.#byStatus),
      failures: [...this.#failures],
    };
  }

  #count(field: keyof Counts, from: { version?: string; pod?: string }): void {
    this.#total[field] += 1;
    bump(this.#byVersion, from.version ?? 'unknown', field);
    bump(this.#byPod, from.pod ?? 'unknown', field);
  }

  #countStatus(status: string): void {
    this.#byStatus.set(status, (this.#byStatus.get(status) ?? 0) + 1);
  }
}

function bump(counts: Map<string, Counts>, key: string, field: keyof Counts): void {
  const entry = counts.get(key) ?? { ok: 0, failed: 0 };
  entry[field] += 1;
  counts.set(key, entry);
}
