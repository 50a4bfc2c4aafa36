/** A dump's limit, which its workflow may be told to change while the dump runs. */
import { activityInfo, getClient } from '@temporalio/activity';
import type { Throttle } from '../../domain/backup/types.ts';
import type { TakeInput } from './types.ts';

const POLL_MS = 2_000;

/** Asks the workflow for its limit again and again, and tells of changes; gives what ends that. */
export function followThrottle(
  workflow: TakeInput['workflow'],
  changed: (mbPerSecond: number | null) => void,
): () => void {
  let known: number | null | undefined;
  const ask = async () => {
    const limit = await limitOf(workflow);
    if (limit === undefined || limit === known) return;
    known = limit;
    changed(limit);
  };
  const timer = setInterval(() => void ask(), POLL_MS);
  return () => clearInterval(timer);
}

/** Undefined when nobody answers: then the limit stays what it was, and is asked for again soon. */
async function limitOf({ id, run }: TakeInput['workflow']): Promise<number | null | undefined> {
  try {
    // An activity of a test environment has no server to ask.
    if (activityInfo().workflowExecution === undefined) return undefined;
    const limit = await getClient().workflow.getHandle(id, run).query<Throttle | null>('throttled');
    return limit?.mbPerSecond ?? null;
  } catch {
    return undefined;
  }
}
