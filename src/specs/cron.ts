/** Cron expressions of five fields, as crontab(5) reads them. Free of zod. */

/** Values that match, sorted. `restricted` is false for `*`: day of month and day of week only combine with OR when both are. */
interface CronField {
  values: number[];
  restricted: boolean;
}

/** A parsed expression; values as crontab(5) numbers them. */
export interface CronFields {
  minute: CronField;
  hour: CronField;
  dayOfMonth: CronField;
  month: CronField;
  /** 0 is Sunday. */
  dayOfWeek: CronField;
}

const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];
const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];
const SHORTHANDS: Record<string, string> = {
  '@hourly': '0 * * * *',
  '@daily': '0 0 * * *',
  '@midnight': '0 0 * * *',
  '@weekly': '0 0 * * 0',
  '@monthly': '0 0 1 * *',
  '@yearly': '0 0 1 1 *',
  '@annually': '0 0 1 1 *',
};

const FORM = [
  { name: 'minute', min: 0, max: 59, names: [], offset: 0 },
  { name: 'hour', min: 0, max: 23, names: [], offset: 0 },
  { name: 'day of month', min: 1, max: 31, names: [], offset: 0 },
  { name: 'month', min: 1, max: 12, names: MONTHS, offset: 1 },
  { name: 'day of week', min: 0, max: 7, names: DAYS, offset: 0 },
] as const;

type Form = (typeof FORM)[number];

/** The fields, or a sentence that says what is wrong. */
export function cronFields(expression: string): CronFields | string {
  const parts = (SHORTHANDS[expression.trim().toLowerCase()] ?? expression).trim().split(/\s+/);
  if (parts.length !== 5) {
    return `found ${parts.length === 1 && parts[0] === '' ? 'no' : parts.length} fields; allowed: five (minute, hour, day of month, month, day of week), such as "0 2 * * *"`;
  }
  const fields: CronField[] = [];
  for (const [i, form] of FORM.entries()) {
    const field = cronField(parts[i] ?? '', form);
    if (typeof field === 'string') return field;
    fields.push(field);
  }
  const [minute, hour, dayOfMonth, month, weekday] = fields as [
    CronField,
    CronField,
    CronField,
    CronField,
    CronField,
  ];
  const dayOfWeek = { ...weekday, values: sorted(weekday.values.map((day) => day % 7)) };
  const possible = month.values.some((m) => dayOfMonth.values.some((day) => day <= longest(m)));
  if (dayOfMonth.restricted && !dayOfWeek.restricted && !possible) return 'names a day that no month has';
  return { minute, hour, dayOfMonth, month, dayOfWeek };
}

function longest(month: number): number {
  return month === 2 ? 29 : [4, 6, 9, 11].includes(month) ? 30 : 31;
}

function cronField(text: string, form: Form): CronField | string {
  const values: number[] = [];
  for (const item of text.split(',')) {
    const range = cronRange(item, form);
    if (typeof range === 'string') return range;
    for (let value = range.from; value <= range.to; value += range.step) values.push(value);
  }
  return { values: sorted(values), restricted: !text.startsWith('*') };
}

function cronRange(item: string, form: Form): { from: number; to: number; step: number } | string {
  const wrong = `found "${item}" as ${form.name}; allowed: ${form.min} to ${form.max}${form.names.length > 0 ? ` or ${form.names[0]} to ${form.names.at(-1)}` : ''}, with * , - and /`;
  const match = /^(\*|(\w+)(?:-(\w+))?)(?:\/(\d{1,4}))?$/.exec(item);
  if (!match) return wrong;
  const [, range, first, last, every] = match;
  const step = every === undefined ? 1 : Number(every);
  if (step < 1) return wrong;
  if (range === '*') return { from: form.min, to: form.name === 'day of week' ? 6 : form.max, step };
  const from = cronValue(first ?? '', form);
  // "5/15" means from 5 on.
  const to = last === undefined ? (every === undefined ? from : form.max) : cronValue(last, form);
  if (from === undefined || to === undefined || from > to) return wrong;
  return { from, to, step };
}

function cronValue(text: string, form: Form): number | undefined {
  const named = (form.names as readonly string[]).indexOf(text.toLowerCase());
  if (named >= 0) return named + form.offset;
  const value = /^\d{1,2}$/.test(text) ? Number(text) : Number.NaN;
  return value >= form.min && value <= form.max ? value : undefined;
}

function sorted(values: number[]): number[] {
  return [...new Set(values)].sort((a, b) => a - b);
}
