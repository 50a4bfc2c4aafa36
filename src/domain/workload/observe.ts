/** How a workload looks to its release: from the API server's objects to one small observation. */
import type { PodGuard } from '../../specs/release.types.ts';
import { fingerprint } from '../digest.ts';
import { driftOf, type Expected } from './drift.ts';
import { healthOf, readySince } from './health.ts';
import { UNSEEN_DIGEST } from '../names.ts';
import type { Deployment, Pod, ReplicaSet, WorkloadObjects } from './objects.types.ts';
import { controllerOf } from './owner.ts';
import { holdOf, isOurs, recordState } from './record.ts';
import { hashOf, imagesOf, revisionOf, sameTemplate } from './template.ts';
import type { Observation, PodProblem, RevisionState } from './types.ts';

/** What is looked for in a workload. */
export interface Outlook extends Expected {
  /** UID of the workload that was planned with. */
  uid: string;
  health: PodGuard | null;
  /** Ready canary pods beyond this count do not change the digest. */
  settle: number;
}

/** An observation, and when it has to be made anew although nothing changed. */
export interface Observed {
  observation: Observation;
  /** Milliseconds since the epoch at which the observation changes by time alone, `null` when it does not. */
  due: number | null;
}

/**
 * Observes a workload. `objects` is `null` when there is no such Deployment. `now` is milliseconds since the epoch by
 * the API server's clock, against which the times in the objects are measured.
 */
export function observe(objects: WorkloadObjects | null, outlook: Outlook, now: number): Observed {
  if (!objects || objects.deployment.metadata.uid !== outlook.uid) {
    return { observation: withDigest(missing(now), outlook.settle), due: null };
  }
  const { deployment, replicaSets } = objects;
  const left = replicaSets.find((replicaSet) => hashOf(replicaSet) === outlook.undo.stableHash) ?? null;
  const { stable, canary } =
    outlook.expect === 'restored'
      ? rolesAfter(deployment, replicaSets, outlook)
      : rolesDuring(deployment, replicaSets, left);
  const readiness = { pods: objects.pods, seconds: outlook.undo.minReadySeconds, now };
  const stableState = revisionState(stable, readiness);
  const canaryState = revisionState(canary, readiness);
  const health =
    canary && outlook.health
      ? healthOf(canary, podsOf(canary, objects.pods), outlook.health, now)
      : { problems: [] as PodProblem[], due: null };
  const observation: Observation = {
    digest: '',
    at: new Date(now).toISOString(),
    replicas: deployment.spec.replicas,
    stable: stableState.state,
    canary: canaryState.state,
    others: replicaSets
      .filter((replicaSet) => replicaSet !== stable && replicaSet !== canary)
      .reduce((sum, replicaSet) => sum + runningOf(replicaSet), 0),
    complete: isComplete(deployment),
    hold: holdOf(deployment),
    record: recordOf(deployment, outlook.actor),
    problems: health.problems,
    drift: driftOf(deployment, outlook, left?.spec.template ?? null),
    missing: false,
  };
  return {
    observation: withDigest(observation, outlook.settle),
    due: earliest(health.due, stableState.due, canaryState.due),
  };
}

interface Roles {
  stable: ReplicaSet | null;
  canary: ReplicaSet | null;
}

/** During a release, stable is what it leaves, and canary what the Deployment has now, unless that is the same. */
function rolesDuring(deployment: Deployment, replicaSets: ReplicaSet[], left: ReplicaSet | null): Roles {
  const current = currentOf(deployment, replicaSets);
  return { stable: left, canary: current === left ? null : current };
}

/**
 * After a rollback, canary is what still has an image that was launched, and stable what the Deployment has now. That
 * is another ReplicaSet than before the release when somebody changed more than images meanwhile.
 */
function rolesAfter(deployment: Deployment, replicaSets: ReplicaSet[], { images, undo }: Outlook): Roles {
  const launched = ({ spec }: ReplicaSet): boolean => {
    const own = imagesOf(spec.template);
    return Object.entries(images).some(([name, image]) => image !== undo.images[name] && own[name] === image);
  };
  const newest = replicaSets
    .filter(launched)
    .sort((a, b) => runningOf(b) - runningOf(a) || revisionOf(b) - revisionOf(a));
  const current = currentOf(deployment, replicaSets);
  return { stable: current && !launched(current) ? current : null, canary: newest[0] ?? null };
}

