/** What Temporal allows one run: a release that comes near it is hauled back while it still hears and sees. */
import { condition, workflowInfo } from '@temporalio/workflow';
import type { ReleaseRun } from '../../domain/release/run.ts';

/** Temporal ends a run at 51,200 events; so many come of a workload, or of alerts, that change without end. */
const MOST_EVENTS = 30_000;
/** Temporal takes no more than 10,000 signals for a run: after that no alert would reach it. */
const MOST_SIGNALS = 9_000;

/** Halts the release at these bounds. Runs until cancelled. */
export async function keepWithinBounds(run: ReleaseRun): Promise<void> {
  const crowded = () => workflowInfo().historyLength > MOST_EVENTS;
  const loud = () => run.signals > MOST_SIGNALS;
  await condition(() => crowded() || loud());
  const much = loud()
    ? `${MOST_SIGNALS} alerts came, which is about as many as Temporal lets one run hear`
    : `it came to ${MOST_EVENTS} events, and Temporal ends a run at 51,200`;
  run.halt(
    {
      outcome: 'rolled-back',
      reason: `more happened than one release can hold: ${much}; look for an alert or a workload that never rests`,
    },
    Date.now(),
  );
}
