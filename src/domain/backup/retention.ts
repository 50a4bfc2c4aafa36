/**
 * Which backups stay and which go. Built so that no input can make it delete what is still needed: ages count from the
 * newest verified backup and never from a clock, so that when backups stop nothing more expires; only backups of this
 * very policy that carry a readable manifest are ever deleted; and when clocks disagree nothing is.
 */
import type { Retention } from '../../specs/backup.types.ts';
import { formatDuration } from '../../specs/duration.ts';
import { localTime } from './zoned.ts';

/** One thing found at a destination. */
export interface Candidate {
  /** The archive's name. */
  id: string;
  /** Policy that its manifest names; `null`: no manifest, or none of ours. */
  policy: string | null;
  /** Only `verified` ones count. `unreadable`: there is a manifest, but it cannot be read. */
  state: 'verified' | 'unverified' | 'failed' | 'unreadable';
  /** Time of the data in the backup, ISO 8601. */
  at: string;
  /** Not a file of its own but a link to one. */
  link: boolean;
}

/** Something that needs a backup: a running restore, oplog slices that start from it, a person. */
export interface Hold {
  id: string;
  /** As it is shown: `restore of Ann, until ...`. */
  reason: string;
}

/** A reading of one clock, so that several can be compared. Milliseconds since the epoch. */
export interface Clock {
  name: string;
  time: number;
}

export interface RetentionInput {
  policy: string;
  rules: Retention;
  /** Days, weeks, months and years are those of this zone. */
  timezone: string;
  found: readonly Candidate[];
  holds: readonly Hold[];
  /** At least one; the earliest says what lies in the future. */
  clocks: readonly Clock[];
}

/** What becomes of one backup, and why. */
export interface Verdict {
  id: string;
  verdict: 'keep' | 'delete';
  /** Never empty. */
  reasons: string[];
}

/** Clocks may differ by this much, and a backup may be this far in the future. */
export const CLOCK_TOLERANCE_MS = 3_600_000;

const DAY = 86_400_000;

/** A candidate with the time parsed. */
interface Dated {
  candidate: Candidate;
  time: number;
}

/** One verdict for each candidate, newest first (ties by name), then what has no date. Pure; see the module comment. */
export function decideRetention(input: RetentionInput): Verdict[] {
  const disagreement = clocksDisagree(input.clocks);
  const now = Math.min(...input.clocks.map(({ time }) => time));
  const dated = input.found
    .map((candidate) => ({ candidate, time: Date.parse(candidate.at) }))
    .sort(newestFirst);
  const counted = dated.filter(
    (each) => untouchable(each, input, now) === null && each.candidate.state === 'verified',
  );
  const keepers = keepersOf(counted, input);
  return dated.map((each) => {
    const { id, state } = each.candidate;
    const barred = untouchable(each, input, now);
    const held = input.holds.filter((hold) => hold.id === id).map(({ reason }) => `held: ${reason}`);
    const reasons = [...(barred === null ? [] : [barred]), ...held];
    if (barred === null) {
      reasons.push(
        ...(state === 'verified' ? (keepers.get(id) ?? []) : whyKeepUnverified(each, counted, input.rules)),
      );
    }
    if (reasons.length === 0 && disagreement !== null) reasons.push(disagreement);
    if (reasons.length > 0) return { id, verdict: 'keep', reasons };
    return { id, verdict: 'delete', reasons: [whyDelete(each, counted)] };
  });
}

/** Invalid dates last, for NaN compares to nothing. */
function newestFirst(a: Dated, b: Dated): number {
  const [left, right] = [
    Number.isNaN(a.time) ? -Infinity : a.time,
    Number.isNaN(b.time) ? -Infinity : b.time,
  ];
  if (left !== right) return right > left ? 1 : -1;
  return a.candidate.id < b.candidate.id ? 1 : a.candidate.id > b.candidate.id ? -1 : 0;
}

/** Why the clocks cannot be relied on, or `null`. */
export function clocksDisagree(clocks: readonly Clock[]): string | null {
  const [first, ...rest] = [...clocks].sort((a, b) => a.time - b.time);
  if (!first || !Number.isFinite(first.time)) return 'no clock could be read, so nothing is deleted';
  const last = rest.at(-1) ?? first;
  if (last.time - first.time <= CLOCK_TOLERANCE_MS) return null;
  const apart = formatDuration(last.time - first.time);
  return `the clocks of ${first.name} and ${last.name} are ${apart} apart, so nothing is deleted`;
}

