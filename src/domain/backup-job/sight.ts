/** What the state of a Job and its pods means: goes on, has ended well, or has failed, with the container's own reason. Pure. */
import { lastWords } from './log.ts';
import { JOB_EXIT } from './script.ts';
import type { Condition, KubeObject, Pod, TerminatedState } from '../workload/objects.types.ts';

export interface Job extends KubeObject {
  spec: { activeDeadlineSeconds?: number };
  status?: {
    active?: number;
    succeeded?: number;
    failed?: number;
    startTime?: string;
    completionTime?: string;
    conditions?: Condition[];
  };
}

/** How a Job failed; decides what can be done about it. */
export type JobProblem = 'refused' | 'full' | 'failed';

type JobSight =
  /** `pod`: the one whose container runs, if there is one. */
  | { state: 'underway'; note: string; pod: Pod | null }
  | { state: 'complete'; pod: Pod | null }
  | { state: 'failed'; problem: JobProblem; reason: string };

/** An image that cannot be pulled, or a Secret that is missing: a registry may hiccup, a Secret may be on its way. */
const NOT_STARTED_PATIENCE_MS = 60_000;
/** No node, a claim that is not bound, a volume that does not mount. */
const NOT_PLACED_PATIENCE_MS = 600_000;

const NEVER_STARTS = new Set(['ErrImageNeverPull', 'InvalidImageName']);
const STARTS_NOT = new Set([
  'ErrImagePull',
  'ImagePullBackOff',
  'CreateContainerConfigError',
  'CreateContainerError',
  'RunContainerError',
  'RegistryUnavailable',
  'SignatureValidationFailed',
]);

/**
 * `now`: milliseconds by the API server's clock. `null`: the Job is gone. `placedWithinMs`: how long a pod may wait for a
 * node or a volume.
 */
export function sightOf(
  job: Job | null,
  pods: readonly Pod[],
  now: number,
  placedWithinMs = NOT_PLACED_PATIENCE_MS,
): JobSight {
  if (!job) {
    return { state: 'failed', problem: 'failed', reason: 'its Job was deleted before it had ended' };
  }
  const byAge = [...pods].sort((a, b) => created(b) - created(a));
  if (holds(job, 'Complete')) {
    return { state: 'complete', pod: byAge.find(({ status }) => status?.phase === 'Succeeded') ?? null };
  }
  const failed = holds(job, 'Failed');
  if (failed) return failureOf(job, failed, byAge);
  const [pod] = byAge;
  if (!pod) {
    if (now - created(job) <= placedWithinMs)
      return { state: 'underway', note: 'waits for the Job controller to make a pod', pod: null };
    return failedBy(
      `no pod was made for it within ${Math.round(placedWithinMs / 60_000)} minutes; a quota or the pod security of the namespace may be against it (kubectl describe job)`,
    );
  }
  return (
    waiting(pod, now, placedWithinMs) ?? {
      state: 'underway',
      note: noteOf(pod),
      pod: isRunning(pod) ? pod : null,
    }
  );
}

/**
 * The same of a pod that no Job makes: it runs, it has not started yet, why it never will, or what has taken it away (a
 * node that was drained, say: another may have better luck).
 */
export function podSight(
  pod: Pod,
  now: number,
  placedWithinMs: number,
):
  | { state: 'running' }
  | { state: 'starting'; note: string }
  | { state: 'failed'; reason: string }
  | { state: 'taken'; reason: string } {
  const late = waiting(pod, now, placedWithinMs);
  if (late?.state === 'failed') return { state: 'failed', reason: late.reason };
  const { phase, reason, message } = pod.status ?? {};
  const ended = endOf(pod);
  const disrupted = pod.status?.conditions?.some(
    ({ type, status }) => type === 'DisruptionTarget' && status === 'True',
  );
  if (disrupted || (!ended && (phase === 'Failed' || phase === 'Succeeded')))
    return {
      state: 'taken',
      reason: `pod ${pod.metadata.name} was taken away: ${[reason ?? phase, message].filter(Boolean).join(': ')}`,
    };
  if (ended) return { state: 'failed', reason: `pod ${pod.metadata.name} has ended: ${endText(ended)}` };
  return isRunning(pod) ? { state: 'running' } : { state: 'starting', note: noteOf(pod) };
}

export function isFinished(job: Job): boolean {
  return holds(job, 'Complete') !== undefined || holds(job, 'Failed') !== undefined;
}

/** Whether a container of the Job ever ran, so that it may have left something on the claim. */
export function everRan(pods: readonly Pod[]): boolean {
  return pods.some((pod) => {
    const { running, terminated } = pod.status?.containerStatuses?.[0]?.state ?? {};
    return running !== undefined || terminated !== undefined;
  });
}

