/** Starting backups, restores and drills, finding those that run, and speaking to them. */
import { WorkflowUpdateFailedError } from '@temporalio/client';
import { WorkflowExecutionAlreadyStartedError, WorkflowNotFoundError } from '@temporalio/common';
import { BACKUP_WORKFLOW } from '../../domain/backup/names.ts';
import type { BackupStatus, BackupSummary } from '../../domain/backup/types.ts';
import { TASK_QUEUE } from '../../domain/names.ts';
import { type Api, SERVER_MS, UPDATE_MS } from '../api.ts';
import { attribute, quoted } from '../attributes.ts';
import { isTransient, messageOf, plainError } from '../connection.ts';
import { NoAnswer, Refused, SlipwayError } from '../errors.ts';
import { POLICY, STARTER } from './schedule-spec.ts';

/** Names a run of a workflow; `run: null` means the latest of its id. */
export interface RunRef {
  id: string;
  run: string | null;
}

/** What people and the index read about a run. */
interface About {
  policy: string;
  starter: string;
  summary: string;
}

/** Throws {@link SlipwayError} `refused` when a run of this id is under way, `not-set-up` without search attributes. */
export async function startRun(
  api: Api,
  type: string,
  id: string,
  input: unknown,
  about: About,
): Promise<RunRef> {
  try {
    const handle = await api.raw(SERVER_MS, () =>
      api.client.workflow.start(type, {
        workflowId: id,
        taskQueue: TASK_QUEUE,
        args: [input],
        staticSummary: about.summary,
        workflowExecutionTimeout: '10d',
        typedSearchAttributes: [
          { key: POLICY, value: about.policy },
          { key: STARTER, value: about.starter },
        ],
      }),
    );
    return { id, run: handle.firstExecutionRunId };
  } catch (error) {
    if (error instanceof WorkflowExecutionAlreadyStartedError) {
      throw new SlipwayError('refused', `${id} runs already; wait for it`, { cause: error });
    }
    throw notSetUp(error) ?? plainError(error, api.settings);
  }
}

/** Throws {@link Refused} with the sentence of the run, {@link NoAnswer}, or {@link SlipwayError} `no-run`. */
export async function updateRun<Status>(
  api: Api,
  ref: RunRef,
  name: string,
  command: object,
): Promise<Status> {
  const handle = api.client.workflow.getHandle(ref.id, ref.run ?? undefined);
  try {
    return await api.raw(UPDATE_MS, () => handle.executeUpdate<Status, [object]>(name, { args: [command] }));
  } catch (error) {
    if (error instanceof WorkflowNotFoundError)
      throw new SlipwayError('no-run', `there is no running ${ref.id}`, { cause: error });
    if (error instanceof WorkflowUpdateFailedError) {
      throw new Refused(name, error.cause?.message ?? error.message, { cause: error });
    }
    if (isTransient(error)) {
      throw new NoAnswer(
        `no worker took "${name}" in time; is \`slipway worker\` running? (${messageOf(error)})`,
        { cause: error },
      );
    }
    throw plainError(error, api.settings);
  }
}

/** Backups that run now, by policy; `null`: of all. */
export async function runningBackups(api: Api, policy: string | null): Promise<RunRef[]> {
  const of = policy === null ? '' : ` AND SlipwayPolicy = ${quoted(policy)}`;
  const query = `WorkflowType = '${BACKUP_WORKFLOW.backup}' AND ExecutionStatus = 'Running'${of}`;
  return await api.call(SERVER_MS, async () => {
    const found: RunRef[] = [];
    for await (const { workflowId, runId } of api.client.workflow.list({ query }))
      found.push({ id: workflowId, run: runId });
    return found;
  });
}

/** A backup, restore or drill as Temporal's index has it. */
export interface ListedRun {
  id: string;
  /** As Temporal has it: `RUNNING`, `COMPLETED`, `FAILED`, ... */
  execution: string;
  /** What it says of itself: `dumping`, `awaiting-approval`, `verified`, ... */
  phase: string | null;
  startedAt: string;
  /** Time of the newest verified backup that it knew of. */
  lastVerified: string | null;
}

