/** The helm: every write on the way to 100 %. The only place that moves pods forward. */
import {
  ActivityFailure,
  ApplicationFailure,
  CancellationScope,
  condition,
  isCancellation,
} from '@temporalio/workflow';
import { firstHold, holdFields, limitsOf, type RollingStrategy } from '../../domain/workload/canary.ts';
import { FAILURE } from '../../domain/failures.ts';
import { rollsFreely, strategyOf, targetOf } from '../../domain/release/plan.ts';
import type { ReleaseRun } from '../../domain/release/run.ts';
import { ahead } from './activities.ts';
import { undoInput, watchInput } from './inputs.ts';
import { happens } from '../waiting.ts';

/** How soon an observation should follow a write. */
const ECHO = 60_000;
/** Scalings in a row that the first write may lose against. */
const MOST_STALE_STARTS = 20;

/** First write of a release: new images and, where the aim asks for one, the hold. */
export async function begin(run: ReleaseRun): Promise<void> {
  const { workload } = run;
  const undo = undoInput(run);
  const own = strategyOf(run.release, undo.undo.strategy);
  let replicas = workload.facts?.replicas ?? 0;
  // From here on there is something to undo: the patch may land even if we never hear back.
  run.begin(Date.now());
  for (let attempt = 0; attempt < MOST_STALE_STARTS; attempt++) {
    const { result } = await ahead.begin.executeWithOptions({ summary: `first write: ${workload.aimText}` }, [
      {
        ...undo,
        replicas,
        hold: firstHoldFields(run, replicas, own),
        rolling: rollsFreely(run.release) ? own : null,
        changeCause: `${run.release.spec.reason} (${run.input.starter}, ${run.id})`,
      },
    ]);
    if (result !== 'stale') {
      run.afloat = true;
      return;
    }
    replicas = (await ahead.observe({ ...watchInput(run), seen: null })).replicas;
  }
  throw ApplicationFailure.nonRetryable('the workload is being scaled all the time', FAILURE.needsPerson);
}

function firstHoldFields(run: ReleaseRun, replicas: number, own: RollingStrategy): RollingStrategy | null {
  const { workload } = run;
  if (!workload.aim) return null;
  const limits = limitsOf(own, replicas);
  return holdFields(firstHold(targetOf(workload.aim, replicas, limits), replicas, limits), replicas, own);
}

/** Moves the hold towards the aim, one safe move after the other, also when the workload is scaled meanwhile. */
export async function keepSteering(run: ReleaseRun): Promise<void> {
  const { workload } = run;
  for (;;) {
    await condition(
      () => !run.paused && workload.expect === 'held' && workload.nextMove()?.kind === 'adjust',
    );
    const move = workload.nextMove();
    const before = workload.observation;
    if (move?.kind !== 'adjust' || !before) continue;
    const { undo, ...who } = undoInput(run);
    const hold = holdFields(move.hold, before.replicas, strategyOf(run.release, undo.strategy));
    workload.steering = true;
    try {
      const input = {
        actor: who.actor,
        target: who.target,
        uid: who.uid,
        undo,
        hold,
        replicas: before.replicas,
      };
      const summary = `move to ${workload.aimText}`;
      if (!(await whileSeen(run, () => ahead.adjust.executeWithOptions({ summary }, [input])))) continue;
      await happens(() => workload.observation !== before, ECHO, 'see the move');
    } finally {
      workload.steering = false;
    }
  }
}

/** Lets the rollout finish under the workload's own strategy. The deadline bounds the wait. */
export async function goAllTheWay(run: ReleaseRun): Promise<void> {
  const { workload } = run;
  await condition(() => !workload.steering);
  if (!run.begun) {
    workload.expect = 'rolling';
    workload.aim = null;
    await begin(run);
    await condition(() => workload.launched && !run.paused);
  }
  workload.expect = 'promoted';
  const summary = 'give the workload its own strategy back';
  while (!(await whileSeen(run, () => ahead.promote.executeWithOptions({ summary }, [undoInput(run)]))))
    await condition(() => workload.unseen === null && !run.paused);
  await condition(() => workload.launched && !run.paused);
}

/**
 * Writes, unless the workload is lost from sight before the write got through: then it is given up, since what it was
 * decided on is no longer known. Answers whether it was written.
 */
async function whileSeen(run: ReleaseRun, write: () => Promise<unknown>): Promise<boolean> {
  const { workload } = run;
  const scope = new CancellationScope();
  try {
    await scope.run(async () => {
      const writing = write();
      void condition(() => workload.unseen !== null).then(
        () => scope.cancel(),
        () => {},
      );
      // It may be on its way: nothing else is decided before it has landed or failed.
      await writing;
    });
    return true;
  } catch (error) {
    if (workload.unseen !== null && isGivenUp(error)) return false;
    throw error;
  } finally {
    scope.cancel();
  }
}

/** A write that is cancelled while its last try fails ends with what that try met, and is not tried again. */
function isGivenUp(error: unknown): boolean {
  if (isCancellation(error)) return true;
  if (!(error instanceof ActivityFailure)) return false;
  return !(error.cause instanceof ApplicationFailure && error.cause.nonRetryable);
}
