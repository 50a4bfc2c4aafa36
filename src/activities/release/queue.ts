/** Waiting for releases that this workflow did not start. */
import { setTimeout as delay } from 'node:timers/promises';
import { Context } from '@temporalio/activity';
import type { Client } from '@temporalio/client';
import { isGrpcServiceError, WorkflowNotFoundError } from '@temporalio/client';
import { underway } from './context.ts';
import type { QueueActivities } from './queue.types.ts';

const HEARTBEAT_MS = 3_000;
/** temporal.api.enums.v1.HistoryEventFilterType: only the event that closes the run. */
const CLOSE_EVENT = 2;
/** The server ends a long poll after 20 s; this bound is for a server that is gone. */
const POLL_MS = 30_000;
const PAUSE_MS = 1_000;
const GRPC_NOT_FOUND = 5;

/** Uses the worker's own connection. */
export function createQueueActivities(): QueueActivities {
  return {
    awaitRelease: ({ id }) =>
      underway((signal) => untilClosed(Context.current().client, id, signal), HEARTBEAT_MS),
  };
}

async function untilClosed(client: Client, id: string, signal: AbortSignal): Promise<void> {
  const run = await openRun(client, id);
  if (run === null) return;
  while (!(await closesWithin(client, id, run, signal))) {
    signal.throwIfAborted();
    // A poll may end at once, e.g. while the server starts; history must not be asked in a tight loop.
    await delay(PAUSE_MS, undefined, { signal });
  }
}

async function openRun(client: Client, id: string): Promise<string | null> {
  try {
    const info = await client.workflow.getHandle(id).describe();
    return info.status.name === 'RUNNING' ? info.runId : null;
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return null;
    throw error;
  }
}

/** One long poll: `true` when the run is closed. A cancelled activity does not wait for its end. */
async function closesWithin(client: Client, id: string, run: string, signal: AbortSignal): Promise<boolean> {
  const aborted = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
  const poll = client.connection.withDeadline(Date.now() + POLL_MS, () =>
    client.workflowService.getWorkflowExecutionHistory({
      namespace: client.options.namespace,
      execution: { workflowId: id, runId: run },
      waitNewEvent: true,
      skipArchival: true,
      historyEventFilterType: CLOSE_EVENT,
    }),
  );
  try {
    const { history } = await Promise.race([poll, aborted]);
    return (history?.events?.length ?? 0) > 0;
  } catch (error) {
    if (isGrpcServiceError(error) && error.code === GRPC_NOT_FOUND) return true;
    throw error;
  }
}
