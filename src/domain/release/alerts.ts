/** Which alerts are about a release, and how they read in a sentence. */
import type { Guards } from '../../specs/release.types.ts';
import type { AlertNotice } from './types.ts';

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
