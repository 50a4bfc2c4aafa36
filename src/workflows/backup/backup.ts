/** The story of a backup: it ends verified, or it fails and says why. A problem after the proof does not undo the proof. */
import { defineSearchAttributeKey, SearchAttributeType } from '@temporalio/common';
import {
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
import { BACKUP_FAILURE } from '../../domain/backup/failures.ts';
import { BACKUP_WORKFLOW, backupIdAt, drillId } from '../../domain/backup/names.ts';
import { BackupRun, drillDue, throttleRefusal } from '../../domain/backup/run.ts';
import type { BackupInput, BackupStatus, BackupSummary } from '../../domain/backup/types.ts';
import { backupDetails } from '../../domain/backup/view.ts';
import { milliseconds } from '../../specs/duration.ts';
import { haul, quick, sweeping, tidy } from './activities.ts';
import { holdingJobSource, isInCluster, takeByJob } from './job.ts';
import * as messages from './messages.ts';
import type { drill } from './drill.ts';
import { failureText } from '../failure-text.ts';
import { keepShowing, PHASE } from '../showing.ts';
import { refused } from '../refusal.ts';
import { holdingSource } from './source-lock.ts';

const LAST_VERIFIED = defineSearchAttributeKey('SlipwayLastVerified', SearchAttributeType.KEYWORD);
/** Set by the server on what a Schedule starts: the time that was planned, not the one at which a worker was there. */
const SCHEDULED = defineSearchAttributeKey('TemporalScheduledStartTime', SearchAttributeType.DATETIME);

/** Longest that a backup waits for a restore, or for another backup of the same server. */
const LOCK_PATIENCE = 6 * 3_600_000;

/** Takes, proves and keeps one backup of a policy. Fails when there is no new verified backup in the end. */
export async function backup(input: BackupInput): Promise<BackupStatus> {
  const { workflowId, runId, startTime, typedSearchAttributes } = workflowInfo();
  const scheduledAt = (typedSearchAttributes.get(SCHEDULED) ?? startTime).getTime();
  const run = new BackupRun(input, { id: workflowId, run: runId, scheduledAt }, Date.now());
  listen(run);
  void CancellationScope.nonCancellable(() => keepShowing(run, () => publish(run))).catch(() => undefined);
  try {
    await story(run);
    run.finish('verified', null, Date.now());
  } catch (error) {
    await CancellationScope.nonCancellable(() => giveUp(run, error));
    if (run.outcome === 'cancelled') {
      publish(run);
      throw error;
    }
  }
  return await end(run);
}

async function story(run: BackupRun): Promise<void> {
  const { policy, locked } = run.input;
  const take = async () => {
    await proveOne(run);
    // Before a restore is no time to delete anything.
    if (run.input.trigger !== 'before-restore') await prune(run);
  };
  let lastDrill: string | null = null;
  const prepared = async () => {
    run.enter('preflight', 'checks source and destination', Date.now());
    const found = await quick.prepareBackup.executeWithOptions(
      { summary: 'check before anything is written' },
      [{ policy }],
    );
    run.lastVerified = found.lastVerified;
    lastDrill = found.lastDrill;
    if (found.unread) run.problem(found.unread, Date.now());
    await take();
  };
  const onWait = () => run.enter('waiting', 'waits for another backup or restore of this source', Date.now());
  const options = { patience: LOCK_PATIENCE, onWait };
  if (locked) await prepared();
  else if (isInCluster(policy)) await holdingJobSource(policy, options, prepared);
  else {
    const { key } = await quick.identifySource.executeWithOptions({ summary: 'which server is it' }, [
      { uriFrom: policy.spec.source.uriFrom },
    ]);
    await holdingSource(key, options, prepared);
  }
  await drillWhenDue(run, lastDrill);
}

async function proveOne(run: BackupRun): Promise<void> {
  const { policy } = run.input;
  const { id, run: runId, scheduledAt } = run.identity;
  run.enter('dumping', 'dumps, reads back and proves', Date.now());
  const work = { policy, id: backupIdAt(new Date(scheduledAt)), workflow: { id, run: runId } };
  const result: BackupSummary = isInCluster(policy)
    ? await takeByJob(work)
    : await haul.takeBackup.executeWithOptions({ summary: 'dump, read back, prove, publish' }, [work]);
  run.proven(result, Date.now());
}

/** The backup is good whether or not old ones can be deleted. */
async function prune(run: BackupRun): Promise<void> {
  run.enter('pruning', 'applies retention', Date.now());
  try {
    const now = new Date(Date.now()).toISOString();
    run.pruned(
      await tidy.pruneBackups.executeWithOptions({ summary: 'delete what no rule keeps' }, [
        { policy: run.input.policy, now },
      ]),
      Date.now(),
    );
  } catch (error) {
    if (isCancellation(error)) throw error;
    run.problem(`retention could not be applied: ${failureText(error)}`, Date.now());
  }
}

async function drillWhenDue(run: BackupRun, lastDrill: string | null): Promise<void> {
  const { policy, trigger, starter } = run.input;
  const every = policy.spec.drill?.every;
  const { result } = run;
  if (every === undefined || !result || trigger === 'before-restore') return;
  if (!drillDue(milliseconds(every), lastDrill, Date.now())) return;
  run.enter('drilling', 'restores it into a scratch place', Date.now());
  try {
    run.drill = await executeChild<typeof drill>(BACKUP_WORKFLOW.drill, {
      workflowId: drillId(policy.metadata.name, result.id),
      parentClosePolicy: ParentClosePolicy.REQUEST_CANCEL,
      args: [{ policy, backup: result.id, starter }],
      staticSummary: `restore ${result.id} of ${policy.metadata.name} into a scratch place`,
      workflowExecutionTimeout: '48h',
    });
    run.note('the drill passed', Date.now());
  } catch (error) {
    if (isCancellation(error)) throw error;
    run.problem(`the drill failed: ${failureText(error)}`, Date.now());
  }
}

/** Runs when the story broke off, in a scope that nobody cancels. */
async function giveUp(run: BackupRun, error: unknown): Promise<void> {
  const cancelled = isCancellation(error);
  if (run.result) {
    // Proven is proven: what broke off was retention or the drill.
    run.problem(cancelled ? 'cancelled after the proof' : failureText(error), Date.now());
    run.finish('verified', null, Date.now());
    return;
  }
  try {
    const cleaning = isInCluster(run.input.policy) ? tidy : sweeping;
    await cleaning.sweepBackups.executeWithOptions({ summary: 'remove what is unfinished' }, [
      { policy: run.input.policy, workflow: { id: run.identity.id, run: run.identity.run } },
    ]);
  } catch (left) {
    run.problem(
      `what is unfinished could not be removed, the next run will: ${failureText(left)}`,
      Date.now(),
    );
  }
  run.finish(
    cancelled ? 'cancelled' : 'failed',
    cancelled ? 'cancelled by a person' : failureText(error),
    Date.now(),
  );
}

async function end(run: BackupRun): Promise<BackupStatus> {
  publish(run);
  await CancellationScope.nonCancellable(async () => {
    await record(run);
    await condition(allHandlersFinished, '1m');
  });
  const status = run.status();
  if (run.outcome === 'verified') return status;
  throw ApplicationFailure.create({
    message: run.reason ?? 'failed',
    type: BACKUP_FAILURE.backupFailed,
    nonRetryable: true,
    details: [status],
  });
}

async function record(run: BackupRun): Promise<void> {
  const { result, lastVerified, input } = run;
  const outcome = run.outcome ?? 'failed';
  await quick
    .recordBackup({ policy: input.policy.metadata.name, outcome, result, lastVerified })
    .catch(() => undefined);
}

function listen(run: BackupRun): void {
  setHandler(messages.backupStatus, () => run.status(), { description: 'Where the backup is, as JSON' });
  setHandler(messages.throttled, () => run.throttle, {
    description: 'The limit of reading that is in force',
  });
  setHandler(
    messages.throttle,
    (command) => {
      run.throttled(command, Date.now());
      return run.status();
    },
    {
      description:
        'Limit how fast the dump reads: {"mbPerSecond": 50, "by": "you"}; null takes the limit away',
      validator: (command) => {
        const sentence = throttleRefusal(run, command);
        if (sentence) throw refused(sentence, BACKUP_FAILURE.refused);
      },
    },
  );
}

/** Search attributes are written only when they change: each write is an event. */
function publish(run: BackupRun): void {
  setCurrentDetails(backupDetails(run.status()));
  const shown = workflowInfo().typedSearchAttributes;
  const pairs = [];
  if (shown.get(PHASE) !== run.phase) pairs.push({ key: PHASE, value: run.phase });
  if (run.lastVerified !== null && shown.get(LAST_VERIFIED) !== run.lastVerified) {
    pairs.push({ key: LAST_VERIFIED, value: run.lastVerified });
  }
  if (pairs.length > 0) upsertSearchAttributes(pairs);
}
