import { describe, expect, test } from 'vitest';
import { catchupWindow, runsBetween, scheduleTimes } from '../../src/domain/backup/schedule.ts';
import { instantsOf, localTime } from '../../src/domain/backup/zoned.ts';
import { cronFields } from '../../src/specs/cron.ts';

const START = Date.parse('2026-01-01T12:00:00Z');
const DAY = 86_400_000;

/** How many runs each local day of the year 2026 has; days of the range's ends left out. */
function runsPerDay(timezone: string, at: string): number[] {
  const runs = runsBetween(scheduleTimes({ at, timezone }, START), START, START + 363 * DAY);
  const days = new Map<string, number>();
  for (let time = START + 2 * DAY; time < START + 361 * DAY; time += DAY / 4)
    days.set(dayOf(time, timezone), 0);
  for (const run of runs) {
    const day = dayOf(run, timezone);
    if (days.has(day)) days.set(day, (days.get(day) ?? 0) + 1);
  }
  return [...days.values()];
}

function dayOf(time: number, timezone: string): string {
  const { year, month, day } = localTime(time, timezone);
  return `${year}-${month}-${day}`;
}

const iso = (times: number[]) => times.map((time) => new Date(time).toISOString().slice(0, 16));
const on = (schedule: Parameters<typeof scheduleTimes>[0], from: string, to: string) =>
  iso(runsBetween(scheduleTimes(schedule, START), Date.parse(from), Date.parse(to)));

describe('the schedule', () => {
  test.each([
    ['Europe/Berlin', '02:00'],
    ['Europe/Berlin', '02:59'],
    ['America/New_York', '01:30'],
    ['America/New_York', '02:00'],
    ['Australia/Lord_Howe', '01:45'],
    ['Australia/Lord_Howe', '02:15'],
    ['America/Santiago', '23:30'],
    ['America/Santiago', '00:00'],
    ['Atlantic/Azores', '00:30'],
    ['America/Scoresbysund', '23:30'],
    ['Africa/Casablanca', '02:30'],
  ])('runs exactly once every local day of a year in %s at %s', (timezone, at) => {
    const counts = runsPerDay(timezone, at);
    expect(counts.length).toBeGreaterThan(355);
    expect(new Set(counts)).toEqual(new Set([1]));
  });

  test('in spring, when 02:00 does not exist, runs when the clocks have changed', () => {
    const berlin = { at: '02:00', timezone: 'Europe/Berlin' };
    expect(on(berlin, '2026-03-28T00:00Z', '2026-03-30T12:00Z')).toEqual([
      '2026-03-28T01:00',
      '2026-03-29T01:00',
      '2026-03-30T00:00',
    ]);
  });

  test('in autumn, when 02:00 comes twice, runs at the first minute that comes once', () => {
    const berlin = { at: '02:00', timezone: 'Europe/Berlin' };
    expect(on(berlin, '2026-10-24T12:00Z', '2026-10-26T12:00Z')).toEqual([
      '2026-10-25T02:00',
      '2026-10-26T01:00',
    ]);
  });

  test('a change of the clocks at midnight moves the run back, not into the next day', () => {
    const santiago = { at: '23:30', timezone: 'America/Santiago' };
    expect(on(santiago, '2026-04-03T12:00Z', '2026-04-06T12:00Z')).toEqual([
      '2026-04-04T02:30',
      '2026-04-05T01:59',
      '2026-04-06T03:30',
    ]);
  });

  test('a run moved onto another one of the schedule is one run', () => {
    const cron = { cron: '0 2,3 * * *', timezone: 'Europe/Berlin' };
    expect(on(cron, '2026-03-29T00:00Z', '2026-03-29T12:00Z')).toEqual(['2026-03-29T01:00']);
  });

  test('cron days combine as crontab(5) says: either matches when both are restricted', () => {
    const cron = { cron: '0 2 1 * mon', timezone: 'UTC' };
    expect(on(cron, '2026-01-31T12:00Z', '2026-02-09T12:00Z')).toEqual([
      '2026-02-01T02:00',
      '2026-02-02T02:00',
      '2026-02-09T02:00',
    ]);
  });

  test('an outage is made up for by one run, whatever the time between runs', () => {
    const window = (schedule: Parameters<typeof scheduleTimes>[0]) =>
      catchupWindow(scheduleTimes(schedule, START), START);
    expect(window({ at: '02:00', timezone: 'UTC' })).toBe(DAY - 1_000);
    expect(window({ at: '02:00', timezone: 'Europe/Berlin' })).toBe(DAY - 3_600_000 - 1_000);
    expect(window({ cron: '*/15 * * * *', timezone: 'UTC' })).toBe(15 * 60_000 - 1_000);
  });

  test('a schedule without days of its own has few exceptions to show, one of 02:00 has them for ten years', () => {
    expect(scheduleTimes({ at: '12:00', timezone: 'Europe/Berlin' }, START).calendars).toHaveLength(1);
    expect(scheduleTimes({ cron: '0 * * * *', timezone: 'Europe/Berlin' }, START).calendars).toHaveLength(1);
    expect(scheduleTimes({ at: '02:00', timezone: 'Europe/Berlin' }, START).calendars).toHaveLength(21);
  });
});

describe('local time', () => {
  test('a reading in the gap has no instant, one in the fold has two', () => {
    const at = (month: number, day: number) => ({ year: 2026, month, day, hour: 2, minute: 30, second: 0 });
    expect(instantsOf(at(3, 29), 'Europe/Berlin')).toEqual([]);
    expect(iso(instantsOf(at(10, 25), 'Europe/Berlin'))).toEqual(['2026-10-25T00:30', '2026-10-25T01:30']);
    expect(iso(instantsOf(at(6, 1), 'Europe/Berlin'))).toEqual(['2026-06-01T00:30']);
  });
});

describe('a cron expression', () => {
  test.each([
    ['* * * *', 'found 4 fields'],
    ['60 * * * *', 'found "60" as minute; allowed: 0 to 59'],
    ['0 2-1 * * *', 'as hour'],
    ['0 2 * * mo', 'as day of week'],
    ['0 2 31 2 *', 'a day that no month has'],
    ['*/0 * * * *', 'as minute'],
    ['@reboot', 'found 1 fields'],
  ])('%s is refused with a sentence', (text, sentence) => {
    expect(cronFields(text)).toContain(sentence);
  });

  test('names, ranges, steps and lists are read', () => {
    expect(cronFields('5/20 1-3,9 * jan-mar/2 1-5,7')).toEqual({
      minute: { values: [5, 25, 45], restricted: true },
      hour: { values: [1, 2, 3, 9], restricted: true },
      dayOfMonth: { values: Array.from({ length: 31 }, (_, i) => i + 1), restricted: false },
      month: { values: [1, 3], restricted: true },
      dayOfWeek: { values: [0, 1, 2, 3, 4, 5], restricted: true },
    });
  });
});
