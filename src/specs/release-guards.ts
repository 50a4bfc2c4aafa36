/** What is watched during a release: alerts, the health of pods, the deadline. */
import * as z from 'zod';
import { allowed, duration, fields, flag, text, wholeNumber, yesNo } from './fields.ts';

/** Pods of a release are watched like this when `guards.pods` is `true` or absent. */
const POD_GUARD = { readyWithin: '10m', restarts: 0 };
/** Alerts that haul a release back when `guards.alerts` is absent. */
const ALERT_GUARD = { match: { severity: ['critical'] } };

const labelValue = text('a label value in text, up to 256 characters', 256);
const LABEL_VALUES = allowed('a label value, or a list of 1 to 50 of them', (found) =>
  typeof found === 'number' || typeof found === 'boolean' ? `put it in quotes: "${found}"` : undefined,
);
const match = z
  .record(
    text(
      'a label name of letters, digits and _, not beginning with a digit',
      128,
      /^[a-zA-Z_][a-zA-Z0-9_]*$/,
    ),
    z
      .union(
        [labelValue, z.array(labelValue, LABEL_VALUES).min(1, LABEL_VALUES).max(50, LABEL_VALUES)],
        LABEL_VALUES,
      )
      .transform((value) => [value].flat()),
    allowed('label names with a value or a list of values, such as { severity: [warning, critical] }'),
  )
  .refine((labels) => Object.keys(labels).length <= 20, allowed('at most 20 labels'));

const alerts = z
  .union(
    [
      fields({
        match: match.describe('Each label named must have one of its values; {} matches every alert.'),
      }),
      z.literal(false),
    ],
    allowed('a mapping with match, or false for no alerts', (found) =>
      found === true ? 'leave alerts out for the default' : yesNo(found),
    ),
  )
  .default(ALERT_GUARD)
  .transform((value) => (value === false ? null : value))
  .describe(
    'Alerts about the workload that haul the release back. Absent: those with severity critical. false: none.',
  );

const pods = z
  .union(
    [
      flag(),
      fields({
        readyWithin: duration(1_000)
          .default(POD_GUARD.readyWithin)
          .describe('A new pod must be Ready by then.'),
        restarts: wholeNumber(0, 100)
          .default(POD_GUARD.restarts)
          .describe('Container restarts a new pod may have.'),
      }),
    ],
    allowed('true, false, or a mapping with readyWithin and restarts', yesNo),
  )
  .default(true)
  .transform((value) => (value === true ? POD_GUARD : value === false ? null : value))
  .describe(
    'Health of the new pods. Absent or true: each must be Ready within 10m, without a single restart. false: not watched.',
  );

/** `spec.guards`. */
export const guards = fields({
  alerts,
  pods,
  deadline: duration(1_000)
    .default('1h')
    .describe('Time the release may take to 100 %, not counting pauses and gates.'),
})
  .prefault({})
  .describe('What is watched the whole way; a guard that fails rolls the release back.');
