/** Starting backups, restores and drills, finding those that run, and speaking to them. */
import { WorkflowUpdateFailedError } from '@temporalio/client';
import { WorkflowExecutionAlreadyStartedError, WorkflowNotFoundError } from '@temporalio/common';
import { BACKUP_WORKFLOW, backupScheduleId } from '../../domain/backup/names.ts';
import { TASK_QUEUE } from '../../domain/names.ts';
import { type Api, SERVER_MS, UPDATE_MS } from '../api.ts';
import { isTransient, messageOf, plainError } from '../connection.ts';
import { NoAnswer, Refused, SlipwayError } from '../errors.ts';
import { POLICY, STARTER } from './schedule-spec.ts';

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
  const of = policy === null ? '' : ` AND WorkflowId STARTS_WITH '${backupScheduleId(policy)}-'`;
  const query = `WorkflowType = '${BACKUP_WORKFLOW.backup}' AND ExecutionStatus = 'Running'${of}`;
  return await api.call(SERVER_MS, async () => {
    const found: RunRef[] = [];
    for await (const { workflowId, runId } of api.client.workflow.list({ query }))
      found.push({ id: workflowId, run: runId });
    return found;
  });
}

function notSetUp(error: unknown): SlipwayError | null {
  const text = messageOf(error);
  return /search attribute/i.test(text)
    ? new SlipwayError('not-set-up', `Temporal's namespace is not set up: ${text}; run slipway setup`, {
        cause: error,
      })
    : null;
}
