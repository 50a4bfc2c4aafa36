/** Policies as Temporal keeps them: one Schedule each. */
import {
  type ScheduleDescription,
  type ScheduleHandle,
  ScheduleNotFoundError,
  type ScheduleSummary,
  type ScheduleUpdateOptions,
} from '@temporalio/client';
import { backupScheduleId } from '../../domain/backup/names.ts';
import type { BackupInput } from '../../domain/backup/types.ts';
import type { BackupPolicy } from '../../specs/backup.types.ts';
import { type Api, SERVER_MS } from '../api.ts';
import { SlipwayError } from '../errors.ts';
import { notSetUp } from './runs.ts';
import { scheduleOptions } from './schedule-spec.ts';

const ID_PREFIX = backupScheduleId('');

/** A policy as the list of Schedules shows it. Times are ISO 8601. */
export interface ListedPolicy {
  name: string;
  paused: boolean;
  note: string | null;
  /** The next planned run, ISO 8601. */
  next: string | null;
  /** When the last runs were started, newest first. */
  recent: { at: string; id: string }[];
}

/** A policy with its Schedule: what it says, what runs, what was missed. */
export interface DescribedPolicy extends ListedPolicy {
  policy: BackupPolicy;
  running: string[];
  missedCatchup: number;
  skippedOverlap: number;
  createdAt: string;
  updatedAt: string | null;
  nextRuns: string[];
}

/** A Schedule of such a name that holds no policy. */
export class ForeignSchedule extends SlipwayError {}

export type Applied = 'created' | 'updated' | 'unchanged';

/** Makes the Schedule what the policy says. A paused one stays paused. */
export async function applySchedule(api: Api, policy: BackupPolicy): Promise<Applied> {
  const desired = scheduleOptions(policy, Date.now());
  let same = false;
  const update = () =>
    handleOf(api, policy.metadata.name).update((now): ScheduleUpdateOptions => {
      const [input] = (now.action.args ?? []) as [BackupInput?];
      same = JSON.stringify(input?.policy) === JSON.stringify(policy);
      // Also one that says the same is written, for it says which days of the years ahead are special.
      const { scheduleId: _, memo: __, ...rest } = desired;
      return { ...rest, state: now.state } as ScheduleUpdateOptions;
    });
  return await api.call(SERVER_MS, async () => {
    try {
      await update();
      return same ? 'unchanged' : 'updated';
    } catch (error) {
      if (!(error instanceof ScheduleNotFoundError)) throw error;
    }
    try {
      await api.client.schedule.create(desired);
    } catch (error) {
      throw notSetUp(error) ?? error;
    }
    return 'created';
  });
}

/** Policies that are applied, by name. */
export async function listPolicies(api: Api): Promise<ListedPolicy[]> {
  return await api.call(SERVER_MS, async () => {
    const found: ListedPolicy[] = [];
    for await (const each of api.client.schedule.list()) {
      if (!each.scheduleId.startsWith(ID_PREFIX)) continue;
      found.push(listedOf(each.scheduleId.slice(ID_PREFIX.length), each));
    }
    return found.sort((a, b) => (a.name < b.name ? -1 : 1));
  });
}

/** Throws {@link SlipwayError} `no-policy`. */
export async function describePolicy(api: Api, name: string): Promise<DescribedPolicy> {
  return describedOf(name, await onSchedule(api, name, (handle) => handle.describe()));
}

/** Does something to the Schedule of a policy. Throws {@link SlipwayError} `no-policy`, which names those that are there. */
export async function onSchedule<T>(
  api: Api,
  name: string,
  act: (handle: ScheduleHandle) => Promise<T>,
): Promise<T> {
  return await api.call(SERVER_MS, async () => {
    try {
      return await act(handleOf(api, name));
    } catch (error) {
      if (!(error instanceof ScheduleNotFoundError)) throw error;
      const there = (await listPolicies(api)).map((each) => each.name);
      throw new SlipwayError(
        'no-policy',
        `there is no backup policy ${name}; ${there.length === 0 ? 'none is applied' : `applied are ${there.join(', ')}`}`,
      );
    }
  });
}

function handleOf(api: Api, name: string): ScheduleHandle {
  return api.client.schedule.getHandle(backupScheduleId(name));
}

function listedOf(name: string, { state, info }: Pick<ScheduleSummary, 'state' | 'info'>): ListedPolicy {
  return {
    name,
    paused: state.paused,
    note: state.note ?? null,
    next: info.nextActionTimes[0]?.toISOString() ?? null,
    recent: info.recentActions
      .map(({ scheduledAt, action }) => ({ at: scheduledAt.toISOString(), id: action.workflow.workflowId }))
      .reverse(),
  };
}

function describedOf(name: string, found: ScheduleDescription): DescribedPolicy {
  const { info } = found;
  const [input] = (found.action.args ?? []) as [BackupInput?];
  if (!input?.policy)
    throw new ForeignSchedule('failed', `schedule ${found.scheduleId} was not made by slipway backup apply`);
  return {
    ...listedOf(name, found),
    policy: input.policy,
    nextRuns: info.nextActionTimes.map((time) => time.toISOString()),
    running: info.runningActions.map(({ workflow }) => workflow.workflowId),
    missedCatchup: info.numActionsMissedCatchupWindow,
    skippedOverlap: info.numActionsSkippedOverlap,
    createdAt: info.createdAt.toISOString(),
    updatedAt: info.lastUpdatedAt?.toISOString() ?? null,
  };
}
