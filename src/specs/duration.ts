/** Durations as people write them: `30s`, `5m`, `1h30m`, `7d`. Free of zod, so workflows may import it. */

const UNITS: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const PART = /(\d+(?:\.\d+)?)(ms|s|m|h|d)/gy;

/** A duration as written in a spec, e.g. `30s`; see {@link milliseconds}. */
export type Duration = string;

/** What {@link milliseconds} accepts, in words for an error message. */
export const DURATION_FORM = 'a number with a unit, such as 30s, 5m, 1h30m or 7d';

/** Milliseconds of a duration, or `undefined` when the text is not a duration. */
export function parseDuration(text: string): number | undefined {
  if (text === '0') return 0;
  let total = 0;
  PART.lastIndex = 0;
  while (PART.lastIndex < text.length) {
    const part = PART.exec(text);
    if (!part) {
      PART.lastIndex = 0;
      return undefined;
    }
    total += Number(part[1]) * (UNITS[part[2] ?? ''] ?? Number.NaN);
  }
  return text === '' ? undefined : Math.round(total);
}

/** Milliseconds of a duration that a spec has already accepted. Throws RangeError when it is none. */
export function milliseconds(duration: Duration): number {
  const ms = parseDuration(duration);
  if (ms === undefined) throw new RangeError(`"${duration}" is not a duration; write ${DURATION_FORM}`);
  return ms;
}

/** The shortest way to write a span: `90_000` is `1m30s`. Spans under a second are rounded up to one, except 0. */
export function formatDuration(ms: number): string {
  let rest = Math.max(0, Math.ceil(ms / 1_000));
  if (rest === 0) return '0s';
  let text = '';
  for (const [unit, size] of [
    ['d', 86_400],
    ['h', 3_600],
    ['m', 60],
    ['s', 1],
  ] as const) {
    const count = Math.floor(rest / size);
    if (count > 0) text += `${count}${unit}`;
    rest -= count * size;
  }
  return text;
}
