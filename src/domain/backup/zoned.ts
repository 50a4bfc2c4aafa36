/** Local time in IANA time zones: what a clock on the wall shows, and which instants show it. */

/** A wall clock reading. `month` and `day` count from 1. */
export interface LocalTime {
  year: number;
  month: number;
  day: number;
  hour: number;
  minute: number;
  second: number;
}

/** A change of a zone's offset from UTC. Offsets in milliseconds, east positive. */
interface Transition {
  /** First instant with the new offset, in milliseconds since the epoch. */
  at: number;
  before: number;
  after: number;
}

const DAY = 86_400_000;
const formats = new Map<string, Intl.DateTimeFormat>();

function format(timezone: string): Intl.DateTimeFormat {
  let found = formats.get(timezone);
  if (!found) {
    found = new Intl.DateTimeFormat('en-US', {
      timeZone: timezone,
      calendar: 'gregory',
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    });
    formats.set(timezone, found);
  }
  return found;
}

/** What the wall clock of `timezone` shows at an instant (milliseconds since the epoch, after 1970). */
export function localTime(instant: number, timezone: string): LocalTime {
  const parts: Record<string, number> = {};
  for (const { type, value } of format(timezone).formatToParts(instant)) parts[type] = Number(value);
  const { year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0 } = parts;
  return { year, month, day, hour, minute, second };
}

/** The reading as if it were UTC, in milliseconds: for arithmetic on wall clock readings. */
export function wallMillis(local: LocalTime): number {
  return Date.UTC(local.year, local.month - 1, local.day, local.hour, local.minute, local.second);
}

/** Offset from UTC in milliseconds at an instant, east positive. */
function offsetAt(instant: number, timezone: string): number {
  const whole = Math.floor(instant / 1_000) * 1_000;
  return wallMillis(localTime(whole, timezone)) - whole;
}

/** The instants at which the clock shows this reading: none in a gap, two when the hour comes twice. Ascending. */
export function instantsOf(local: LocalTime, timezone: string): number[] {
  const wall = wallMillis(local);
  const offsets = new Set([
    offsetAt(wall - DAY, timezone),
    offsetAt(wall, timezone),
    offsetAt(wall + DAY, timezone),
  ]);
  return [...offsets]
    .map((offset) => wall - offset)
    .filter((instant) => instant + offsetAt(instant, timezone) === wall)
    .sort((a, b) => a - b);
}

/** Changes of the offset in `from <= at < to`, ascending. */
export function transitions(timezone: string, from: number, to: number): Transition[] {
  const found: Transition[] = [];
  // A week is shorter than any stretch between two changes that zones have had since 1970, save Ramadan in Morocco (4 weeks).
  const stride = 7 * DAY;
  for (let start = from; start < to; start += stride) {
    const end = Math.min(start + stride, to);
    const before = offsetAt(start - 1_000, timezone);
    const after = offsetAt(end - 1_000, timezone);
    if (before === after) continue;
    let low = Math.floor(start / 1_000) - 1;
    let high = Math.floor(end / 1_000) - 1;
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      if (offsetAt(middle * 1_000, timezone) === before) low = middle;
      else high = middle;
    }
    found.push({ at: high * 1_000, before, after });
  }
  return found;
}