/** Backups, restores and drills that run now, the newest first; at most `limit`. */
export async function runsUnderWay(
  api: Api,
  kinds: readonly ('backup' | 'restore' | 'drill')[],
  limit: number,
): Promise<ListedRun[]> {
  const types = kinds.map((kind) => `'${BACKUP_WORKFLOW[kind]}'`).join(', ');
  return await listed(api, `ExecutionStatus = 'Running' AND WorkflowType IN (${types})`, limit);
}

/** Backups, restores and drills of a policy, those that run first, then the newest; at most `limit`. */
export async function runsOfPolicy(api: Api, policy: string, limit: number): Promise<ListedRun[]> {
  const { backup, restore, drill } = BACKUP_WORKFLOW;
  const query = `SlipwayPolicy = ${quoted(policy)} AND WorkflowType IN ('${backup}', '${restore}', '${drill}')`;
  return await listed(api, query, limit);
}

/** Backups that the last runs of a policy ended with, the newest first. Retention may have deleted some since. */
export async function backupsTaken(api: Api, policy: string, limit: number): Promise<BackupSummary[]> {
  const query = `SlipwayPolicy = ${quoted(policy)} AND WorkflowType = '${BACKUP_WORKFLOW.backup}' AND ExecutionStatus = 'Completed'`;
  const runs = await listed(api, query, limit);
  const results = await api.call(SERVER_MS, () =>
    Promise.all(
      runs.map(({ id }) =>
        (api.client.workflow.getHandle(id).result() as Promise<BackupStatus>).catch(() => null),
      ),
    ),
  );
  return results.flatMap((status) => status?.result ?? []);
}

async function listed(api: Api, query: string, limit: number): Promise<ListedRun[]> {
  return await api.call(SERVER_MS, async () => {
    const found: ListedRun[] = [];
    for await (const each of api.client.workflow.list({ query, pageSize: limit })) {
      found.push({
        id: each.workflowId,
        execution: each.status.name,
        phase: attribute(each, 'SlipwayPhase'),
        startedAt: each.startTime.toISOString(),
        lastVerified: attribute(each, 'SlipwayLastVerified'),
      });
      if (found.length === limit) break;
    }
    return found;
  });
}

/** Runs that hold a source now: what a waiting run waits for. */
export async function lockHolders(api: Api): Promise<string[]> {
  const query = `WorkflowType = '${BACKUP_WORKFLOW.lock}' AND ExecutionStatus = 'Running'`;
  return await api.call(SERVER_MS, async () => {
    const found: string[] = [];
    for await (const { parentExecution } of api.client.workflow.list({ query }))
      if (parentExecution?.workflowId) found.push(parentExecution.workflowId);
    return found;
  });
}

/** Asks a run to stop and clean up. Throws {@link SlipwayError} `no-run`, or `refused` when it has ended. */
export async function cancelRun(api: Api, { id, run }: RunRef): Promise<void> {
  await api.call(SERVER_MS, async () => {
    const handle = api.client.workflow.getHandle(id, run ?? undefined);
    try {
      const { status } = await handle.describe();
      if (status.name !== 'RUNNING')
        throw new SlipwayError('refused', `${id} has ended already: ${status.name.toLowerCase()}`);
      await handle.cancel();
    } catch (error) {
      if (!(error instanceof WorkflowNotFoundError)) throw error;
      throw new SlipwayError('no-run', `there is no run ${id}`, { cause: error });
    }
  });
}

/** Of a schedule the SDK says it in the cause. */
export function notSetUp(error: unknown): SlipwayError | null {
  const cause = error instanceof Error ? error.cause : undefined;
  const text = [error, cause].map(messageOf).find((each) => /search attribute/i.test(each));
  return text === undefined
    ? null
    : new SlipwayError('not-set-up', `Temporal's namespace is not set up: ${text}; run slipway setup`, {
        cause: error,
      });
}
