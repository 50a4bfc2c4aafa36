/** Jobs: made once, watched, read, deleted. */
import { setTimeout as sleep } from 'node:timers/promises';
import { JOB_LABEL, type JobManifest, RUN_ANNOTATION } from '../domain/backup-job/job.ts';
import { JOB_CONTAINER } from '../domain/backup-job/pod.ts';
import type { Job } from '../domain/backup-job/sight.ts';
import type { Pod } from '../domain/workload/objects.types.ts';
import { controllerOf } from '../domain/workload/owner.ts';
import type { KubeClient } from './client.ts';
import { KubeError } from './errors.ts';
import { readAll, readLines } from './http.ts';
import { ListWatch } from './list-watch.ts';
import { JOBS, pathOf, PODS } from './paths.ts';

const LOG_TIMEOUT_MS = 60_000;
/** Nothing of ours comes near it; a stranger's image may print without end. */
const LOG_LIMIT_BYTES = 32 << 20;
/** A log that ended although the container runs is opened again after this pause. */
const REOPEN_MS = 2_000;
/** How long pods of a deleted Job may take to go: longer than their grace. */
const GONE_WITHIN_MS = 120_000;

const selectorOf = ({ metadata }: Job): string => `${JOB_LABEL}=${metadata.name}`;

/** The Job of that name, or `null`. Throws KubeError. */
async function readJob(
  client: KubeClient,
  namespace: string,
  name: string,
  signal?: AbortSignal,
): Promise<Job | null> {
  try {
    return await client.get<Job>(JOBS, namespace, name, { signal });
  } catch (error) {
    if (error instanceof KubeError && error.status === 404) return null;
    throw error;
  }
}

/** Makes the Job, or finds the one of the same run; `null` when the name belongs to another run. Throws KubeError. */
export async function ensureJob(
  client: KubeClient,
  manifest: JobManifest,
  signal?: AbortSignal,
): Promise<Job | null> {
  const { namespace, name, annotations } = manifest.metadata;
  let job = await readJob(client, namespace, name, signal);
  if (!job) {
    try {
      return await client.create<Job>(JOBS, namespace, manifest, { signal });
    } catch (error) {
      if (!(error instanceof KubeError) || error.reason !== 'AlreadyExists') throw error;
      job = await readJob(client, namespace, name, signal);
    }
  }
  return job?.metadata.annotations?.[RUN_ANNOTATION] === annotations[RUN_ANNOTATION] ? job : null;
}

/** Jobs with all of these labels. Throws KubeError. */
export async function listJobs(
  client: KubeClient,
  namespace: string,
  labels: Record<string, string>,
  signal?: AbortSignal,
): Promise<Job[]> {
  const labelSelector = Object.entries(labels)
    .map(([name, value]) => `${name}=${value}`)
    .join(',');
  return (await client.list<Job>(JOBS, namespace, { labelSelector, signal })).items;
}

/** The pods that a Job controls, also those that have ended. Throws KubeError. */
export async function podsOf(client: KubeClient, job: Job, signal?: AbortSignal): Promise<Pod[]> {
  const { namespace, uid } = job.metadata;
  const { items } = await client.list<Pod>(PODS, namespace, { labelSelector: selectorOf(job), signal });
  return items.filter((pod) => controllerOf(pod) === uid);
}

/** Deletes a Job with its pods; with `wait` it returns when they are gone. Throws KubeError. */
export async function deleteJob(
  client: KubeClient,
  job: Job,
  { wait = false, signal }: { wait?: boolean; signal?: AbortSignal | undefined } = {},
): Promise<void> {
  try {
    await client.delete(JOBS, job, { propagation: wait ? 'Foreground' : 'Background', signal });
  } catch (error) {
    if (!(error instanceof KubeError) || error.status !== 404) throw error;
  }
  const until = performance.now() + GONE_WITHIN_MS;
  while (wait && (await podsOf(client, job, signal)).length > 0) {
    if (performance.now() > until) {
      const message = `pods of Job ${job.metadata.namespace}/${job.metadata.name} do not go`;
      throw new KubeError({ status: 0, reason: 'Timeout', message, retryable: true });
    }
    await sleep(500, undefined, signal ? { signal } : {});
  }
}

interface JobState {
  /** `null`: it is gone. */
  job: Job | null;
  pods: readonly Pod[];
}

/** Live copies of one Job and its pods. */
export class JobWatch {
  readonly #jobs: ListWatch<Job>;
  readonly #pods: ListWatch<Pod>;
  readonly #uid: string;
  #changed = Promise.withResolvers<void>();

  constructor(client: KubeClient, job: Job) {
    const { namespace, uid } = job.metadata;
    const onChange = () => this.#changed.resolve();
    this.#uid = uid;
    const common = { client, namespace, onChange, labelSelector: selectorOf(job) };
    this.#jobs = new ListWatch<Job>({ ...common, resource: JOBS });
    this.#pods = new ListWatch<Pod>({ ...common, resource: PODS });
  }

  /** Resolves after the first lists. Throws KubeError when reading is forbidden. */
  async synced(): Promise<void> {
    await Promise.all([this.#jobs.synced, this.#pods.synced]);
  }

  get state(): JobState {
    const pods = [...this.#pods.items.values()].filter((pod) => controllerOf(pod) === this.#uid);
    return { job: this.#jobs.items.get(this.#uid) ?? null, pods };
  }

  /** Waits for a change, at most `ms`. */
  async next(ms: number): Promise<void> {
    const timer = setTimeout(this.#changed.resolve, ms);
    await this.#changed.promise;
    clearTimeout(timer);
    this.#changed = Promise.withResolvers();
  }

  stop(): void {
    this.#jobs.stop();
    this.#pods.stop();
  }
}

function logPath(pod: Pod): string {
  return `${pathOf(PODS, pod.metadata.namespace, pod.metadata.name)}/log`;
}

/** What the container has printed so far; at most its last lines when `tailLines` is given. Throws KubeError. */
export async function readLog(
  client: KubeClient,
  pod: Pod,
  { tailLines, signal }: { tailLines?: number; signal?: AbortSignal | undefined } = {},
): Promise<string> {
  const query = { container: JOB_CONTAINER, limitBytes: LOG_LIMIT_BYTES, tailLines };
  return await readAll(await client.stream(logPath(pod), { query, signal }), LOG_TIMEOUT_MS);
}

/**
 * Follows the container's log from its beginning until stopped. A stream that breaks is opened again, and begins with
 * `onOpen`; that a log cannot be read disturbs nobody, for nothing is decided by it.
 */
export async function followLog(
  client: KubeClient,
  pod: Pod,
  { onOpen, onLine, signal }: { onOpen: () => void; onLine: (line: string) => void; signal: AbortSignal },
): Promise<void> {
  while (!signal.aborted) {
    try {
      const query = { container: JOB_CONTAINER, follow: true };
      const response = await client.stream(logPath(pod), { query, signal });
      onOpen();
      for await (const line of readLines(response)) onLine(line);
    } catch {
      // Opened again below.
    }
    await sleep(REOPEN_MS, undefined, { signal, ref: false }).catch(() => undefined);
  }
}
