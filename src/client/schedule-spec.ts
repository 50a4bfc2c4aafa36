/** From plain schedule times to the SDK's ScheduleSpec, which wants names of months and days. */
import type { CalendarSpec, ScheduleSpec } from '@temporalio/client';
import type { Calendar, ScheduleTimes } from '../domain/schedule.ts';

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

export function specOf({ timezone, calendars, skip }: ScheduleTimes): ScheduleSpec {
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
