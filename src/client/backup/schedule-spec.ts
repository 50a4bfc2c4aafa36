/** From a policy to the Schedule that carries it out, in the SDK's terms. */
import {
  type CalendarSpec,
  type ScheduleOptions,
  ScheduleOverlapPolicy,
  type ScheduleSpec,
} from '@temporalio/client';
import { defineSearchAttributeKey } from '@temporalio/common';
import { BACKUP_WORKFLOW, backupScheduleId } from '../../domain/backup/names.ts';
import type { BackupInput } from '../../domain/backup/types.ts';
import { TASK_QUEUE } from '../../domain/names.ts';
import {
  type Calendar,
  catchupWindow,
  type ScheduleTimes,
  scheduleTimes,
} from '../../domain/backup/schedule.ts';
import type { BackupPolicy } from '../../specs/backup.types.ts';

/** A run that is stuck for so long is ended, so that it cannot keep the schedule from starting the next one for ever. */
const LONGEST_RUN = '3d';

export const PHASE = defineSearchAttributeKey('SlipwayPhase', 'KEYWORD');
export const POLICY = defineSearchAttributeKey('SlipwayPolicy', 'KEYWORD');
export const STARTER = defineSearchAttributeKey('SlipwayStarter', 'KEYWORD');

const MONTHS = [
  'JANUARY',
  'FEBRUARY',
  'MARCH',
  'APRIL',
  'MAY',
  'JUNE',
  'JULY',
  'AUGUST',
  'SEPTEMBER',
  'OCTOBER',
  'NOVEMBER',
  'DECEMBER',
] as const;
const DAYS = ['SUNDAY', 'MONDAY', 'TUESDAY', 'WEDNESDAY', 'THURSDAY', 'FRIDAY', 'SATURDAY'] as const;

/** The Schedule that carries a policy out. */
export function scheduleOptions(policy: BackupPolicy, now: number): ScheduleOptions {
  const { name } = policy.metadata;
  const times = scheduleTimes(policy.spec.schedule, now);
  const starter = `policy ${name}`;
  const input: BackupInput = { policy, trigger: 'schedule', starter, locked: false };
  return {
    scheduleId: backupScheduleId(name),
    spec: specOf(times),
    policies: {
      overlap: ScheduleOverlapPolicy.SKIP,
      catchupWindow: catchupWindow(times, now),
      // A failed backup is a reason to make the next one.
      pauseOnFailure: false,
    },
    action: {
      type: 'startWorkflow',
      workflowType: BACKUP_WORKFLOW.backup,
      workflowId: backupScheduleId(name),
      taskQueue: TASK_QUEUE,
      args: [input],
      workflowExecutionTimeout: LONGEST_RUN,
      staticSummary: `backup of ${name}`,
      typedSearchAttributes: [
        { key: POLICY, value: name },
        { key: PHASE, value: 'preflight' },
        { key: STARTER, value: starter },
      ],
    },
    memo: { kind: 'BackupPolicy' },
    typedSearchAttributes: [{ key: POLICY, value: name }],
  };
}

/** The SDK wants names of months and days. */
function specOf({ timezone, calendars, skip }: ScheduleTimes): ScheduleSpec {
  return { timezone, calendars: calendars.map(calendarOf), skip: skip.map(calendarOf) };
}

function calendarOf({ month, dayOfWeek, ...rest }: Calendar): CalendarSpec {
  return {
    ...rest,
    ...(month === undefined ? {} : { month: [month].flat().map((each) => named(MONTHS, each - 1)) }),
    ...(dayOfWeek === undefined ? {} : { dayOfWeek: dayOfWeek.map((each) => named(DAYS, each)) }),
  };
}

function named<Name>(names: readonly Name[], at: number): Name {
  const name = names[at];
  if (name === undefined) throw new RangeError(`there is no number ${at} among ${names.length}`);
  return name;
}
