/**
 * When backups run. The Temporal server skips a local time that does not exist, and fires one that comes twice twice
 * west of Greenwich and the second time east of it (seen on server 1.32). A policy wants exactly one run a local day, so
 * on such a day its run moves to the nearest minute of that day that exists once: the first one after the change of the
 * clocks, or the last one before it when the change reaches midnight. These days are written out for years ahead.
 */
import type { BackupScheduleSpec } from '../../specs/backup.types.ts';
import { type CronFields, cronFields } from '../../specs/cron.ts';
import { instantsOf, type LocalTime, localTime, transitions, wallMillis } from './zoned.ts';

/** The part of Temporal's CalendarSpec that is used; months count from 1, Sunday is 0. */
export interface Calendar {
  year?: number;
  month?: number | number[];
  dayOfMonth?: number | number[];
  dayOfWeek?: number[];
  hour: number | number[];
  minute: number | number[];
  comment?: string;
}

/** Plain form of Temporal's ScheduleSpec. */
export interface ScheduleTimes {
  timezone: string;
  calendars: Calendar[];
  /** Local times that are left out because a calendar of its own replaces them. */
  skip: Calendar[];
}

/** Days with a change of the clocks are written out for so many years; applying the policy anew writes further ones. */
const YEARS_AHEAD = 10;

const DAY = 86_400_000;
const MINUTE = 60_000;

/** The schedule as Temporal takes it. `from`: now, in milliseconds since the epoch. */
export function scheduleTimes(schedule: BackupScheduleSpec, from: number): ScheduleTimes {
  const fields = fieldsOf(schedule);
  const times: ScheduleTimes = {
    timezone: schedule.timezone,
    calendars: regular(fields, schedule),
    skip: [],
  };
  // Every hour of the day: the hours that vanish or double are nobody's only run.
  if (fields.hour.values.length === 24) return times;
  const until = from + YEARS_AHEAD * 366 * DAY;
  const replaced = new Set<string>();
  for (const [before, after] of irregularStretches(schedule.timezone, from - 2 * DAY, until)) {
    for (const wall of plannedWalls(fields, before, after)) {
      times.skip.push(calendarAt(wall));
      const instead = regularMinute(wall, before, after);
      const calendar = calendarAt(instead, 'moved, for the clocks change');
      if (!replaced.has(JSON.stringify(calendar))) times.calendars.push(calendar);
      replaced.add(JSON.stringify(calendar));
    }
  }
  return times;
}

function fieldsOf(schedule: BackupScheduleSpec): CronFields {
  const [hour = '0', minute = '0'] = 'at' in schedule ? schedule.at.split(':') : [];
  const fields = cronFields('at' in schedule ? `${Number(minute)} ${Number(hour)} * * *` : schedule.cron);
  if (typeof fields === 'string') throw new RangeError(`schedule: ${fields}`);
  return fields;
}

/** crontab(5): when both days are restricted a match of either is enough; Temporal wants both, hence two calendars. */
function regular(fields: CronFields, schedule: BackupScheduleSpec): Calendar[] {
  const { minute, hour, month, dayOfMonth, dayOfWeek } = fields;
  const base: Calendar = {
    minute: minute.values,
    hour: hour.values,
    ...(month.restricted ? { month: month.values } : {}),
    comment: 'at' in schedule ? `every day at ${schedule.at}` : schedule.cron,
  };
  const byDate = { ...base, dayOfMonth: dayOfMonth.values };
  const byWeekday = { ...base, dayOfWeek: dayOfWeek.values };
  if (dayOfMonth.restricted && dayOfWeek.restricted) return [byDate, byWeekday];
  return [dayOfMonth.restricted ? byDate : dayOfWeek.restricted ? byWeekday : base];
}

/** Stretches of the wall clock that do not exist or come twice: `[first, end)` as readings taken for UTC. */
function* irregularStretches(timezone: string, from: number, until: number): Generator<[number, number]> {
  for (const { at, before, after } of transitions(timezone, from, until)) {
    yield [at + Math.min(before, after), at + Math.max(before, after)];
  }
}

