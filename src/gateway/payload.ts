/** What Alertmanager posts (webhook version 4), checked and cut to what a release needs to know. */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { AlertNotice } from '../domain/release/types.ts';

export const LIMITS = {
  bodyBytes: 1_048_576,
  alerts: 1_000,
  labels: 64,
  /** Characters of a label's name or value. */
  label: 1_024,
  annotations: 32,
  /** Characters of an annotation that are handed on; more is cut, since it is only read by people. */
  annotation: 1_024,
} as const;

/** A refusal for whoever sent the request. */
export class BadPayload extends Error {}

const Labels = z
  .record(z.string().max(LIMITS.label), z.string().max(LIMITS.label))
  .refine((labels) => Object.keys(labels).length <= LIMITS.labels, `has more than ${LIMITS.labels} entries`);

const Alert = z.object({
  status: z.enum(['firing', 'resolved']),
  labels: Labels,
  annotations: z
    .record(z.string().max(LIMITS.label), z.string())
    .refine(
      (all) => Object.keys(all).length <= LIMITS.annotations,
      `has more than ${LIMITS.annotations} entries`,
    )
    .default({}),
  startsAt: z.iso.datetime({ offset: true }),
  fingerprint: z.string().min(1).max(128).optional(),
});

const Webhook = z.object({
  version: z.literal('4', { error: 'must be "4", the version of Alertmanager\'s webhook' }),
  alerts: z.array(Alert).max(LIMITS.alerts),
  /** Alerts of the group that `max_alerts` left out. */
  truncatedAlerts: z.number().int().nonnegative().default(0),
});

export interface Webhook {
  alerts: AlertNotice[];
  truncated: number;
}

/** Throws {@link BadPayload} with one sentence that names the field. */
export function parseWebhook(body: string): Webhook {
  let json: unknown;
  try {
    json = JSON.parse(body);
  } catch {
    throw new BadPayload('the body is not JSON');
  }
  const parsed = Webhook.safeParse(json);
  if (!parsed.success) throw new BadPayload(sentence(parsed.error));
  return { alerts: parsed.data.alerts.map(notice), truncated: parsed.data.truncatedAlerts };
}

function notice(alert: z.output<typeof Alert>): AlertNotice {
  const { status, labels, startsAt } = alert;
  const annotations = Object.fromEntries(
    Object.entries(alert.annotations).map(([name, text]) => [name, cut(text)]),
  );
  return { fingerprint: alert.fingerprint ?? fingerprintOf(labels), status, labels, annotations, startsAt };
}

/** Stands in for Alertmanager's own: the same label set gives the same text, whatever the order. */
function fingerprintOf(labels: Record<string, string>): string {
  const sorted = Object.entries(labels).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return createHash('sha256').update(JSON.stringify(sorted)).digest('hex').slice(0, 16);
}

function cut(text: string): string {
  return text.length <= LIMITS.annotation ? text : `${text.slice(0, LIMITS.annotation - 1)}…`;
}

function sentence(error: z.ZodError): string {
  const [issue] = error.issues;
  if (!issue) return 'the body is not an Alertmanager webhook';
  const path = issue.path
    .map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part).slice(0, 60)}`))
    .join('');
  return `${path === '' ? 'the body' : path.replace(/^\./, '')}: ${issue.message}`;
}
