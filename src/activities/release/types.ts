/**
 * The activities a release is made of. Workflows import this contract as types only. Every one of them re-reads live
 * state, may run twice, and writes under the field manager `slipway` with the object's resourceVersion as precondition.
 *
 * Failures (ApplicationFailure types): `WorkloadGone`, `WorkloadChanged` (only `begin`: not what was planned with),
 * `Forbidden` (after a few attempts: an API server that has just started forbids everything), `RecordOfAnother`,
 * `WorkloadRejected` (400, 422 or a webhook's no, with the API server's sentence) are not retryable; everything else is
 * (409, 429, 5xx, network), for the caller's timeout to bound.
 */
import type { RollingStrategy } from '../../domain/workload/canary.ts';
import type { UndoOrder } from '../../domain/workload/patch.ts';
import type { Adjust, Begin } from '../../domain/workload/patch-forward.ts';
import type { Actor, Observation, Preflight, Target, Undo } from '../../domain/workload/types.ts';
import type { PodGuard, Release } from '../../specs/release.types.ts';

/** The Deployment that is acted upon; one of its name with another uid is not it. */
interface Subject {
  target: Target;
  uid: string;
}

export interface BeginInput extends Subject, Begin {}

interface AdjustInput extends Subject, Adjust {
  undo: Undo;
}

export interface AdjustResult {
  /** `stale`: the replica count is no longer the one the hold was computed for, nothing was written. */
  result: 'applied' | 'unchanged' | 'stale';
}

export interface UndoInput extends Subject, UndoOrder {}

export interface WatchInput extends UndoInput {
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
