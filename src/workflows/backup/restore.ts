/** The story of a restore: look, ask, back up, restore beside what is there, compare, swap. */
import {
  ActivityFailure,
  allHandlersFinished,
  ApplicationFailure,
  CancellationScope,
  condition,
  executeChild,
  isCancellation,
  ParentClosePolicy,
  setCurrentDetails,
  setHandler,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow';
import type { InspectInput, RestoreWork } from '../../activities/backup/types.ts';
import { BACKUP_FAILURE } from '../../domain/backup/failures.ts';
import { BACKUP_WORKFLOW, beforeRestoreId } from '../../domain/backup/names.ts';
import type { RestoreInput, RestoreStatus } from '../../domain/backup/restore.types.ts';
import { restoreDetails } from '../../domain/backup/view.ts';
import { decisionRefusal, RestoreRun } from '../../domain/backup/restore-run.ts';
import { milliseconds } from '../../specs/duration.ts';
import { haul, quick, tidy } from './activities.ts';
import type { backup } from './backup.ts';
import * as messages from './messages.ts';
import { failureText } from '../failure-text.ts';
import { keepShowing, PHASE } from '../showing.ts';
import { refused } from '../refusal.ts';
import { holdingSource } from './source-lock.ts';
import { happens } from '../waiting.ts';

const LOCK_PATIENCE = 12 * 3_600_000;
/** A hold that nobody releases ends by itself after this time: longer than the longest restore. */
const HOLD = 4 * 24 * 3_600_000;

/** Brings data back. Ends planned, restored or rejected; fails when documents are missing or refused. */
export async function restoreData(input: RestoreInput): Promise<RestoreStatus> {
  const { workflowId, runId } = workflowInfo();
  const run = new RestoreRun(input, workflowId, runId, Date.now());
  listen(run);
  void CancellationScope.nonCancellable(() => keepShowing(run, () => publish(run))).catch(() => undefined);
  try {
    await story(run);
  } catch (error) {
    if (!run.outcome) {
      const cancelled = isCancellation(error);
      const reason = cancelled ? 'cancelled by a person' : failureText(error);
      run.finish(cancelled ? 'cancelled' : 'failed', reason, Date.now(), failedThings(error));
    }
    if (isCancellation(error)) {
      publish(run);
      throw error;
    }
  }
  publish(run);
  await CancellationScope.nonCancellable(() => condition(allHandlersFinished, '1m'));
  if (run.outcome !== 'failed') return run.status();
  throw ApplicationFailure.create({
    message: run.reason ?? 'failed',
    type: BACKUP_FAILURE.restoreFailed,
    nonRetryable: true,
    details: [run.status()],
  });
}

async function story(run: RestoreRun): Promise<void> {
  const { input } = run;
  const asked: InspectInput = { origin: input.origin, target: input.target, selection: input.selection };
  run.enter('inspecting', 'reads the archive and the target', Date.now());
  // It reads the whole archive, which may take hours.
  const plan = await haul.inspectRestore.executeWithOptions({ summary: 'what would it do' }, [asked]);
  run.planned(plan, Date.now());
  if (input.dryRun) return run.finish('planned', null, Date.now());
  const claim = { origin: input.origin, archive: plan.archive, claimant: `${run.id}/${run.run}` };
  const until = new Date(Date.now() + HOLD + milliseconds(input.approvalExpires)).toISOString();
  await quick.holdArchive.executeWithOptions({ summary: 'keep retention away from the archive' }, [
    { ...claim, until },
  ]);
  try {
    if (run.needsApproval && !(await approval(run))) return;
    const { key } = await quick.identifySource.executeWithOptions({ summary: 'which server is it' }, [
      input.target,
    ]);
    const onWait = () => run.enter('waiting', 'waits for a backup or restore of this source', Date.now());
    await holdingSource(key, { patience: LOCK_PATIENCE, onWait }, () =>
      replace(run, { ...asked, ...claim, replace: plan.replaced > 0 }),
    );
  } finally {
    // A hold that stays ends by itself.
    await CancellationScope.nonCancellable(() => tidy.releaseArchive(claim).catch(() => undefined));
  }
}

/** Answers whether people said yes; otherwise the run is finished. */
async function approval(run: RestoreRun): Promise<boolean> {
  const { approvalExpires } = run.input;
  const wait = milliseconds(approvalExpires);
  run.ask(Date.now() + wait, Date.now());
  await happens(() => run.approval !== null || run.rejection !== null, wait, 'the approval expires');
  if (run.approval) return true;
  const reason = run.rejection
    ? `${run.rejection.by} rejected it: ${run.rejection.why}`
    : `nobody approved it within ${approvalExpires}`;
  run.finish('rejected', reason, Date.now());
  return false;
}

async function replace(run: RestoreRun, work: RestoreWork): Promise<void> {
  if (work.replace) await backUpBefore(run);
  run.enter('restoring', 'verifies the archive, restores beside what is there, compares, swaps', Date.now());
  try {
    run.done(await haul.restore.executeWithOptions({ summary: 'restore and compare' }, [work]), Date.now());
  } catch (error) {
    await CancellationScope.nonCancellable(async () => {
      await tidy.discardRestore
        .executeWithOptions({ summary: 'drop what is unfinished' }, [work])
        .catch((left: unknown) => {
          run.note(`staging collections are left: ${failureText(left)}`, Date.now());
        });
    });
    throw error;
  }
  run.finish('restored', null, Date.now());
}

/** What is about to be replaced is backed up first; without that nothing is replaced. */
async function backUpBefore(run: RestoreRun): Promise<void> {
  const policy = run.input.backupBefore;
  if (!policy) return;
  run.enter(
    'backing-up',
    `backs up by policy ${policy.metadata.name} before anything is replaced`,
    Date.now(),
  );
  const { result } = await executeChild<typeof backup>(BACKUP_WORKFLOW.backup, {
    workflowId: beforeRestoreId(run.id),
    parentClosePolicy: ParentClosePolicy.REQUEST_CANCEL,
    args: [{ policy, trigger: 'before-restore', starter: run.input.starter, locked: true }],
    staticSummary: `backup of ${policy.metadata.name} before ${run.id}`,
  });
  run.backupBefore = result?.id ?? null;
  run.note(`${result?.archive ?? 'nothing'} holds what was there before`, Date.now());
}

/** The documents and namespaces that an activity failed with, if it says which. */
function failedThings(error: unknown): string[] {
  const cause = error instanceof ActivityFailure ? error.cause : error;
  const [first] = cause instanceof ApplicationFailure ? (cause.details ?? []) : [];
  return Array.isArray(first) ? first.map(String) : [];
}

function listen(run: RestoreRun): void {
  setHandler(messages.restoreStatus, () => run.status(), { description: 'Where the restore is, as JSON' });
  const validator = (command: unknown) => {
    const sentence = decisionRefusal(run, command);
    if (sentence) throw refused(sentence, BACKUP_FAILURE.refused);
  };
  setHandler(
    messages.approveRestore,
    (command) => {
      run.approved(command, Date.now());
      return run.status();
    },
    { validator, description: 'Let the restore replace data: {"plan": "…", "by": "you", "why": "note"}' },
  );
  setHandler(
    messages.rejectRestore,
    (command) => {
      run.rejected(command, Date.now());
      return run.status();
    },
    {
      validator,
      description: 'End the restore, nothing is touched: {"plan": "…", "by": "you", "why": "note"}',
    },
  );
}

function publish(run: RestoreRun): void {
  setCurrentDetails(restoreDetails(run.status()));
  if (workflowInfo().typedSearchAttributes.get(PHASE) !== run.phase) {
    upsertSearchAttributes([{ key: PHASE, value: run.phase }]);
  }
}
