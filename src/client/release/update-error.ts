import { WorkflowUpdateFailedError, WorkflowUpdateRPCTimeoutOrCancelledError } from '@temporalio/client';
import { WorkflowNotFoundError } from '@temporalio/common';
import { type Api, UPDATE_MS } from '../api.ts';
import { isTransient, plainError } from '../connection.ts';
import { NoAnswer, Refused } from '../errors.ts';
import { noneInProgress } from './view.ts';

const ENDED = /^AcceptedUpdateCompletedWorkflow$/;

/** Why an Update did not succeed, as an error of ours; asks the server once more when it was silence. */
export async function updateError(api: Api, id: string, command: string, error: unknown): Promise<Error> {
  if (error instanceof WorkflowNotFoundError) return noneInProgress(id);
  if (error instanceof WorkflowUpdateFailedError) {
    const type = (error.cause as { type?: string } | undefined)?.type ?? '';
    const message = ENDED.test(type)
      ? `the release ended before it could ${command}`
      : (error.cause?.message ?? error.message);
    return new Refused(command, message, { cause: error });
  }
  if (error instanceof WorkflowUpdateRPCTimeoutOrCancelledError || isTransient(error)) {
    // Silence of the worker or of the server? Only one of them can describe the workflow.
    try {
      await api.raw(2_000, () => api.client.workflow.getHandle(id).describe());
    } catch (second) {
      if (second instanceof WorkflowNotFoundError && command !== 'enqueue') return noneInProgress(id);
      if (!(second instanceof WorkflowNotFoundError)) return plainError(second, api.settings);
    }
    return new NoAnswer(
      `no worker took "${command}" within ${UPDATE_MS / 1_000} s; it was not carried out as far as we know. ` +
        'Is `slipway worker` running?',
      { cause: error },
    );
  }
  return plainError(error, api.settings);
}
