/**
 * Replica arithmetic of a canary without a twin: how many pods of each revision a weight means, and in which moves of
 * the hold a Deployment gets there.
 *
 * A held Deployment (minReadySeconds out of reach) brings up `surge + unavailable` new pods and keeps
 * `replicas - unavailable` old ones (Kubernetes, pkg/controller/deployment/rolling.go: every new pod counts as
 * unavailable). Two promises hold at every moment:
 * - pods never exceed `replicas + maxSurge`;
 * - old pods plus Ready new pods never fall below `replicas - maxUnavailable`.
 * In place, the canary only grows; the way down is the rollback.
 */
import type { IntOrPercent } from '../../specs/release.types.ts';
import type { Hold } from './types.ts';

/** A rolling strategy as apps/v1 writes it. */
export interface RollingStrategy {
  maxSurge: IntOrPercent;
  maxUnavailable: IntOrPercent;
}

/** What the workload's own rolling strategy allows, in pods. */
export type Limits = Hold;

/** Pods of either revision, as they are or as they should be. */
export interface Split {
  canary: number;
  stable: number;
}

/** How the workload stands while a weight is being reached. */
interface Standing extends Split {
  replicas: number;
  /** Canary pods that serve. */
  ready: number;
  hold: Hold;
}

/** What to do next on the way to a target. */
export type Move =
  | { kind: 'adjust'; hold: Hold }
  /** The hold is where it must be for now; this many ready canary pods are needed before the next move. */
  | { kind: 'wait'; ready: number }
  | { kind: 'reached' };

/** How far a real weight may be from the closest one for the sake of a fuller stable: a quarter of a pod. */
const TOLERANCE_IN_PODS = 0.25;

/**
 * Absolute limits of a strategy for a replica count: surge is rounded up, unavailable down, and when both come out as
 * zero one pod may be unavailable (Kubernetes, ResolveFenceposts).
 */
export function limitsOf(strategy: RollingStrategy, replicas: number): Limits {
  const surge = absolute(strategy.maxSurge, replicas, Math.ceil);
  const unavailable = Math.min(replicas, absolute(strategy.maxUnavailable, replicas, Math.floor));
  return surge === 0 && unavailable === 0 ? { surge: 0, unavailable: 1 } : { surge, unavailable };
}

function absolute(value: IntOrPercent, replicas: number, round: (pods: number) => number): number {
  if (typeof value === 'number') return value;
  // Multiplied before divided: 0.07 * 100 is 7.000000000000001 and would round up to 8.
  return value.endsWith('%') ? round((Number(value.slice(0, -1)) * replicas) / 100) : Number(value);
}

/** The share of pods that are canary, in per cent. */
export function weightOf({ canary, stable }: Split): number {
  return canary + stable === 0 ? 0 : (100 * canary) / (canary + stable);
}

/**
 * The split that comes closest to a weight. Among splits within a quarter of a pod of the best, the one with most
 * stable pods wins: what surge can carry costs no capacity and is hauled back without starting a single pod.
 *
 * `now` narrows the choice when a canary is out already: old pods cannot come back and new ones cannot go in place.
 */
export function splitFor(weight: number, replicas: number, limits: Limits, now?: Split): Split {
  const most = Math.min(replicas, now?.stable ?? replicas);
  const least = Math.min(replicas, Math.max(1, now?.canary ?? 1));
  const candidates: { split: Split; error: number }[] = [];
  for (let stable = most; stable >= 0; stable--) {
    if (stable !== most && percentFor(replicas - stable, replicas) === undefined) continue;
    const from = Math.max(least, replicas - stable);
    const upTo = Math.min(replicas, replicas + limits.surge - stable);
    if (upTo < from) continue;
    const wish = weight >= 100 ? upTo : Math.round((weight * stable) / (100 - weight));
    const split = { canary: Math.min(upTo, Math.max(from, wish)), stable };
    candidates.push({ split, error: Math.abs(weightOf(split) - weight) });
  }
  const best = Math.min(...candidates.map(({ error }) => error));
  const close = candidates.find(({ error }) => error <= best + (100 * TOLERANCE_IN_PODS) / replicas);
  return close?.split ?? { canary: least, stable: most };
}

