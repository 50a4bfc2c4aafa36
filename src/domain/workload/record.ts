/**
 * The record that a release leaves on the workload while it runs: who is releasing, and everything needed to undo it
 * without Temporal.
 *
 * A record is never trusted for being there. The Deployment controller copies annotations of a Deployment to its
 * ReplicaSets, and `kubectl rollout undo` copies them back, months later. Labels are not copied, so a label beside the
 * annotation names the run that the record must belong to; without it the record is a ghost. See {@link recordState}.
 */
import type { IntOrPercent } from '../../specs/release.types.ts';
import { limitsOf } from './canary.ts';
import { fingerprint } from '../digest.ts';
import { HELD_MIN_READY_SECONDS, HELD_PROGRESS_DEADLINE_SECONDS, RECORD_ANNOTATION } from '../names.ts';
import type { Deployment } from './objects.types.ts';
import type { Actor, Hold, Undo } from './types.ts';

/** Shown by `kubectl rollout history`; the Deployment controller copies it to ReplicaSets. */
export const CHANGE_CAUSE_ANNOTATION = 'kubernetes.io/change-cause';
/** Label on the workload that names the run whose record is there; see {@link recordToken}. */
export const RECORD_LABEL = 'slipway.dev/release';

/** Everything needed to undo the release, on the object itself. Its form is read by later versions: only add to it. */
export interface ReleaseRecord {
  v: 1;
  /** Workflow id and run id of the release. */
  id: string;
  run: string;
  /** UID of the workload the record was written on. */
  uid: string;
  phase: 'held' | 'rolling' | 'guarding';
  undo: Undo;
  /** Images launched, by container. */
  images: Record<string, string>;
  /** Rolling strategy that the release wrote last; `null` when the workload has its own. */
  strategy: Undo['strategy'] | null;
  /** Change cause before the release. */
  cause: string | null;
  /** Fingerprint of the template that the release wrote. */
  template: string;
  /** ISO time of the first write. */
  at: string;
}

type RecordState =
  | { state: 'none' }
  /** Something is there, but it is not the record of a release under way; `why` says how that is known. */
  | { state: 'stale'; why: string; record: ReleaseRecord | null }
  | { state: 'live'; record: ReleaseRecord };

/** Reads the record of a workload and says whether it can be believed. */
export function recordState(deployment: Deployment): RecordState {
  const text = deployment.metadata.annotations?.[RECORD_ANNOTATION];
  if (text === undefined) return { state: 'none' };
  const record = parseRecord(text);
  if (!record) return { state: 'stale', why: 'it is not a record that this version can read', record: null };
  if (record.uid !== deployment.metadata.uid) {
    return { state: 'stale', why: 'it was written on another object', record };
  }
  if (deployment.metadata.labels?.[RECORD_LABEL] !== recordToken(record)) {
    return { state: 'stale', why: 'it was copied back from an old ReplicaSet', record };
  }
  return { state: 'live', record };
}

/** Value of {@link RECORD_LABEL} beside a record of this run. */
export function recordToken(actor: Actor): string {
  return fingerprint([actor.id, actor.run]);
}

/** Whether the workload carries the values that only a hold of ours has. */
export function isHeld({ spec }: Deployment): boolean {
  return (
    spec.minReadySeconds === HELD_MIN_READY_SECONDS &&
    spec.progressDeadlineSeconds === HELD_PROGRESS_DEADLINE_SECONDS
  );
}

/** Rolling strategy of a workload; the API server has already put its defaults in. */
export function strategyOf({ spec }: Deployment): Undo['strategy'] {
  const rolling = spec.strategy.rollingUpdate;
  return { maxSurge: rolling?.maxSurge ?? '25%', maxUnavailable: rolling?.maxUnavailable ?? '25%' };
}

/** `1` and `"1"` are the same to the API server. */
export function sameStrategy(a: Undo['strategy'], b: Undo['strategy']): boolean {
  return same(a.maxSurge, b.maxSurge) && same(a.maxUnavailable, b.maxUnavailable);
}

function same(a: IntOrPercent, b: IntOrPercent): boolean {
  return String(a) === String(b);
}

/** The hold that a workload is under, in pods of its present replica count; `null` when it is not held. */
export function holdOf(deployment: Deployment): Hold | null {
  return isHeld(deployment) ? limitsOf(strategyOf(deployment), deployment.spec.replicas) : null;
}

/** Whether the record was written by this very run of this release. */
export function isOurs(record: ReleaseRecord, actor: Actor): boolean {
  return record.id === actor.id && record.run === actor.run;
}

/** As it stands in the annotation. */
export function formatRecord(record: ReleaseRecord): string {
  return JSON.stringify(record);
}

/** `null` for anything that is not a whole record of version 1: it may have been edited by hand. */
export function parseRecord(text: string): ReleaseRecord | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  return isRecord(value) ? value : null;
}

function isRecord(value: unknown): value is ReleaseRecord {
  if (!isObject(value) || value['v'] !== 1 || !isObject(value['undo'])) return false;
  const { undo } = value;
  const texts = [value['id'], value['run'], value['uid'], value['template'], value['at'], undo['stableHash']];
  return (
    texts.every((text) => typeof text === 'string') &&
    ['held', 'rolling', 'guarding'].includes(String(value['phase'])) &&
    [undo['minReadySeconds'], undo['progressDeadlineSeconds']].every(Number.isInteger) &&
    isImages(value['images']) &&
    isImages(undo['images']) &&
    isStrategy(undo['strategy']) &&
    (value['strategy'] === null || isStrategy(value['strategy'])) &&
    (value['cause'] === null || typeof value['cause'] === 'string')
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isImages(value: unknown): boolean {
  return isObject(value) && Object.values(value).every((image) => typeof image === 'string' && image !== '');
}

function isStrategy(value: unknown): boolean {
  const allowed = (member: unknown): boolean =>
    (Number.isInteger(member) && Number(member) >= 0) ||
    (typeof member === 'string' && /^\d+%$/.test(member));
  return isObject(value) && allowed(value['maxSurge']) && allowed(value['maxUnavailable']);
}
