/** The real worker process with activities that say which process ran them. `act` takes a second, `watch` lasts. */
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Context } from '@temporalio/activity';
import { bundleWorkflowCode, DefaultLogger } from '@temporalio/worker';
import { runMain } from '../../../src/observability/process.ts';
import { runWorker } from '../../../src/worker.ts';

const ACT_MS = 1_000;

const activities = {
  async act(): Promise<string> {
    await delay(ACT_MS);
    return `done by ${process.pid}, attempt ${Context.current().info.attempt}`;
  },
  /** Has a second left to do when the process is told to stop. */
  async actOn(): Promise<string> {
    await once(process, 'SIGTERM');
    return await activities.act();
  },
  async watch(): Promise<string> {
    const context = Context.current();
    const beat = setInterval(() => context.heartbeat(), 500);
    try {
      // The second process that gets it has seen enough.
      if (context.info.attempt > 1) return `seen by ${process.pid}`;
      return await context.cancelled;
    } finally {
      clearInterval(beat);
    }
  },
};

export type FixtureActivities = typeof activities;

if (import.meta.main) {
  await runMain(async () => {
    const workflowBundle = await bundleWorkflowCode({
      workflowsPath: fileURLToPath(new URL('./worker-workflows.ts', import.meta.url)),
      logger: new DefaultLogger('ERROR'),
    });
    await runWorker({ activities, workflowBundle, failOnBugs: true });
  });
}
