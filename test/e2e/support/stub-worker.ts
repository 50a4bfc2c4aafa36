import { fileURLToPath } from 'node:url';
import {
  bundleWorkflowCode,
  DefaultLogger,
  NativeConnection,
  Runtime,
  Worker,
  type WorkflowBundle,
} from '@temporalio/worker';
import { createQueueActivities } from '../../../src/activities/release/queue.ts';
import { TASK_QUEUE, WATCH_TASK_QUEUE } from '../../../src/domain/names.ts';

let bundle: Promise<WorkflowBundle> | null = null;

/** Runs the stub workflows until `stop`. */
export async function startStubWorker(address: string): Promise<{ stop(): Promise<void> }> {
  installQuietRuntime();
  bundle ??= bundleWorkflowCode({
    workflowsPath: fileURLToPath(new URL('./stub-workflows.ts', import.meta.url)),
    logger: new DefaultLogger('ERROR'),
  });
  const connection = await NativeConnection.connect({ address });
  const worker = await Worker.create({
    connection,
    taskQueue: TASK_QUEUE,
    workflowBundle: await bundle,
    shutdownGraceTime: '1s',
    stickyQueueScheduleToStartTimeout: '1s',
    // A bug in a stub must fail the test that meets it, not hang it.
    workflowFailureErrorTypes: { '*': ['Error'] },
  });
  const watcher = await Worker.create({
    connection,
    taskQueue: WATCH_TASK_QUEUE,
    activities: createQueueActivities(),
    shutdownGraceTime: 0,
  });
  const running = Promise.all([worker.run(), watcher.run()]);
  return {
    async stop() {
      worker.shutdown();
      watcher.shutdown();
      await running;
      await connection.close();
    },
  };
}

let installed = false;

function installQuietRuntime(): void {
  if (installed) return;
  Runtime.install({
    logger: new DefaultLogger('ERROR'),
    telemetryOptions: { logging: { forward: {}, filter: { core: 'ERROR', other: 'ERROR' } } },
  });
  installed = true;
}
