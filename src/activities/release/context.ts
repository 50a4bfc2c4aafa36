/** What every activity here does around its work: heartbeats, cancellation, failures that Temporal understands. */
import { Context } from '@temporalio/activity';
import { failureOf } from './failure.ts';

const HEARTBEAT_MS = 1_500;

/**
 * Runs an activity's work with heartbeats. The signal is aborted when the activity is cancelled, timed out, or its
 * worker shuts down. Throws ApplicationFailure for errors of the API server, CancelledFailure when cancelled.
 */
export async function underway<T>(
  work: (signal: AbortSignal) => Promise<T>,
  everyMs = HEARTBEAT_MS,
): Promise<T> {
  const context = Context.current();
  const { cancellationSignal: signal, info } = context;
  const timer = setInterval(() => context.heartbeat(), everyMs);
  context.heartbeat();
  try {
    return await work(signal);
  } catch (error) {
    if (signal.aborted) return await context.cancelled;
    throw failureOf(error, info.attempt);
  } finally {
    clearInterval(timer);
  }
}
