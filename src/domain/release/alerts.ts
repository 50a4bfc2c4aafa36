/** Which alerts are about a release, and how they read in a sentence. */
import type { Guards } from '../../specs/release.types.ts';
import type { AlertNotice } from './types.ts';

/**
 * What a signal brought, made whole: the gateway's own form as it is, and what a person sent by hand with what is missing
 * left empty. `null` when it has neither a fingerprint nor labels to go by.
 */
export function alertFrom(sent: unknown): AlertNotice | null {
  if (typeof sent !== 'object' || sent === null) return null;
  const { fingerprint, labels, annotations, startsAt, status } = sent as Partial<Record<string, unknown>>;
  if (typeof fingerprint !== 'string' || typeof labels !== 'object' || labels === null) return null;
  return {
    fingerprint,
    status: status === 'resolved' ? 'resolved' : 'firing',
    labels: texts(labels),
    annotations: texts(annotations ?? {}),
    startsAt: typeof startsAt === 'string' ? startsAt : '',
  };
}

function texts(values: object): Record<string, string> {
  return Object.fromEntries(
    Object.entries(values).filter((pair): pair is [string, string] => typeof pair[1] === 'string'),
  );
}

/** Every label that the release names must be on the alert with one of the values it names. */
export function concerns(guard: Guards['alerts'], notice: AlertNotice): boolean {
  if (!guard) return false;
  return Object.entries(guard.match).every(([label, values]) => values.includes(notice.labels[label] ?? ''));
}

/** Identity of one firing: copies from repeats and from highly available peers have the same. */
export function firingKey(notice: AlertNotice): string {
  return `${notice.fingerprint}@${notice.startsAt}`;
}

/** An alert in one sentence, for a reason. */
export function describeAlert({ labels, annotations }: AlertNotice): string {
  const severity = labels['severity'] ? ` (${labels['severity']})` : '';
  const summary = annotations['summary'] ?? annotations['description'];
  return `alert ${labels['alertname'] ?? 'without a name'}${severity} fired${summary ? `: ${summary}` : ''}`;
}