/** The split for a share of updated pods in a rolling release: exactly that share of the replicas, rounded up. */
export function splitForShare(share: number, replicas: number, now?: Split): Split {
  const wish = Math.ceil((share * replicas) / 100);
  const canary = Math.min(replicas, Math.max(1, now?.canary ?? 1, wish));
  return { canary, stable: Math.min(now?.stable ?? replicas, replicas - canary) };
}

/** The hold under which Kubernetes arrives at a split and stays there. */
export function holdFor({ canary, stable }: Split, replicas: number): Hold {
  const unavailable = Math.max(0, replicas - stable);
  return { surge: Math.max(0, canary - unavailable), unavailable };
}

/**
 * How a hold is written. In per cent wherever that comes out at exactly these pods, so that Kubernetes itself keeps the
 * weight when somebody scales the workload under us; an absolute `maxUnavailable` would let go of nearly all old pods
 * on the way from 10 replicas to 6. Surge stays in the unit of the workload's own strategy and never above it.
 */
export function holdFields(hold: Hold, replicas: number, own: RollingStrategy): RollingStrategy {
  const unavailable = hold.unavailable === 0 ? undefined : percentFor(hold.unavailable, replicas);
  return {
    maxSurge: surgeField(hold.surge, replicas, own.maxSurge),
    maxUnavailable: unavailable === undefined ? hold.unavailable : `${unavailable}%`,
  };
}

/** The smallest whole per cent that rounds down to these pods, if there is one. */
function percentFor(pods: number, replicas: number): number | undefined {
  const percent = Math.ceil((100 * pods) / replicas);
  return Math.floor((percent * replicas) / 100) === pods ? percent : undefined;
}

function surgeField(surge: number, replicas: number, own: IntOrPercent): IntOrPercent {
  if (surge === 0 || typeof own === 'number' || !own.endsWith('%')) return surge;
  const percent = Math.min(Number(own.slice(0, -1)), Math.floor((100 * surge) / replicas));
  return Math.ceil((percent * replicas) / 100) === surge ? `${percent}%` : surge;
}

/**
 * The next move of the hold towards a split, given how the workload stands. Each move lets go of no more old pods than
 * Ready new ones and `maxUnavailable` make up for, and surges no further than `maxSurge`.
 */
export function nextMove(standing: Standing, target: Split, limits: Limits): Move {
  const { replicas, hold, canary } = standing;
  const ready = Math.min(standing.ready, canary);
  const goal = holdFor(target, replicas);
  const next = holdTowards(goal, limits, ready, hold);
  if (next.surge !== hold.surge || next.unavailable !== hold.unavailable)
    return { kind: 'adjust', hold: next };
  if (next.surge !== goal.surge || next.unavailable !== goal.unavailable)
    return { kind: 'wait', ready: ready + 1 };
  return ready >= target.canary ? { kind: 'reached' } : { kind: 'wait', ready: target.canary };
}

/** The first hold of a release: as far towards the split as is safe while no canary pod serves. */
export function firstHold(target: Split, replicas: number, limits: Limits): Hold {
  return holdTowards(holdFor(target, replicas), limits, 0, { surge: 0, unavailable: 0 });
}

function holdTowards(goal: Hold, limits: Limits, ready: number, now: Hold): Hold {
  // What is already let go stays let go: a canary pod that stops being Ready must not start a tug of war.
  const kept = Math.min(now.unavailable, goal.unavailable);
  const unavailable = Math.max(kept, Math.min(goal.unavailable, limits.unavailable + ready));
  const goalPods = goal.surge + goal.unavailable;
  const keptPods = Math.min(now.surge + now.unavailable, goalPods, limits.surge + unavailable);
  const pods = Math.max(keptPods, Math.min(goalPods, limits.surge + unavailable));
  return { surge: Math.max(0, pods - unavailable), unavailable };
}
