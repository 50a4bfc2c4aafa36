/** Amounts as people read them. */
import { formatDuration } from '../specs/duration.ts';

/** `1.4 GB`, decimal units, three digits. */
export function bytesText(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1_000;
    unit++;
  }
  return `${unit === 0 ? value : value.toPrecision(3)} ${units[unit]}`;
}

/** `850ms`, `1m30s`. */
export function durationText(ms: number): string {
  return ms < 10_000
    ? Math.round(ms) >= 1_000
      ? `${(ms / 1_000).toFixed(1)}s`
      : `${Math.round(ms)}ms`
    : formatDuration(ms);
}

/** `1 namespace`, `3 namespaces`. */
export function counted(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`;
}
