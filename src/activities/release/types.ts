/**
 * The activities a release is made of. Workflows import this contract as types only. Every one of them re-reads live
 * state, may run twice, and writes under the field manager `slipway` with the object's resourceVersion as precondition.
 *
 * Failures (ApplicationFailure types): `WorkloadGone`, `WorkloadChanged` (only `begin`: not what was planned with),
 * `Forbidden` (after a few attempts: an API server that has just started forbids everything), `RecordOfAnother`,
 * `WorkloadRejected` (400, 422 or a webhook's no, with the API server's sentence) are not retryable; everything else is
 * (409, 429, 5xx, network), for the caller's timeout to bound.
 */
import type { Observation, Preflight, Target, Undo } from '../../domain/workload/types.ts';
import type { RollingStrategy } from '../../domain/workload/canary.ts';
import type { PodGuard, Release } from '../../specs/release.types.ts';

/** Which release is acting, so that no other's work is touched. `id` is the workflow id, `run` its run id. */
export interface Actor {
  id: string;
  run: string;
}

export interface BeginInput {
  actor: Actor;
  target: Target;
  uid: string;
  undo: Undo;
  /** Images to launch, by container. */
  images: Record<string, string>;
  /**
   * The first hold, ready to be written as strategy.rollingUpdate (in per cent where that keeps the weight under
   * scaling: domain/workload/canary.ts holdFields), or `null` to let the workload's rollout run (rolling without pauses).
   */
  hold: RollingStrategy | null;
  /** spec.replicas for which the hold was computed. When the live count differs, nothing is written: `stale`. */
  replicas: number;
  /** Overrides of the rolling strategy while the release runs; only with `hold: null`. */
  rolling: RollingStrategy | null;
  /** Written as kubernetes.io/change-cause, e.g. `cheaper search (by ci@x, release.ecommerce.product-service)`. */
  changeCause: string;
}

export interface AdjustInput {
  actor: Actor;
  target: Target;
  uid: string;
  undo: Undo;
  hold: RollingStrategy;
  /** spec.replicas for which the hold was computed. */
  replicas: number;
}

export interface AdjustResult {
  /** `stale`: the replica count is no longer the one the hold was computed for, nothing was written. */
  result: 'applied' | 'unchanged' | 'stale';
}

export interface UndoInput {
  actor: Actor;
  target: Target;
  uid: string;
  undo: Undo;
  images: Record<string, string>;
}

export interface WatchInput {
  actor: Actor;
  target: Target;
  uid: string;
  undo: Undo;
  images: Record<string, string>;
  /** Rolling overrides given to `begin`, so that they are not taken for drift. */
  rolling: RollingStrategy | null;
  health: PodGuard | null;
  /** Canary pods whose readiness matters; beyond this count more ready pods do not change the digest. */
  settle: number;
  /** What the object should be now: held by us, rolling to the new images, guarded after promotion, or put back. */
  expect: 'held' | 'rolling' | 'promoted' | 'restored';
  /** Ids of drift that was accepted and is not to be reported again. */
  accepted: string[];
  /** Digest already acted upon; `null` returns the first observation at once. */
  seen: string | null;
}

export interface ReleaseActivities {
  /** Reads the workload and checks everything a release needs, before anything is touched. */
  preflight(input: { actor: Actor; release: Release }): Promise<Preflight>;
  /** First write: new images, hold and record in one patch. Repeating it changes nothing. */
  begin(input: BeginInput): Promise<AdjustResult>;
  /** Moves the hold. */
  adjust(input: AdjustInput): Promise<AdjustResult>;
  /** Gives the workload its own strategy back, so that the rollout finishes; the record stays (phase guarding). */
  promote(input: UndoInput): Promise<void>;
  /** Puts images, strategy and deadlines back and removes the record, in one patch. Never waits. */
  rollBack(input: UndoInput): Promise<void>;
  /** Removes the record after the guard period. */
  finish(input: UndoInput): Promise<void>;
  /** Waits, heartbeating, until the workload looks different from `seen`; then says how it looks. */
  watch(input: WatchInput): Promise<Observation>;
  /** Reads once how the workload looks. */
  observe(input: WatchInput): Promise<Observation>;
}
