/** Every command that can be given to backups, restores and drills: schedules of policies, runs, decisions. */
import {
  type ScheduleDescription,
  type ScheduleHandle,
  ScheduleNotFoundError,
  type ScheduleUpdateOptions,
  WorkflowUpdateFailedError,
} from '@temporalio/client';
import { WorkflowExecutionAlreadyStartedError, WorkflowNotFoundError } from '@temporalio/common';
import {
  BACKUP_WORKFLOW,
  backupRunId,
  backupScheduleId,
  drillId,
  restoreId,
} from '../domain/backup/names.ts';
import type {
  BackupInput,
  BackupStatus,
  RestoreApproval,
  RestoreInput,
  RestoreStatus,
  ThrottleCommand,
} from '../domain/backup/types.ts';
import { TASK_QUEUE } from '../domain/names.ts';
import type { SlicesStatus } from '../domain/point-in-time/types.ts';
import type { BackupPolicy } from '../specs/backup.types.ts';
import { type Api, SERVER_MS, UPDATE_MS } from './api.ts';
import { isTransient, messageOf, plainError } from './connection.ts';
import { NoAnswer, Refused, SlipwayError } from './errors.ts';
import { POLICY, scheduleOptions, STARTER } from './schedule-spec.ts';
import { applySlices, pauseSlices, resumeSlices, stopSlices, viewSlices } from './slices.ts';
import { followRun, type RunFollow, type RunView, viewRun } from './backup-run.ts';

export type { RunFollow, RunView } from './backup-run.ts';

const ID_PREFIX = backupScheduleId('');

export interface ListedPolicy {
  name: string;
  paused: boolean;
  note: string | null;
  /** The next planned run, ISO 8601. */
  next: string | null;
  /** When the last runs were started, newest first. */
  recent: { at: string; id: string }[];
}

export interface DescribedPolicy extends ListedPolicy {
  policy: BackupPolicy;
  running: string[];
  missedCatchup: number;
  skippedOverlap: number;
  createdAt: string;
  updatedAt: string | null;
  nextRuns: string[];
}

export interface RunRef {
  id: string;
  run: string | null;
}

export class BackupClient {
  readonly #api: Api;

  constructor(api: Api) {
    this.#api = api;
  }

