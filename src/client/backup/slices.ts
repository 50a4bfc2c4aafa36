/** Commands to the workflow that stores slices of the oplog: it follows its policy, and rests while that is paused. */
import { WorkflowNotFoundError } from '@temporalio/common';
import { BACKUP_WORKFLOW, slicesId } from '../../domain/backup/names.ts';
import { TASK_QUEUE } from '../../domain/names.ts';
import type { Rest, SlicesInput, SlicesStatus } from '../../domain/point-in-time/types.ts';
import type { BackupPolicy } from '../../specs/backup.types.ts';
import { type Api, SERVER_MS } from '../api.ts';
import { type RunView, viewRun } from './run-view.ts';
import { PHASE, POLICY } from './schedule-spec.ts';
import { SlipwayError } from '../errors.ts';

/** Starts it, changes it or stops it, as the policy says. Needs no worker. */
export async function applySlices(
  api: Api,
  policy: BackupPolicy,
  paused: Rest | null,
  by: string,
): Promise<void> {
  const { name } = policy.metadata;
  if (!policy.spec.pointInTime) return await stopSlices(api, name, by);
  const input: SlicesInput = { policy, paused, carried: null };
  await api.call(SERVER_MS, () =>
    api.client.workflow.signalWithStart(BACKUP_WORKFLOW.slices, {
      workflowId: slicesId(name),
      taskQueue: TASK_QUEUE,
      args: [input],
      signal: 'apply',
      signalArgs: [{ policy }],
      staticSummary: `slices of the oplog for ${name}`,
      typedSearchAttributes: [
        { key: POLICY, value: name },
        { key: PHASE, value: paused ? 'paused' : 'running' },
      ],
    }),
  );
}

/** Ends it; its slices stay. One that does not run is no error. */
export async function stopSlices(api: Api, policy: string, by: string): Promise<void> {
  await signal(api, policy, 'stop', { by });
}

/** Lets it rest once the slice under way is stored. One that does not run is no error. */
export async function pauseSlices(api: Api, policy: string, rest: Rest): Promise<void> {
  await signal(api, policy, 'pause', rest);
}

/** Ends a rest. One that does not run is no error. */
export async function resumeSlices(api: Api, policy: string, by: string): Promise<void> {
  await signal(api, policy, 'resume', { by });
}

async function signal(api: Api, policy: string, name: string, content: object): Promise<void> {
  await api.call(SERVER_MS, async () => {
    try {
      await api.client.workflow.getHandle(slicesId(policy)).signal(name, content);
    } catch (error) {
      if (!(error instanceof WorkflowNotFoundError)) throw error;
    }
  });
}

/** Where it is; `null` when it was never started. */
export async function viewSlices(api: Api, policy: string): Promise<RunView<SlicesStatus> | null> {
  try {
    return await viewRun<SlicesStatus>(api, { id: slicesId(policy) });
  } catch (error) {
    if (error instanceof SlipwayError && error.code === 'no-run') return null;
    throw error;
  }
}