/** Why a candidate is none of this policy's business, or `null`. */
function untouchable({ candidate, time }: Dated, input: RetentionInput, now: number): string | null {
  if (candidate.link) return 'a symbolic link, which is never followed';
  if (candidate.state === 'unreadable') return 'its manifest cannot be read; look at it';
  if (candidate.policy === null) return 'not made by Slipway: no manifest';
  if (candidate.policy !== input.policy) return `belongs to policy ${candidate.policy}`;
  if (Number.isNaN(time)) return 'has no date; look at it';
  if (!(time <= now + CLOCK_TOLERANCE_MS)) return 'dated in the future; look at the clocks';
  if (input.found.filter(({ id }) => id === candidate.id).length > 1) return 'listed twice; look at it';
  return null;
}

/** Reasons to keep, by id, for verified backups given newest first. */
function keepersOf(counted: readonly Dated[], { rules, timezone }: RetentionInput): Map<string, string[]> {
  const reasons = new Map<string, string[]>();
  const keep = ({ candidate }: Dated, reason: string) => {
    reasons.set(candidate.id, [...(reasons.get(candidate.id) ?? []), reason]);
  };
  const [newest] = counted;
  if (!newest) return reasons;
  keep(newest, 'the newest verified backup');
  const oldest = newest.time - (rules.days ?? 0) * DAY;
  for (const [i, each] of counted.entries()) {
    if (rules.days !== undefined && each.time >= oldest) keep(each, `within ${rules.days}d of the newest`);
    if (rules.last !== undefined && i < rules.last) keep(each, `one of the last ${rules.last}`);
  }
  for (const [rule, bucketOf] of Object.entries(BUCKETS)) {
    const limit = rules[rule as keyof typeof BUCKETS] ?? 0;
    const seen = new Set<string>();
    for (const each of limit > 0 ? counted : []) {
      const bucket = bucketOf(each.time, timezone);
      if (seen.has(bucket)) continue;
      if (seen.size === limit) break;
      seen.add(bucket);
      keep(each, `${rule}: ${bucket}`);
    }
  }
  keepAtLeast(counted, rules.keepAtLeast, reasons, keep);
  return reasons;
}

/** The newest of those that no rule keeps fill up what is missing. */
function keepAtLeast(
  counted: readonly Dated[],
  least: number,
  reasons: ReadonlyMap<string, string[]>,
  keep: (each: Dated, reason: string) => void,
): void {
  for (const each of counted) {
    if (reasons.size >= least) return;
    if (!reasons.has(each.candidate.id)) keep(each, `at least ${least} verified backups stay`);
  }
}

const BUCKETS: Record<
  'hourly' | 'daily' | 'weekly' | 'monthly' | 'yearly',
  (time: number, zone: string) => string
> = {
  // The UTC offset keeps the two hours of a night in autumn apart.
  hourly: (time, zone) =>
    `${dayOf(time, zone)} ${pad(localTime(time, zone).hour)}h (${new Date(time).toISOString().slice(11, 13)}h UTC)`,
  daily: dayOf,
  weekly: weekOf,
  monthly: (time, zone) => dayOf(time, zone).slice(0, 7),
  yearly: (time, zone) => dayOf(time, zone).slice(0, 4),
};

function dayOf(time: number, zone: string): string {
  const { year, month, day } = localTime(time, zone);
  return `${String(year).padStart(4, '0')}-${pad(month)}-${pad(day)}`;
}

/** ISO 8601 week: the one that has the Thursday decides the year. */
function weekOf(time: number, zone: string): string {
  const { year, month, day } = localTime(time, zone);
  const midnight = Date.UTC(year, month - 1, day);
  const thursday = new Date(midnight + (4 - (new Date(midnight).getUTCDay() || 7)) * DAY);
  const week = Math.floor((thursday.getTime() - Date.UTC(thursday.getUTCFullYear(), 0, 1)) / (7 * DAY)) + 1;
  return `${thursday.getUTCFullYear()}-W${pad(week)}`;
}

function pad(number: number): string {
  return String(number).padStart(2, '0');
}

/** What was never proven goes when enough proven ones are newer; before, it may be all there is. */
function whyKeepUnverified(
  { candidate, time }: Dated,
  counted: readonly Dated[],
  { keepAtLeast }: Retention,
): string[] {
  const newer = counted.filter((each) => each.time > time).length;
  if (newer >= keepAtLeast) return [];
  return [
    `${candidate.state}, so it does not count; stays until ${keepAtLeast} verified ones are newer (${newer} are)`,
  ];
}

function whyDelete({ candidate, time }: Dated, counted: readonly Dated[]): string {
  const [newest] = counted;
  const age = newest ? formatDuration(Math.max(0, newest.time - time)) : '?';
  if (candidate.state === 'failed')
    return 'its archive is damaged or missing, and enough verified ones are newer';
  if (candidate.state !== 'verified') return `${candidate.state}, and enough verified ones are newer`;
  return `no rule keeps it; ${age} older than the newest`;
}
