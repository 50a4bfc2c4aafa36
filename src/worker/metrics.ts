/** One /metrics page: the process, our own gauges, and Temporal's core. */
import type { Worker } from '@temporalio/worker';
import { collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { CoreMetrics } from './runtime.ts';

const CORE_MS = 2_000;

/** `registry` may hold metrics of activities already. */
export function workerMetrics(
  workers: () => readonly Worker[],
  core: CoreMetrics,
  registry: Registry = new Registry(),
) {
  collectDefaultMetrics({ register: registry });
  const gauge = (name: string, help: string, read: (worker: Worker) => number): void => {
    new Gauge({
      name,
      help,
      labelNames: ['task_queue'],
      registers: [registry],
      collect() {
        for (const worker of workers()) this.set({ task_queue: worker.options.taskQueue }, read(worker));
      },
    });
  };
  gauge('slipway_worker_running', '1 while the worker polls its task queue.', (worker) =>
    worker.getState() === 'RUNNING' ? 1 : 0,
  );
  gauge(
    'slipway_worker_activities',
    'Activities under way.',
    (worker) => worker.getStatus().numInFlightActivities,
  );
  gauge(
    'slipway_worker_cached_workflows',
    'Workflows held in memory.',
    (worker) => worker.getStatus().numCachedWorkflows,
  );
  return {
    contentType: registry.contentType,
    /** Ours, and Core's behind it; without Core's when it does not answer. */
    async text(): Promise<string> {
      const [own, native] = await Promise.all([registry.metrics(), coreText(core)]);
      return `${own}${native}`;
    },
  };
}

async function coreText(core: CoreMetrics): Promise<string> {
  if (core === null) return '';
  try {
    const response = await fetch(core.url, { signal: AbortSignal.timeout(CORE_MS) });
    return response.ok ? `\n${await response.text()}` : '';
  } catch {
    return '';
  }
}
