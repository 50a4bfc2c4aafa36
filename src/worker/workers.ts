/** The two workers of the process: one that acts, one that only watches, so that watching never takes a slot from acting. */
import { hostname } from 'node:os';
import {
  type NativeConnection,
  Worker,
  type WorkerOptions,
  type WorkflowBundleOption,
} from '@temporalio/worker';
import { TASK_QUEUE, WATCH_TASK_QUEUE } from '../domain/names.ts';
import type { WorkerSettings } from './settings.ts';

/** After a crash an approval waits this long for the dead worker's sticky queue; the default is 10 s. */
const STICKY_TIMEOUT = '3s';
/** The SDK holds heartbeats back for up to a minute by default. */
const HEARTBEAT_THROTTLE = '2s';
/** Beyond the grace, for activities that do not heed their cancellation. */
const FORCE_MS = 5_000;

interface WorkersOptions {
  connection: NativeConnection;
  namespace: string;
  settings: WorkerSettings;
  /** The bundle, or the file that webpack starts from. */
  workflows: { workflowBundle: WorkflowBundleOption } | { workflowsPath: string };
  activities: object;
  /** Only for tests: a bug in workflow code fails the workflow instead of its task being retried for ever. */
  failOnBugs?: boolean;
}

/** All or none: when one cannot be created, the other is wound up again. */
export async function createWorkers(options: WorkersOptions): Promise<Worker[]> {
  const { connection, namespace, settings, activities } = options;
  const common: Omit<WorkerOptions, 'taskQueue'> = {
    connection,
    namespace,
    activities,
    identity: `slipway-worker ${process.pid}@${hostname()}`,
    activityTaskPollerBehavior: { type: 'autoscaling' },
  };
  const results = await Promise.allSettled([
    Worker.create({
      ...common,
      ...options.workflows,
      taskQueue: TASK_QUEUE,
      workflowTaskPollerBehavior: { type: 'autoscaling' },
      maxCachedWorkflows: settings.cachedWorkflows,
      maxConcurrentActivityTaskExecutions: settings.activities,
      stickyQueueScheduleToStartTimeout: STICKY_TIMEOUT,
      // Progress of a dump, and the cancellation of an activity, travel with heartbeats.
      maxHeartbeatThrottleInterval: HEARTBEAT_THROTTLE,
      shutdownGraceTime: settings.graceMs,
      shutdownForceTime: settings.graceMs + FORCE_MS,
      ...(options.failOnBugs ? { workflowFailureErrorTypes: { '*': ['Error'] } } : {}),
    }),
    Worker.create({
      ...common,
      taskQueue: WATCH_TASK_QUEUE,
      maxConcurrentActivityTaskExecutions: settings.watches,
      // A watch has nothing to finish: another worker takes it over at once.
      shutdownGraceTime: 0,
      shutdownForceTime: FORCE_MS,
    }),
  ]);
  const created = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  const failed = results.find((result) => result.status === 'rejected');
  if (!failed) return created;
  await Promise.all(created.map(windUp));
  throw failed.reason;
}

/** A worker that never ran holds its connection open; running it is the only way to end it. */
async function windUp(worker: Worker): Promise<void> {
  const running = worker.run();
  worker.shutdown();
  await running.catch(() => undefined);
}