/** What the container left as its last message, `undefined` when it did not end well. */
export function parting(pod: Pod | null): string | undefined {
  const ended = pod && endOf(pod);
  return ended?.exitCode === 0 ? ended.message : undefined;
}

function holds({ status }: Job, type: string): Condition | undefined {
  return status?.conditions?.find((condition) => condition.type === type && condition.status === 'True');
}

function created({ metadata }: KubeObject): number {
  return Date.parse(metadata.creationTimestamp);
}

function isRunning(pod: Pod): boolean {
  return pod.status?.containerStatuses?.[0]?.state?.running !== undefined;
}

function endOf(pod: Pod): TerminatedState | undefined {
  return pod.status?.containerStatuses?.[0]?.state?.terminated;
}

/** A failure when the pod has not started for too long, `undefined` otherwise. */
function waiting(pod: Pod, now: number, placedWithinMs: number): JobSight | undefined {
  const since = now - created(pod);
  const { reason = '', message = '' } = pod.status?.containerStatuses?.[0]?.state?.waiting ?? {};
  const stuck = NEVER_STARTS.has(reason) || (STARTS_NOT.has(reason) && since > NOT_STARTED_PATIENCE_MS);
  if (stuck) return failedBy(`its pod does not start: ${reason}: ${message}`);
  if (isRunning(pod) || endOf(pod) || since <= placedWithinMs) return undefined;
  return failedBy(
    `its pod has not started for ${Math.round(placedWithinMs / 60_000)} minutes: ${noteOf(pod)}`,
  );
}

function failedBy(reason: string, problem: JobProblem = 'failed'): JobSight {
  return { state: 'failed', problem, reason };
}

function noteOf(pod: Pod): string {
  const unplaced = pod.status?.conditions?.find(
    ({ type, status }) => type === 'PodScheduled' && status === 'False',
  );
  if (unplaced) return `no node for pod ${pod.metadata.name}: ${unplaced.message ?? unplaced.reason ?? ''}`;
  const { waiting: why } = pod.status?.containerStatuses?.[0]?.state ?? {};
  if (why)
    return `pod ${pod.metadata.name}: ${why.reason ?? 'waiting'}${why.message ? `: ${why.message}` : ''}`;
  const ended = endOf(pod);
  if (ended && ended.exitCode !== 0) {
    return `pod ${pod.metadata.name} failed (${endText(ended)}); the Job will try again`;
  }
  return `pod ${pod.metadata.name} is ${(pod.status?.phase ?? 'Pending').toLowerCase()}`;
}

function failureOf(job: Job, condition: Condition, pods: readonly Pod[]): JobSight {
  if (condition.reason === 'DeadlineExceeded') {
    const { activeDeadlineSeconds } = job.spec;
    return failedBy(`it was not done within its deadline of ${activeDeadlineSeconds} s, so it was stopped`);
  }
  const pod = pods.find(({ status }) => status?.phase === 'Failed');
  if (!pod) return failedBy(`${condition.reason ?? 'failed'}: ${condition.message ?? 'its pods are gone'}`);
  const ended = endOf(pod);
  if (!ended) {
    return failedBy(
      `pod ${pod.metadata.name}: ${pod.status?.reason ?? 'failed'}: ${pod.status?.message ?? ''}`,
    );
  }
  const text = endText(ended);
  if (ended.exitCode === JOB_EXIT.refused)
    return failedBy(`MongoDB refuses: ${lastWords(ended.message ?? '')}`, 'refused');
  if (ended.exitCode === JOB_EXIT.empty) return failedBy(lastWords(ended.message ?? ''));
  const full = /No space left on device|Disk quota exceeded/.test(ended.message ?? '');
  const tries = pods.length > 1 ? ` after ${pods.length} attempts` : '';
  return failedBy(`${text}${tries}`, full ? 'full' : 'failed');
}

function endText({ exitCode, reason, message = '' }: TerminatedState): string {
  const words = lastWords(message);
  const said = words === '' ? '' : `: ${words}`;
  if (reason === 'OOMKilled' || exitCode === 137) {
    return `the container was killed${reason === 'OOMKilled' ? ' because it ran out of memory (OOMKilled); give it more (destination.job.resources)' : ' (exit code 137)'}${said}`;
  }
  if (exitCode === JOB_EXIT.notStarted)
    return `the container could not be started (${reason ?? 'exit code 128'})${said}`;
  return `the container ended with exit code ${exitCode}${said}`;
}
