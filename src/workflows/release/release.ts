/**
 * The story of a release. State and every decision are in domain/release/run.ts; this file orders the steps, races them against
 * guards and commands, and makes sure of the way back.
 */
import {
  allHandlersFinished,
  ApplicationFailure,
  CancellationScope,
  CancelledFailure,
  condition,
  isCancellation,
  workflowInfo,
} from '@temporalio/workflow';
import { FAILURE } from '../../domain/failures.ts';
import { isReleaseInput, NO_RELEASE } from '../../domain/release/input.ts';
import type { PlannedStep, ReleaseInput, ReleaseStatus } from '../../domain/release/types.ts';
import { ReleaseRun } from '../../domain/release/run.ts';
import { statusOf } from '../../domain/release/status.ts';
import { milliseconds } from '../../specs/duration.ts';
import { ahead, back } from './activities.ts';
import { failureText } from '../failure-text.ts';
import { haulBack, stopFor } from './back.ts';
import { keepWithinBounds } from './bounds.ts';
import { begin, goAllTheWay, keepSteering } from './helm.ts';
import { undoInput } from './inputs.ts';
import { keepShowing } from '../showing.ts';
import { listen, publish } from './messages.ts';
import { keepLookout } from './watch.ts';
import { Voyage } from './voyage.ts';
import { happens, happensBefore } from '../waiting.ts';

/** Longest that a pause lasts: then somebody has forgotten it, and stable is put back. */
const LONGEST_PAUSE = 30 * 24 * 3_600_000;

/** Releases one workload. Ends with its status; fails only when nothing was done or a person is needed. */
export async function release(input: ReleaseInput): Promise<ReleaseStatus> {
  if (!isReleaseInput(input)) throw ApplicationFailure.nonRetryable(NO_RELEASE, FAILURE.notARelease);
  const { workflowId, runId } = workflowInfo();
  const run = new ReleaseRun(input, workflowId, runId, Date.now());
  listen(run);
  void CancellationScope.nonCancellable(() => keepShowing(run, () => publish(run))).catch(() => {});
  const voyage = new Voyage(run);
  try {
    await voyage.sail(() => story(run, voyage));
  } catch (error) {
    // What is cancelled while it fails may end with its failure; the scope knows better.
    const called = isCancellation(error) || CancellationScope.current().consideredCancelled;
    const cancelled = called && run.stop === null;
    if (!run.outcome)
      await CancellationScope.nonCancellable(() => haulBack(run, stopFor(run, error, cancelled)));
    if (cancelled && run.outcome !== 'failed') {
      publish(run);
      throw error;
    }
  }
  return await end(run);
}

async function story(run: ReleaseRun, voyage: Voyage): Promise<void> {
  await preflight(run);
  if (run.input.dryRun) return;
  voyage.accompany(() => keepDeadline(run));
  voyage.accompany(() => limitPauses(run));
  voyage.accompany(() => keepWithinBounds(run));
  voyage.accompany(() => keepLookout(run));
  voyage.accompany(() => keepSteering(run));
  for (let index = 0; index < (run.plan?.steps.length ?? 0); index++) {
    await unpaused(run);
    if (run.skipping && run.plan?.steps[index]?.kind !== 'promote') continue;
    await take(run, run.enter(index, Date.now()));
    run.closeStep(Date.now());
  }
  await standGuard(run);
  await sayDone(run);
}

async function preflight(run: ReleaseRun): Promise<void> {
  const { workflowId, runId } = workflowInfo();
  const { facts, findings } = await ahead.preflight.executeWithOptions(
    { summary: 'check before anything is touched' },
    [{ actor: { id: workflowId, run: runId }, release: run.release }],
  );
  run.findings = findings;
  if (facts) run.planned(facts);
  const errors = findings.filter(({ level }) => level === 'error').map(({ message }) => message);
  if (run.input.dryRun || (facts && errors.length === 0)) return;
  run.finish(
    'failed',
    `preflight refused: ${errors.join('; ') || 'the workload could not be read'}`,
    Date.now(),
  );
  throw ApplicationFailure.nonRetryable('preflight refused', FAILURE.preflightRefused);
}

