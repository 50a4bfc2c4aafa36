/** Health of the pods being launched, in the containers' own words. */
import { milliseconds } from '../../specs/duration.ts';
import type { PodGuard } from '../../specs/release.types.ts';
import type { Condition, ContainerStatus, Pod, ReplicaSet, TerminatedState } from './objects.types.ts';
import type { PodProblem } from './types.ts';

interface Health {
  problems: PodProblem[];
  /** Milliseconds since the epoch at which another problem appears if nothing changes; `null` when none will. */
  due: number | null;
}

/** Reasons for which a container waits and that end only when somebody acts. */
const FATAL_WAITING = new Set([
  'CrashLoopBackOff',
  'ErrImagePull',
  'ImagePullBackOff',
  'ErrImageNeverPull',
  'InvalidImageName',
  'ImageInspectError',
  'RegistryUnavailable',
  'CreateContainerConfigError',
  'CreateContainerError',
  'RunContainerError',
]);

/** Pods that could not be created may be created on the next try; after this long they count as a problem. */
const CREATE_GRACE_MS = 10_000;
/** Ready=False is first written when a node takes the pod; a later change means the pod had been Ready. */
const FIRST_REPORT_MS = 5_000;
const MAX_MESSAGE = 400;

/**
 * Judges the pods of one ReplicaSet. Terminating pods do not count. `now` is milliseconds since the epoch, by the API
 * server's clock. With several things wrong with one pod, the first that explains most is given.
 */
export function healthOf(replicaSet: ReplicaSet, pods: Pod[], guard: PodGuard, now: number): Health {
  const limit = milliseconds(guard.readyWithin);
  const verdicts = [
    notCreated(replicaSet, Math.min(limit, CREATE_GRACE_MS)),
    ...pods
      .filter((pod) => pod.metadata.deletionTimestamp === undefined)
      .toSorted((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))
      .map((pod) => containerProblem(pod, guard) ?? notReady(pod, limit)),
  ];
  const problems: PodProblem[] = [];
  let due: number | null = null;
  for (const verdict of verdicts) {
    if (!verdict) continue;
    if (verdict.from <= now) problems.push(verdict.problem);
    else due = Math.min(due ?? verdict.from, verdict.from);
  }
  return { problems, due };
}

/** A problem, and the time from which on it is one. */
interface Verdict {
  from: number;
  problem: PodProblem;
}

function notCreated(replicaSet: ReplicaSet, grace: number): Verdict | null {
  const failure = conditionOf(replicaSet.status?.conditions, 'ReplicaFailure');
  if (failure?.status !== 'True') return null;
  return {
    from: timeOf(failure.lastTransitionTime) + grace,
    problem: {
      pod: replicaSet.metadata.name,
      container: null,
      reason: failure.reason ?? 'FailedCreate',
      message: shorten(failure.message ?? 'pods could not be created'),
    },
  };
}

function containerProblem(pod: Pod, guard: PodGuard): Verdict | null {
  const statuses = [...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])];
  for (const status of statuses) {
    const found = waitingProblem(status) ?? restartProblem(status, guard.restarts);
    if (found) {
      const message = shorten([found.message, silence(pod, status)].filter(Boolean).join('; '));
      return { from: 0, problem: { pod: pod.metadata.name, container: status.name, ...found, message } };
    }
  }
  return null;
}

/**
 * What would make a container say why it ended. Its log is not read: a log may hold secrets, which have no place in
 * Temporal's history, and it is gone with the pod. That the last lines are shown is for the workload's owner to choose.
 */
function silence(pod: Pod, { name, lastState, state }: ContainerStatus): string | null {
  const last = state?.terminated ?? lastState?.terminated;
  const containers = [...(pod.spec.initContainers ?? []), ...pod.spec.containers];
  const policy = containers.find((container) => container.name === name)?.terminationMessagePolicy;
  if (!last || last.message || last.exitCode === 0 || last.reason === 'OOMKilled') return null;
  return policy === 'FallbackToLogsOnError' ? null : SILENT;
}

const SILENT =
  'it left no message: with terminationMessagePolicy FallbackToLogsOnError its last log lines would be here';

