/** What the activities of a release are told, from its state. */
import { ApplicationFailure, workflowInfo } from '@temporalio/workflow';
import type { UndoInput, WatchInput } from '../../activities/release/types.ts';
import { FAILURE } from '../../domain/failures.ts';
import { UNSEEN_DIGEST } from '../../domain/names.ts';
import { rollsFreely, strategyOf } from '../../domain/release/plan.ts';
import type { ReleaseRun } from '../../domain/release/run.ts';

/** What undoing a release takes; known once preflight has read the workload. */
export function undoInput(run: ReleaseRun): UndoInput {
  const { workload, release } = run;
  const { facts } = workload;
  if (!facts) {
    throw ApplicationFailure.nonRetryable(
      'nothing is known of the workload before preflight',
      FAILURE.needsPerson,
    );
  }
  const { workflowId, runId } = workflowInfo();
  return {
    actor: { id: workflowId, run: runId },
    target: release.metadata,
    uid: facts.uid,
    undo: facts.undo,
    images: facts.images,
  };
}

/** What to look for now. */
export function watchInput(run: ReleaseRun): WatchInput {
  const { release, workload } = run;
  const { facts, observation, unseen } = workload;
  return {
    ...undoInput(run),
    rolling: rollsFreely(release) && facts ? strategyOf(release, facts.undo.strategy) : null,
    health: workload.expect === 'restored' ? null : release.spec.guards.pods,
    settle: workload.settle,
    expect: workload.expect,
    accepted: workload.accepted,
    seen: unseen === null ? (observation?.digest ?? null) : UNSEEN_DIGEST,
  };
}