async function take(run: ReleaseRun, step: PlannedStep): Promise<void> {
  switch (step.kind) {
    case 'weight':
      return await reach(run);
    case 'hold':
      await reach(run);
      run.pause('slipway', `the plan holds at ${step.at}; resume to go on`, Date.now());
      return await unpaused(run);
    case 'bake':
      return await bake(run, step.for);
    case 'gate':
      return await waitAtGate(run, step);
    case 'promote':
      return await goAllTheWay(run);
    default:
      step satisfies never;
  }
}

/** Brings the canary to the step's weight, ready. The helm moves the pods; the deadline bounds the wait. */
async function reach(run: ReleaseRun): Promise<void> {
  if (!run.begun) await begin(run);
  await condition(() => run.skipping || (run.workload.settled && !run.paused));
}

async function bake(run: ReleaseRun, span: string): Promise<void> {
  run.startBake(milliseconds(span), Date.now());
  await happensBefore(
    () => run.skipping,
    () => run.clocks.stepRemaining(Date.now()),
    `bake ${span}`,
  );
  if (run.begun) await condition(() => run.skipping || (run.workload.settled && !run.paused));
}

async function waitAtGate(run: ReleaseRun, { gate }: Extract<PlannedStep, { kind: 'gate' }>): Promise<void> {
  run.openGate(gate, Date.now());
  const open = await happensBefore(
    () => run.skipping || (run.gateOpen && !run.paused),
    () => run.clocks.stepRemaining(Date.now()),
    `gate ${gate.name} expires`,
  );
  if (open) return;
  const given = run.gate(Date.now())?.approvals.length ?? 0;
  const reason = `gate ${gate.name} expired after ${gate.expires} with ${given} of ${gate.approvals} approvals`;
  run.halt({ outcome: 'rolled-back', reason }, Date.now());
  await condition(() => false);
}

async function standGuard(run: ReleaseRun): Promise<void> {
  const span = milliseconds(run.release.spec.after.guard);
  if (span === 0) return;
  run.startGuard(span, Date.now());
  await happensBefore(
    () => false,
    () => run.clocks.stepRemaining(Date.now()),
    'guarded after 100 %',
  );
  await unpaused(run);
}

/** The release is good whether or not its record can be taken off the object: nobody rolls back for that. */
async function sayDone(run: ReleaseRun): Promise<void> {
  const guarded =
    run.release.spec.after.guard === '0s' ? '' : `, guarded for ${run.release.spec.after.guard}`;
  let left = '';
  run.workload.leaving = true;
  try {
    await back.finish.executeWithOptions({ summary: 'take the record off the workload' }, [undoInput(run)]);
  } catch (error) {
    if (isCancellation(error) || CancellationScope.current().consideredCancelled) throw error;
    left = `; its record is still on the workload: ${failureText(error)}`;
  }
  // It landed, but somebody called the release back before.
  if (CancellationScope.current().consideredCancelled) throw new CancelledFailure('called back');
  run.finish('promoted', `at 100 %${guarded}${left}`, Date.now());
}

async function unpaused(run: ReleaseRun): Promise<void> {
  await condition(() => !run.paused);
}

async function keepDeadline(run: ReleaseRun): Promise<void> {
  const { deadline } = run.release.spec.guards;
  const done = () => run.phase === 'guarding' || run.outcome !== null;
  if (await happensBefore(done, () => run.clocks.deadlineRemaining(Date.now()), `deadline ${deadline}`))
    return;
  const reason = `not at 100 % after ${deadline}${run.standstill ? `: ${run.standstill}` : ''}`;
  run.halt({ outcome: 'rolled-back', reason }, Date.now());
}

async function limitPauses(run: ReleaseRun): Promise<void> {
  for (;;) {
    await condition(() => run.paused);
    if (await happens(() => !run.paused, LONGEST_PAUSE, 'longest pause')) continue;
    run.halt({ outcome: 'rolled-back', reason: 'paused for 30 days' }, Date.now());
    return;
  }
}

async function end(run: ReleaseRun): Promise<ReleaseStatus> {
  publish(run);
  await CancellationScope.nonCancellable(() => condition(allHandlersFinished, '1m'));
  const status = statusOf(run, Date.now());
  if (run.outcome !== 'failed') return status;
  throw ApplicationFailure.create({
    message: run.reason ?? 'failed',
    type: run.begun ? FAILURE.needsPerson : FAILURE.preflightRefused,
    nonRetryable: true,
    details: [status],
  });
}
