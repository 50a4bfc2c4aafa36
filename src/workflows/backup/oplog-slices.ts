/**
 * Stores slices of the oplog, one after the other, for as long as a policy wants moments to be restored. It never gives up:
 * what goes wrong is shown and tried again. Where the next slice begins is not remembered here but read from the slices
 * themselves, so nothing that happens to this workflow can lose or repeat an entry.
 */
import {
  CancellationScope,
  condition,
  continueAsNew,
  isCancellation,
  setCurrentDetails,
  setHandler,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow';
import type { SlicesInput, SlicesStatus } from '../../domain/point-in-time/types.ts';
import { SlicesRun } from '../../domain/point-in-time/run.ts';
import { slicesDetails } from '../../domain/point-in-time/view.ts';
import { slicing } from './activities.ts';
import * as messages from './messages.ts';
import { failureText } from '../failure-text.ts';
import { keepShowing, PHASE } from '../showing.ts';
import { happens } from '../waiting.ts';

/** Slices of one run: about ten events each, far from the limit of a history. */
const SLICES_OF_A_RUN = 300;

/** Ends when it is told to stop, and only then. */
export async function oplogSlices(input: SlicesInput): Promise<SlicesStatus> {
  const { workflowId, runId } = workflowInfo();
  const run = new SlicesRun(input, workflowId, runId, Date.now());
  listen(run);
  void CancellationScope.nonCancellable(() => keepShowing(run, () => publish(run))).catch(() => undefined);
  for (let slices = 0; !run.stopped; slices++) {
    if (slices >= SLICES_OF_A_RUN || workflowInfo().continueAsNewSuggested)
      await continueAsNew<typeof oplogSlices>(run.carry());
    await next(run);
  }
  publish(run);
  return run.status();
}

/** One slice and the time until the next, or a rest. */
async function next(run: SlicesRun): Promise<void> {
  const { commands } = run;
  const commanded = () => run.commands !== commands;
  if (run.rests) return await condition(commanded);
  const began = Date.now();
  const more = await slice(run);
  if (more || run.stopped) return;
  await happens(commanded, run.everyMs - (Date.now() - began), 'until the next slice');
}

/** Answers whether there is more to read at once. */
async function slice(run: SlicesRun): Promise<boolean> {
  run.begin();
  try {
    const report = await slicing.sliceOplog.executeWithOptions(
      { summary: 'store what happened since the last slice' },
      [{ policy: run.policy }],
    );
    run.sliced(report, Date.now());
    return report.more;
  } catch (error) {
    if (isCancellation(error)) throw error;
    run.failed(failureText(error), Date.now());
    return false;
  }
}

function listen(run: SlicesRun): void {
  setHandler(messages.slicesStatus, () => run.status(), { description: 'Where the slices are, as JSON' });
  setHandler(messages.applySlices, ({ policy }) => run.apply(policy, Date.now()), {
    description: 'The policy was applied; sent by slipway backup apply',
  });
  setHandler(messages.pauseSlices, (rest) => run.pause(rest, Date.now()), {
    description: 'Store one more slice, then rest: {"by": "you", "why": "reason"}',
  });
  setHandler(messages.resumeSlices, ({ by }) => run.resume(by, Date.now()), {
    description: 'Store slices again: {"by": "you"}',
  });
  setHandler(messages.stopSlices, ({ by }) => run.stop(by, Date.now()), {
    description: 'End; what is stored stays: {"by": "you"}',
  });
}

function publish(run: SlicesRun): void {
  setCurrentDetails(slicesDetails(run.status()));
  if (workflowInfo().typedSearchAttributes.get(PHASE) !== run.phase)
    upsertSearchAttributes([{ key: PHASE, value: run.phase }]);
}