/** The ReplicaSet of the template that the Deployment has now. */
export function currentOf(deployment: Deployment, replicaSets: ReplicaSet[]): ReplicaSet | null {
  const { template } = deployment.spec;
  const same = replicaSets.filter(({ spec }) => sameTemplate(spec.template, template));
  return same.sort((a, b) => revisionOf(b) - revisionOf(a))[0] ?? null;
}

/** As `kubectl rollout status` judges: every pod updated and available, none old. */
export function isComplete(deployment: Deployment): boolean {
  const { spec, status = {} } = deployment;
  const { replicas = 0, updatedReplicas = 0, availableReplicas = 0 } = status;
  return (
    isObserved(deployment) &&
    updatedReplicas === spec.replicas &&
    replicas === updatedReplicas &&
    availableReplicas === updatedReplicas
  );
}

/** Whether the Deployment controller has seen the latest spec; before that its status is about another. */
export function isObserved({ metadata, status }: Deployment): boolean {
  return (status?.observedGeneration ?? 0) >= (metadata.generation ?? 0);
}

/** Pods that a ReplicaSet owns. */
export function podsOf(replicaSet: ReplicaSet, pods: Pod[]): Pod[] {
  return pods.filter((pod) => controllerOf(pod) === replicaSet.metadata.uid);
}

interface Readiness {
  pods: Pod[];
  /** The workload's own minReadySeconds. */
  seconds: number;
  now: number;
}

function revisionState(
  replicaSet: ReplicaSet | null,
  { pods, seconds, now }: Readiness,
): { state: RevisionState; due: number | null } {
  if (!replicaSet) return { state: { hash: null, pods: 0, ready: 0 }, due: null };
  let ready = 0;
  let due: number | null = null;
  for (const pod of podsOf(replicaSet, pods)) {
    const since = readySince(pod);
    if (since === null || pod.metadata.deletionTimestamp !== undefined) continue;
    const settled = since + seconds * 1_000;
    if (seconds === 0 || settled <= now) ready += 1;
    else due = earliest(due, settled);
  }
  return { state: { hash: hashOf(replicaSet), pods: replicaSet.spec.replicas ?? 0, ready }, due };
}

function runningOf(replicaSet: ReplicaSet): number {
  return Math.max(replicaSet.spec.replicas ?? 0, replicaSet.status?.replicas ?? 0);
}

function recordOf(deployment: Deployment, actor: { id: string; run: string }): Observation['record'] {
  const found = recordState(deployment);
  if (found.state !== 'live') return 'none';
  return isOurs(found.record, actor) ? 'ours' : 'other';
}

/** That the workload cannot be seen for the time being, and why. `now` as for {@link observe}. */
export function unseen(now: number, why: string): Observation {
  return { ...missing(now), digest: UNSEEN_DIGEST, missing: false, unseen: why };
}

function missing(now: number): Observation {
  const nothing = { hash: null, pods: 0, ready: 0 };
  return {
    digest: '',
    at: new Date(now).toISOString(),
    replicas: 0,
    stable: nothing,
    canary: nothing,
    others: 0,
    complete: false,
    hold: null,
    record: 'none',
    problems: [],
    drift: [],
    missing: true,
  };
}

/**
 * The digest names what a release may act upon, readably, since it is kept in histories: replicas, canary hash, pods
 * and ready pods up to `settle`, stable pods and whether all serve, pods of others, completion, hold, record, problems
 * (by identity, not by their changing words) and drift.
 */
function withDigest(observation: Observation, settle: number): Observation {
  const { replicas, stable, canary, others, hold, problems, drift } = observation;
  const parts = [
    observation.missing ? 'missing' : `r${replicas}`,
    `c:${canary.hash ?? '-'}:${canary.pods}/${Math.min(canary.ready, settle)}`,
    `s:${stable.pods}${stable.ready >= stable.pods ? '' : '!'}`,
    others > 0 ? 'others' : '',
    observation.complete ? 'complete' : '',
    hold ? `hold:${hold.surge}/${hold.unavailable}` : '',
    `rec:${observation.record}`,
    problems.length > 0 ? `p:${fingerprint(problems.map(identity).sort())}` : '',
    drift.length > 0 ? `d:${fingerprint(drift.map((one) => one.id).sort())}` : '',
  ];
  return { ...observation, digest: parts.filter(Boolean).join(' ') };
}

function identity({ pod, container, reason }: PodProblem): string {
  return `${pod}/${container ?? ''}/${reason}`;
}

function earliest(...times: (number | null)[]): number | null {
  const known = times.filter((time) => time !== null);
  return known.length > 0 ? Math.min(...known) : null;
}
