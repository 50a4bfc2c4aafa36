/**
 * Which slices of the oplog stay. A slice stays as long as a kept backup needs it; only cluster times are compared with
 * each other, so no clock of a machine decides. Whatever is doubtful keeps everything.
 */
import { compareMoments, type Moment, momentClock } from './moment.ts';
import type { Base, Stretch } from './reach.ts';
import { CLOCK_TOLERANCE_MS, type Clock, clocksDisagree } from '../backup/retention.ts';

interface SliceRetentionInput {
  /** Verified backups of the policy that stay. */
  bases: readonly Base[];
  slices: readonly Stretch[];
  /** Milliseconds before the newest slice that stay reachable; `null`: as far back as there is a backup. */
  keepForMs: number | null;
  /** As in {@link RetentionInput}. */
  clocks: readonly Clock[];
}

/** What becomes of a policy's slices. */
export interface SliceVerdict {
  /** Ids of the slices that no kept backup needs. */
  delete: string[];
  kept: number;
  /** Why the line is drawn where it is. */
  reason: string;
}

/** Pure; see the module comment. */
export function decideSlices(input: SliceRetentionInput): SliceVerdict {
  const { slices } = input;
  const line = lineOf(input);
  if (typeof line === 'string') return { delete: [], kept: slices.length, reason: line };
  // The slice that holds the base's own moment stays too: a transaction may have begun before it.
  const doomed = slices.filter(({ to }) => compareMoments(to, line.at) < 0).map(({ id }) => id);
  const reason = `slices before ${momentClock(line.at)} are needed by no kept backup; the first is ${line.id}`;
  return { delete: doomed, kept: slices.length - doomed.length, reason };
}

/** The base before which nothing is needed, or why everything stays. */
function lineOf({ bases, slices, keepForMs, clocks }: SliceRetentionInput): Base | string {
  const disagreement = clocksDisagree(clocks);
  if (disagreement !== null) return disagreement;
  const latest = (Math.min(...clocks.map(({ time }) => time)) + CLOCK_TOLERANCE_MS) / 1_000;
  if (slices.some(({ to }) => to.t > latest))
    return 'a slice is dated in the future; look at the clocks, nothing is deleted';
  const usable = bases.filter(({ at }) => at.t <= latest).sort((a, b) => compareMoments(a.at, b.at));
  const [oldest] = usable;
  if (!oldest) return 'there is no verified backup, so every slice stays';
  const newest = slices.reduce<Moment>(
    (last, { to }) => (compareMoments(to, last) > 0 ? to : last),
    oldest.at,
  );
  if (keepForMs === null) return oldest;
  const horizon = { t: newest.t - keepForMs / 1_000, i: newest.i };
  return usable.findLast(({ at }) => compareMoments(at, horizon) <= 0) ?? oldest;
}