function waitingProblem(status: ContainerStatus): { reason: string; message: string } | null {
  const waiting = status.state?.waiting;
  if (!waiting?.reason || !FATAL_WAITING.has(waiting.reason)) return null;
  const last = status.lastState?.terminated;
  const words = [last && `last exit: ${exitOf(last)}`, waiting.message].filter(Boolean);
  return { reason: waiting.reason, message: words.join('; ') || waiting.reason };
}

function restartProblem(
  status: ContainerStatus,
  allowed: number,
): { reason: string; message: string } | null {
  const last = status.state?.terminated ?? status.lastState?.terminated;
  if (last?.reason === 'OOMKilled') {
    return { reason: 'OOMKilled', message: `out of memory, ${exitOf(last)}, ${times(status.restartCount)}` };
  }
  if (status.restartCount <= allowed) return null;
  const exit = last ? `, last exit: ${exitOf(last)}` : '';
  return { reason: 'Restarts', message: `${times(status.restartCount)} (${allowed} allowed)${exit}` };
}

function times(restarts: number): string {
  return restarts === 1 ? '1 restart' : `${restarts} restarts`;
}

function exitOf(state: TerminatedState): string {
  const code = state.signal ? `signal ${state.signal}` : `exit code ${state.exitCode}`;
  const reason = state.reason && state.reason !== 'Error' ? ` (${state.reason})` : '';
  return `${code}${reason}${state.message ? `: ${state.message.trim()}` : ''}`;
}

function notReady(pod: Pod, limit: number): Verdict | null {
  const phase = pod.status?.phase;
  // A pod that is over (evicted, node gone) is replaced by its ReplicaSet; the replacement is judged.
  if (phase === 'Failed' || phase === 'Succeeded' || isReady(pod)) return null;
  return {
    from: unreadySince(pod) + limit,
    problem: { pod: pod.metadata.name, ...whyNotReady(pod) },
  };
}

/** When the pod was created, or later lost its readiness. */
function unreadySince(pod: Pod): number {
  const conditions = pod.status?.conditions;
  const created = timeOf(pod.metadata.creationTimestamp);
  const ready = timeOf(conditionOf(conditions, 'Ready')?.lastTransitionTime);
  const scheduled = timeOf(conditionOf(conditions, 'PodScheduled')?.lastTransitionTime);
  return ready - Math.max(scheduled, created) > FIRST_REPORT_MS ? ready : created;
}

function whyNotReady(pod: Pod): Omit<PodProblem, 'pod'> {
  const scheduled = conditionOf(pod.status?.conditions, 'PodScheduled');
  if (scheduled?.status === 'False') {
    return {
      container: null,
      reason: scheduled.reason ?? 'Unschedulable',
      message: shorten(scheduled.message ?? 'no node takes the pod'),
    };
  }
  const statuses = [...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])];
  const unready = statuses.find((status) => !status.ready && !status.state?.terminated) ?? null;
  const waiting = unready?.state?.waiting;
  const ready = conditionOf(pod.status?.conditions, 'Ready');
  const running = unready?.state?.running ? 'it runs, but its readiness probe does not succeed' : null;
  const words = [waiting?.message ?? waiting?.reason, running, ready?.message].filter(Boolean);
  return {
    container: unready?.name ?? null,
    reason: 'NotReady',
    message: shorten(words.join('; ') || 'the pod is not Ready'),
  };
}

/** Whether a pod serves. */
function isReady(pod: Pod): boolean {
  return conditionOf(pod.status?.conditions, 'Ready')?.status === 'True';
}

/** Milliseconds since the epoch since when the pod is Ready, `null` when it is not. */
export function readySince(pod: Pod): number | null {
  const ready = conditionOf(pod.status?.conditions, 'Ready');
  return ready?.status === 'True' ? timeOf(ready.lastTransitionTime) : null;
}

function conditionOf(conditions: Condition[] | undefined, type: string): Condition | undefined {
  return conditions?.find((condition) => condition.type === type);
}

function timeOf(text: string | undefined): number {
  const time = Date.parse(text ?? '');
  return Number.isNaN(time) ? 0 : time;
}

function shorten(message: string): string {
  const line = message.replace(/\s+/g, ' ').trim();
  return line.length > MAX_MESSAGE ? `${line.slice(0, MAX_MESSAGE - 1)}…` : line;
}
