import { setTimeout as sleep } from 'node:timers/promises';

/** Holds a stream to a number of bytes per second. The limit may be changed while it runs; undefined means none. */
export class Throttle {
  #bytesPerSecond: number | undefined;
  /** When the bytes let through so far are paid for, in milliseconds of `performance.now()`. */
  #paidUntil = 0;

  constructor(megabytesPerSecond?: number) {
    this.megabytesPerSecond = megabytesPerSecond;
  }

  /** Limit in MB/s (10^6 bytes), or undefined. @throws RangeError when it is not above zero */
  get megabytesPerSecond(): number | undefined {
    return this.#bytesPerSecond === undefined ? undefined : this.#bytesPerSecond / 1e6;
  }

  set megabytesPerSecond(limit: number | undefined) {
    if (limit !== undefined && !(limit > 0))
      throw new RangeError(`throttle: ${limit} MB/s; a number above 0 is allowed`);
    this.#bytesPerSecond = limit === undefined ? undefined : limit * 1e6;
  }

  /** Waits until `bytes` more may pass. A changed limit takes effect within half a second. */
  async take(bytes: number, signal?: AbortSignal): Promise<void> {
    let owed = bytes;
    while (owed > 0 && this.#bytesPerSecond !== undefined) {
      const now = performance.now();
      const start = Math.max(now, this.#paidUntil);
      const slice = Math.min(owed, this.#bytesPerSecond / 2);
      this.#paidUntil = start + (slice / this.#bytesPerSecond) * 1000;
      owed -= slice;
      if (this.#paidUntil > now + 5) await sleep(this.#paidUntil - now, undefined, signal ? { signal } : {});
    }
  }
}
