/** The way back: undo in one write, then see that stable serves at full strength. Never cancelled, never silent. */
import { ApplicationFailure } from '@temporalio/workflow';
import { FAILURE } from '../../domain/failures.ts';
import type { ReleaseRun, Stop } from '../../domain/release/run.ts';
import { back } from './activities.ts';
import { failureText } from '../failure-text.ts';
import { undoInput } from './inputs.ts';
import { look } from './watch.ts';
import { happens } from '../waiting.ts';

/** How long stable may take to be back at full strength before a person is called. */
const VERIFIED_WITHIN = 15 * 60_000;

/** Why the release ends here: what halted it, a cancellation, or what failed. */
export function stopFor(run: ReleaseRun, error: unknown, cancelled: boolean): Stop {
  if (run.stop) return run.stop;
  if (cancelled) return { outcome: 'aborted', reason: 'the workflow was cancelled' };
  return { outcome: run.begun ? 'rolled-back' : 'failed', reason: failureText(error) };
}

/** Brings stable back and proves it. Run it where nothing cancels it. */
export async function haulBack(run: ReleaseRun, stop: Stop): Promise<void> {
  run.halt(stop, Date.now());
  if (!run.begun) return run.finish(stop.outcome, `${stop.reason}; nothing had been changed`, Date.now());
  if (run.workload.gone)
    return run.finish('failed', `${stop.reason}; nothing is left to roll back`, Date.now());
  try {
    await back.rollBack.executeWithOptions({ summary: 'put the old revision back' }, [undoInput(run)]);
    run.note('the old revision is written back', Date.now());
    await verify(run);
    run.finish(stop.outcome, stop.reason, Date.now());
  } catch (error) {
    const { namespace, name } = run.release.metadata;
    const todo = `Look at the workload and run: slipway restore deployment ${namespace}/${name}`;
    run.finish(
      'failed',
      `${stop.reason}; the rollback did not come to its end: ${failureText(error)}. ${todo}`,
      Date.now(),
    );
  }
}

async function verify(run: ReleaseRun): Promise<void> {
  const since = Date.now();
  run.workload.forget();
  while (!run.workload.restored) {
    const left = since + VERIFIED_WITHIN - Date.now();
    const looking = look(run);
    looking.catch(() => {});
    const seen = run.workload.observation;
    await Promise.race([
      looking,
      happens(() => run.workload.observation !== seen, left, 'stable must be back by then'),
    ]);
    if (run.workload.gone)
      throw ApplicationFailure.nonRetryable('the workload was deleted', FAILURE.workloadGone);
    if (left <= 0)
      throw ApplicationFailure.nonRetryable(
        'stable is not back at full strength after 15 minutes',
        FAILURE.needsPerson,
      );
  }
}