/** Wall clock readings in `[first, end)` at which the schedule would run. */
function plannedWalls(fields: CronFields, first: number, end: number): number[] {
  const walls: number[] = [];
  for (let wall = Math.ceil(first / MINUTE) * MINUTE; wall < end; wall += MINUTE) {
    if (matches(fields, wall)) walls.push(wall);
  }
  return walls;
}

function matches({ minute, hour, month, dayOfMonth, dayOfWeek }: CronFields, wall: number): boolean {
  const time = new Date(wall);
  const date = dayOfMonth.values.includes(time.getUTCDate());
  const weekday = dayOfWeek.values.includes(time.getUTCDay());
  const day = dayOfMonth.restricted && dayOfWeek.restricted ? date || weekday : date && weekday;
  return (
    day &&
    minute.values.includes(time.getUTCMinutes()) &&
    hour.values.includes(time.getUTCHours()) &&
    month.values.includes(time.getUTCMonth() + 1)
  );
}

/** The nearest minute of the same local day outside of `[first, end)`, later ones first. */
function regularMinute(wall: number, first: number, end: number): number {
  const day = Math.floor(wall / DAY);
  if (Math.floor(end / DAY) === day) return end;
  return Math.floor((first - MINUTE) / DAY) === day ? first - MINUTE : wall;
}

function calendarAt(wall: number, comment?: string): Calendar {
  const time = new Date(wall);
  return {
    year: time.getUTCFullYear(),
    month: time.getUTCMonth() + 1,
    dayOfMonth: time.getUTCDate(),
    hour: time.getUTCHours(),
    minute: time.getUTCMinutes(),
    ...(comment === undefined ? {} : { comment }),
  };
}

/** Runs of a schedule in `from < time <= to`, ascending, in milliseconds; at most `limit`. */
export function runsBetween(times: ScheduleTimes, from: number, to: number, limit = 10_000): number[] {
  const runs: number[] = [];
  const first = wallMillis(localTime(from, times.timezone));
  for (let day = Math.floor(first / DAY) - 1; day * DAY <= to + 2 * DAY && runs.length < limit; day++) {
    for (const wall of wallsOfDay(times, day * DAY)) {
      for (const run of instantsOf(localTime(wall, 'UTC'), times.timezone)) {
        if (run > from && run <= to && runs.length < limit) runs.push(run);
      }
    }
  }
  return runs.sort((a, b) => a - b);
}

function wallsOfDay({ calendars, skip }: ScheduleTimes, midnight: number): number[] {
  const day = localTime(midnight, 'UTC');
  const walls = new Set<number>();
  const skipped = new Set(
    skip.filter((calendar) => onDay(calendar, day)).flatMap((calendar) => minutes(calendar)),
  );
  for (const calendar of calendars.filter((each) => onDay(each, day))) {
    for (const minute of minutes(calendar)) {
      if (!skipped.has(minute)) walls.add(midnight + minute * MINUTE);
    }
  }
  return [...walls].sort((a, b) => a - b);
}

function onDay(calendar: Calendar, { year, month, day }: LocalTime): boolean {
  const weekday = new Date(Date.UTC(year, month - 1, day)).getUTCDay();
  return (
    (calendar.year ?? year) === year &&
    among(calendar.month, month) &&
    among(calendar.dayOfMonth, day) &&
    among(calendar.dayOfWeek, weekday)
  );
}

function among(allowed: number | number[] | undefined, value: number): boolean {
  return allowed === undefined || (typeof allowed === 'number' ? allowed === value : allowed.includes(value));
}

function minutes({ hour, minute }: Calendar): number[] {
  return [hour].flat().flatMap((h) => [minute].flat().map((m) => h * 60 + m));
}

/**
 * How late a run that was missed is still made up for, in milliseconds: a second short of the shortest time between two
 * runs, so that after an outage of any length exactly one, the last one missed, is made up for.
 */
export function catchupWindow(times: ScheduleTimes, from: number): number {
  const runs = runsBetween(times, from, from + 370 * DAY, 1_000);
  let shortest = 7 * DAY;
  for (const [i, run] of runs.entries()) {
    const next = runs[i + 1];
    if (next !== undefined) shortest = Math.min(shortest, next - run);
  }
  // The server refuses a window of less than ten seconds.
  return Math.max(10_000, shortest - 1_000);
}
