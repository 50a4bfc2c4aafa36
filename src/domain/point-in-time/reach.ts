/**
 * Which moments can be brought back, and from what: a base backup shows one moment, and slices of the oplog carry it
 * forward as long as each begins where one before it ended. Pure.
 */
import { compareMoments, type Moment, momentClock, momentLabel } from './moment.ts';

/** A verified backup that slices can start from. */
export interface Base {
  id: string;
  /** The moment that its data shows. */
  at: Moment;
}

/** A stretch of the oplog: the entries after `from`, up to and including `to`. */
export interface Stretch {
  id: string;
  /** Stretches of different chains are of histories that do not follow each other: they never go together. */
  chain: number;
  from: Moment;
  to: Moment;
}

/** From the first base on, every moment until `to` can be brought back. */
export interface ReachableRange {
  chain: number;
  bases: string[];
  from: Moment;
  to: Moment;
}

/** A backup, and the slices that lead from it to the moment that is wanted. */
export interface Recovery<S extends Stretch = Stretch> {
  base: Base;
  /** In the order in which they are replayed; those that only repeat others are left out. */
  slices: S[];
}

/**
 * The newest base at or before the target from which slices lead to it without a break; or a sentence that says why
 * there is none, and what can be reached.
 */
export function planRecovery<S extends Stretch>(
  bases: readonly Base[],
  slices: readonly S[],
  target: Moment,
): Recovery<S> | string {
  const before = bases
    .filter(({ at }) => compareMoments(at, target) <= 0)
    .sort((a, b) => compareMoments(b.at, a.at));
  const chains = chainsOf(slices);
  for (const base of before) {
    if (compareMoments(base.at, target) === 0) return { base, slices: [] };
    const ways = chains.flatMap((chain) => {
      const path = pathFrom(chain, base.at, target);
      return path && compareMoments(path.to, target) >= 0 ? [path.slices] : [];
    });
    // Two chains that lead on from one moment are of two histories (a clock that went back): which is the backup's is not known.
    if (ways.length === 1 && ways[0]) return { base, slices: ways[0] };
  }
  return refusal(bases, slices, target, before[0]);
}

function refusal(
  bases: readonly Base[],
  slices: readonly Stretch[],
  target: Moment,
  newest: Base | undefined,
): string {
  const ranges = reachableRanges(bases, slices);
  const there =
    ranges.length === 0
      ? 'no moment can be: no backup is followed by slices'
      : `reachable is ${ranges.map(rangeText).join(', ')}`;
  const last = ranges.at(-1);
  const why = !newest
    ? 'there is no backup of that time or before'
    : last && compareMoments(target, last.to) > 0
      ? 'the slices do not reach so far yet'
      : 'no slices lead to it from a backup';
  const instead = newest ? `; the newest backup before it is ${newest.id} of ${momentClock(newest.at)}` : '';
  return `${momentLabel(target)} cannot be reached: ${why}; ${there}${instead}`;
}

/** A range in words, in UTC. */
export function rangeText({ from, to }: Pick<ReachableRange, 'from' | 'to'>): string {
  return `${momentClock(from)} to ${momentClock(to)}`;
}

/** Everything that can be reached, oldest first; ranges do not touch. */
export function reachableRanges(bases: readonly Base[], slices: readonly Stretch[]): ReachableRange[] {
  const ranges: ReachableRange[] = [];
  const ordered = [...bases].sort((a, b) => compareMoments(a.at, b.at));
  for (const chain of chainsOf(slices)) {
    for (const base of ordered) {
      const path = pathFrom(chain, base.at, null);
      if (!path) continue;
      const last = ranges.at(-1);
      const number = chain[0]?.chain ?? 0;
      if (last?.chain === number && compareMoments(base.at, last.to) <= 0) last.bases.push(base.id);
      else ranges.push({ chain: number, bases: [base.id], from: base.at, to: path.to });
    }
  }
  return ranges.sort((a, b) => compareMoments(a.from, b.from));
}

/** The slices of each chain, by their beginning. */
function chainsOf<S extends Stretch>(slices: readonly S[]): S[][] {
  const chains = new Map<number, S[]>();
  for (const slice of slices) {
    const chain = chains.get(slice.chain);
    if (chain) chain.push(slice);
    else chains.set(slice.chain, [slice]);
  }
  return [...chains]
    .sort(([a], [b]) => a - b)
    .map(([, chain]) => chain.sort((a, b) => compareMoments(a.from, b.from)));
}

/**
 * Follows a chain from a moment: of the slices that begin at or before the moment reached, always the one that leads
 * farthest, so that slices that were stored twice do no harm. Undefined when no slice holds the moment itself.
 */
function pathFrom<S extends Stretch>(
  chain: readonly S[],
  start: Moment,
  target: Moment | null,
): { slices: S[]; to: Moment } | undefined {
  const slices: S[] = [];
  let reached = start;
  let best: S | undefined;
  let holdsStart = false;
  const advance = () => {
    if (!best || compareMoments(best.to, reached) <= 0) return false;
    slices.push(best);
    reached = best.to;
    return true;
  };
  for (const slice of chain) {
    while (compareMoments(slice.from, reached) > 0) {
      if (isThere(reached, target) || !advance()) break;
    }
    if (compareMoments(slice.from, reached) > 0 || isThere(reached, target)) break;
    holdsStart ||= compareMoments(slice.to, start) >= 0;
    if (!best || compareMoments(slice.to, best.to) > 0) best = slice;
  }
  if (!isThere(reached, target)) advance();
  return holdsStart ? { slices, to: reached } : undefined;
}

function isThere(reached: Moment, target: Moment | null): boolean {
  return target !== null && compareMoments(reached, target) >= 0;
}
