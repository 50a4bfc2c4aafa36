/** Carries a Job of a backup to its end: watches it, tells how far it is, and says why it failed. */
import { randomBytes } from 'node:crypto';
import type { Pod } from '../domain/workload/objects.types.ts';
import { type Errand, errandJob } from '../domain/backup-job/job.ts';
import { DumpLog, isWhole } from '../domain/backup-job/log.ts';
import { type Job, type JobProblem, parting, sightOf } from '../domain/backup-job/sight.ts';
import type { TransferProgress } from '../domain/backup/types.ts';
import type { KubeClient } from '../kubernetes/client.ts';
import { deleteJob, ensureJob, followLog, JobWatch, readLog } from '../kubernetes/jobs.ts';
import type { BackupPolicy } from '../specs/backup.types.ts';

/** Patience does not depend on changes: what does not change has to be looked at, too. */
const LOOK_EVERY_MS = 1_000;
/** A short Job that waits longer for its pod to start than this is given up. */
const ERRAND_PLACED_WITHIN_MS = 180_000;

/** A Job did not do its work; the message has the container's own reason. */
export class JobFailedError extends Error {
  override name = 'JobFailedError';
  readonly problem: JobProblem;

  constructor(problem: JobProblem, message: string) {
    super(message);
    this.problem = problem;
  }
}

interface RunOptions {
  signal?: AbortSignal | undefined;
  report?: (progress: Omit<TransferProgress, 'rate'>) => void;
  placedWithinMs?: number;
}

/**
 * Watches a Job until it has ended well and gives the pod that did it (`null` when that is gone by now). Works as well
 * for a Job that another process has made. Throws JobFailedError, KubeError, or the signal's reason.
 */
export async function watchToEnd(
  client: KubeClient,
  job: Job,
  { signal, report, placedWithinMs }: RunOptions = {},
): Promise<Pod | null> {
  const { namespace, name } = job.metadata;
  const watch = new JobWatch(client, job);
  const log = new LogReader(client);
  try {
    await watch.synced();
    for (;;) {
      signal?.throwIfAborted();
      const { job: now, pods } = watch.state;
      const sight = sightOf(now, pods, client.now(), placedWithinMs);
      if (sight.state === 'complete') return sight.pod;
      if (sight.state === 'failed')
        throw new JobFailedError(sight.problem, `Job ${namespace}/${name}: ${sight.reason}`);
      if (report) {
        log.follow(sight.pod);
        report(log.progress(sight.note));
      }
      await watch.next(LOOK_EVERY_MS);
    }
  } finally {
    log.stop();
    watch.stop();
  }
}

/** Follows the log of whichever pod runs. */
class LogReader {
  readonly #client: KubeClient;
  #following: { uid: string; stop: AbortController } | null = null;
  #log = new DumpLog();

  constructor(client: KubeClient) {
    this.#client = client;
  }

  follow(pod: Pod | null): void {
    if (!pod || this.#following?.uid === pod.metadata.uid) return;
    this.stop();
    const stop = new AbortController();
    this.#following = { uid: pod.metadata.uid, stop };
    void followLog(this.#client, pod, {
      signal: stop.signal,
      onOpen: () => void (this.#log = new DumpLog()),
      onLine: (line) => this.#log.take(line),
    });
  }

  progress(note: string): Omit<TransferProgress, 'rate'> {
    return this.#log.progress(note);
  }

  stop(): void {
    this.#following?.stop.abort();
  }
}

/**
 * Runs a script in a short Job on the claim and gives what it printed. The Job is deleted whatever happens.
 * @throws JobFailedError, KubeError, or the signal's reason
 */
export async function runErrand(
  client: KubeClient,
  policy: BackupPolicy,
  errand: Errand,
  script: string,
  signal?: AbortSignal,
): Promise<string> {
  const unique = randomBytes(4).toString('hex');
  const job = await ensureJob(client, errandJob(policy, errand, script, unique, unique), signal);
  if (!job) throw new Error(`the name of a Job that was never used is taken: ${unique}`);
  try {
    const pod = await watchToEnd(client, job, { signal, placedWithinMs: ERRAND_PLACED_WITHIN_MS });
    const log = pod ? await readLog(client, pod, { signal }) : '';
    if (isWhole(log)) return log;
    throw new JobFailedError(
      'failed',
      `Job ${job.metadata.namespace}/${job.metadata.name}: its log is not whole`,
    );
  } finally {
    // Without the signal: also what was cancelled is cleaned up. What is left goes by its time to live.
    await deleteJob(client, job).catch(() => undefined);
  }
}

/** What the container of a dump left behind, from its last message or its log; `undefined` when neither has it. */
export async function resultText(
  client: KubeClient,
  pod: Pod | null,
  signal?: AbortSignal,
): Promise<string | undefined> {
  const message = parting(pod);
  if (message !== undefined && message !== '') return message;
  if (!pod) return undefined;
  const log = await readLog(client, pod, { tailLines: 50, signal }).catch(() => '');
  return /^slipway:result (.+)$/m.exec(log)?.[1];
}
