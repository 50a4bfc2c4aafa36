/**
 * Latencies in constant memory: counts in buckets that grow by 2 %, so that a percentile is right within 1 %, however many requests there were.
 */
const GROWTH = 1.02;
const SMALLEST_MS = 0.05;

export class Latencies {
  readonly #counts = new Map<number, number>();
  #total = 0;

  add(milliseconds: number): void {
    const bucket = Math.max(0, Math.ceil(Math.log(milliseconds / SMALLEST_MS) / Math.log(GROWTH)));
    this.#counts.set(bucket, (this.#counts.get(bucket) ?? 0) + 1);
    this.#total += 1;
  }

  /**
   * @param share 0.5 for the median, 0.99 for p99
   * @returns milliseconds; undefined before the first `add`
   */
  percentile(share: number): number | undefined {
    const rank = Math.max(1, Math.ceil(this.#total * share));
    let seen = 0;
    for (const [bucket, count] of [...this.#counts].sort(([a], [b]) => a - b)) {
      seen += count;
      if (seen >= rank) return SMALLEST_MS * GROWTH ** (bucket - 0.5);
    }
    return undefined;
  }
}