  /** Makes the Schedule, and the workflow that stores slices, what the policy says. Paused ones stay paused. */
  async apply(policy: BackupPolicy, by = 'slipway backup apply'): Promise<'created' | 'updated'> {
    const result = await this.#applySchedule(policy);
    const { paused, note } = await this.describe(policy.metadata.name);
    await applySlices(this.#api, policy, paused ? { by, why: note ?? 'the policy is paused' } : null, by);
    return result;
  }

  async #applySchedule(policy: BackupPolicy): Promise<'created' | 'updated'> {
    const desired = scheduleOptions(policy, Date.now());
    const handle = this.#handle(policy.metadata.name);
    const update = () =>
      handle.update((now): ScheduleUpdateOptions => {
        const { scheduleId: _, memo: __, ...rest } = desired;
        return { ...rest, state: now.state } as ScheduleUpdateOptions;
      });
    return await this.#api.call(SERVER_MS, async () => {
      try {
        await update();
        return 'updated';
      } catch (error) {
        if (!(error instanceof ScheduleNotFoundError)) throw error;
      }
      await this.#api.client.schedule.create(desired);
      return 'created';
    });
  }

  async policies(): Promise<ListedPolicy[]> {
    return await this.#api.call(SERVER_MS, async () => {
      const found: ListedPolicy[] = [];
      for await (const each of this.#api.client.schedule.list()) {
        if (!each.scheduleId.startsWith(ID_PREFIX)) continue;
        found.push({
          name: each.scheduleId.slice(ID_PREFIX.length),
          paused: each.state.paused,
          note: each.state.note ?? null,
          next: each.info.nextActionTimes[0]?.toISOString() ?? null,
          recent: each.info.recentActions
            .map(({ scheduledAt, action }) => ({
              at: scheduledAt.toISOString(),
              id: action.workflow.workflowId,
            }))
            .reverse(),
        });
      }
      return found.sort((a, b) => (a.name < b.name ? -1 : 1));
    });
  }

  /** Throws {@link SlipwayError} `no-policy`. */
  async describe(name: string): Promise<DescribedPolicy> {
    return describedOf(name, await this.#onSchedule(name, (handle) => handle.describe()));
  }

  async policy(name: string): Promise<BackupPolicy> {
    return (await this.describe(name)).policy;
  }

  async pause(name: string, by: string, why: string): Promise<void> {
    await this.#onSchedule(name, (handle) => handle.pause(`paused by ${by}: ${why}`));
    await pauseSlices(this.#api, name, { by, why });
  }

  async resume(name: string, by: string): Promise<void> {
    await this.#onSchedule(name, (handle) => handle.unpause(`resumed by ${by}`));
    // One that somebody has ended begins anew.
    await applySlices(this.#api, await this.policy(name), null, by);
    await resumeSlices(this.#api, name, by);
  }

  /** Removes the Schedule, and ends the workflow that stores slices. Backups and slices stay where they are. */
  async delete(name: string, by = 'slipway backup delete'): Promise<void> {
    await this.#onSchedule(name, (handle) => handle.delete());
    await stopSlices(this.#api, name, by);
  }

  /** Where the workflow is that stores a policy's slices of the oplog; `null` when there is none. */
  slices(name: string): Promise<RunView<SlicesStatus> | null> {
    return viewSlices(this.#api, name);
  }

  /** Starts a backup now, also of a paused policy. */
  async run(policy: BackupPolicy, starter: string): Promise<RunRef> {
    const { name } = policy.metadata;
    const input: BackupInput = { policy, trigger: 'manual', starter, locked: false };
    return await this.#start(BACKUP_WORKFLOW.backup, backupRunId(name, new Date()), input, {
      policy: name,
      starter,
      summary: `backup of ${name}, by ${starter}`,
    });
  }

  async startRestore(input: RestoreInput): Promise<RunRef> {
    const name = 'policy' in input.origin ? input.origin.policy.metadata.name : 'archive';
    return await this.#start(BACKUP_WORKFLOW.restore, restoreId(name, new Date()), input, {
      policy: name,
      starter: input.starter,
      summary: `${input.dryRun ? 'dry run of a ' : ''}restore from ${name}, by ${input.starter}`,
    });
  }

  async startDrill(policy: BackupPolicy, backup: string, starter: string): Promise<RunRef> {
    const { name } = policy.metadata;
    return await this.#start(
      BACKUP_WORKFLOW.drill,
      drillId(name, backup),
      { policy, backup, starter },
      {
        policy: name,
        starter,
        summary: `restore ${backup} of ${name} into a scratch place, by ${starter}`,
      },
    );
  }

  /** Where a backup, restore or drill is, with the progress of what moves data. Throws `no-run`. */
  view<Status>(ref: { id: string; run?: string | null }): Promise<RunView<Status>> {
    return viewRun<Status>(this.#api, ref);
  }

  /** Follows to the end, or to `timeoutMs`, or until the signal is aborted. */
  follow<Status>(ref: RunRef, options: RunFollow<Status>): Promise<RunView<Status>> {
    return followRun<Status>(this.#api, ref, options);
  }

  /** Backups that run now, by policy; `null`: of all. */
  async running(policy: string | null): Promise<RunRef[]> {
    const of = policy === null ? '' : ` AND WorkflowId STARTS_WITH '${backupScheduleId(policy)}-'`;
    const query = `WorkflowType = '${BACKUP_WORKFLOW.backup}' AND ExecutionStatus = 'Running'${of}`;
    return await this.#api.call(SERVER_MS, async () => {
      const found: RunRef[] = [];
      for await (const { workflowId, runId } of this.#api.client.workflow.list({ query }))
        found.push({ id: workflowId, run: runId });
      return found;
    });
  }

  throttle(ref: RunRef, command: ThrottleCommand): Promise<BackupStatus> {
    return this.#update(ref, 'throttle', command);
  }

  approveRestore(ref: RunRef, approval: RestoreApproval): Promise<RestoreStatus> {
    return this.#update(ref, 'approve', approval);
  }

  rejectRestore(ref: RunRef, approval: RestoreApproval): Promise<RestoreStatus> {
    return this.#update(ref, 'reject', approval);
  }

  /** Asks a run to stop and clean up. Answers before it has. */
  async cancel(ref: RunRef): Promise<void> {
    await this.#api.call(SERVER_MS, () =>
      this.#api.client.workflow.getHandle(ref.id, ref.run ?? undefined).cancel(),
    );
  }

  async #start(
    type: string,
    id: string,
    input: unknown,
    about: { policy: string; starter: string; summary: string },
  ): Promise<RunRef> {
    try {
      const handle = await this.#api.raw(SERVER_MS, () =>
        this.#api.client.workflow.start(type, {
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
      throw notSetUp(error) ?? plainError(error, this.#api.settings);
    }
  }

  async #update<Status>(ref: RunRef, name: string, command: object): Promise<Status> {
    const handle = this.#api.client.workflow.getHandle(ref.id, ref.run ?? undefined);
    try {
      return await this.#api.raw(UPDATE_MS, () =>
        handle.executeUpdate<Status, [object]>(name, { args: [command] }),
      );
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
      throw plainError(error, this.#api.settings);
    }
  }

  #handle(name: string) {
    return this.#api.client.schedule.getHandle(backupScheduleId(name));
  }

  async #onSchedule<T>(name: string, act: (handle: ScheduleHandle) => Promise<T>): Promise<T> {
    return await this.#api.call(SERVER_MS, async () => {
      try {
        return await act(this.#handle(name));
      } catch (error) {
        if (!(error instanceof ScheduleNotFoundError)) throw error;
        const there = (await this.policies()).map((each) => each.name);
        throw new SlipwayError(
          'no-policy',
          `there is no backup policy ${name}; ${there.length === 0 ? 'none is applied' : `applied are ${there.join(', ')}`}`,
        );
      }
    });
  }
}

function notSetUp(error: unknown): SlipwayError | null {
  const text = messageOf(error);
  return /search attribute/i.test(text)
    ? new SlipwayError('not-set-up', `Temporal's namespace is not set up: ${text}; run slipway setup`, {
        cause: error,
      })
    : null;
}

function describedOf(name: string, found: ScheduleDescription): DescribedPolicy {
  const [input] = (found.action.args ?? []) as [BackupInput?];
  if (!input?.policy)
    throw new SlipwayError('failed', `schedule ${found.scheduleId} was not made by slipway backup apply`);
  const nextRuns = found.info.nextActionTimes.map((time) => time.toISOString());
  return {
    name,
    policy: input.policy,
    paused: found.state.paused,
    note: found.state.note ?? null,
    next: nextRuns[0] ?? null,
    nextRuns,
    recent: found.info.recentActions
      .map(({ scheduledAt, action }) => ({ at: scheduledAt.toISOString(), id: action.workflow.workflowId }))
      .reverse(),
    running: found.info.runningActions.map(({ workflow }) => workflow.workflowId),
    missedCatchup: found.info.numActionsMissedCatchupWindow,
    skippedOverlap: found.info.numActionsSkippedOverlap,
    createdAt: found.info.createdAt.toISOString(),
    updatedAt: found.info.lastUpdatedAt?.toISOString() ?? null,
  };
}
