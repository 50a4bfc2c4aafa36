import { ActivityFailure, ChildWorkflowFailure, TimeoutFailure } from '@temporalio/workflow';

/** The innermost message of a failure: what happened, without Temporal's wrapping. */
export function failureText(error: unknown): string {
  if ((error instanceof ActivityFailure || error instanceof ChildWorkflowFailure) && error.cause) {
    return failureText(error.cause);
  }
  if (error instanceof TimeoutFailure) return error.cause ? failureText(error.cause) : 'no answer in time';
  return error instanceof Error ? error.message : String(error);
}
