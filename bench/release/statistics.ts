// Percentiles of a few dozen samples, by nearest rank: every figure is one that was measured.

export interface Spread {
  count: number;
  p50: number;
  p95: number;
  p99: number;
  max: number;
}

/** In the unit of the samples. @throws RangeError without samples. */
export function spreadOf(samples: readonly number[]): Spread {
  const sorted = samples.toSorted((a, b) => a - b);
  const at = (share: number): number => {
    const value = sorted[Math.max(Math.ceil(share * sorted.length) - 1, 0)];
    if (value === undefined) throw new RangeError('no samples');
    return value;
  };
  return { count: sorted.length, p50: at(0.5), p95: at(0.95), p99: at(0.99), max: at(1) };
}
