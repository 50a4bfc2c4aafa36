/** How a restore's plan reads: what is asked for, and each namespace. */
import type { UriFrom } from '../../specs/backup.types.ts';
import { counted } from '../amounts.ts';
import { clock, escapeMarkdown } from '../page.ts';
import type { PlannedNamespace, RestoreStatus } from './restore.types.ts';

/** Documents of the archive; of a time-series it holds buckets, which are fewer than the measurements that people count. */
export function plannedDocuments(
  kind: PlannedNamespace['kind'],
  documents: PlannedNamespace['documents'],
): string {
  if (kind === 'view') return '-';
  if (documents === null) return '?';
  return kind === 'timeseries' ? counted(documents, 'bucket') : String(documents);
}

const NAMED = 3;

/** A server by where its address is kept. */
export function serverText(uriFrom: UriFrom): string {
  return 'env' in uriFrom
    ? `the server of variable ${uriFrom.env}`
    : `the server of Secret ${uriFrom.secret.namespace}/${uriFrom.secret.name}`;
}

/** What a restore asks people for: what goes, where, and how much of what was written is lost with it. */
export function askedText({ starter, into, plan }: Pick<RestoreStatus, 'starter' | 'into' | 'plan'>): string {
  if (!plan) return '';
  const names = plan.namespaces.flatMap(({ to, replaces }) => (replaces === null ? [] : [to]));
  const what =
    plan.replaced <= NAMED
      ? names.map((name) => `**${escapeMarkdown(name)}**`).join(', ')
      : `**${plan.replaced} namespaces**, the first of the list below,`;
  const by =
    plan.at === null
      ? `what ${escapeMarkdown(plan.archive)} holds. What is there now is gone then`
      : `the data of ${clock(plan.at)} UTC. What was written there since is gone then`;
  return `${escapeMarkdown(starter)} asks to replace ${what} on ${escapeMarkdown(into)} by ${by}.`;
}

/** Whether what is replaced can be had back. */
export function beforeText({ backupBy, plan }: Pick<RestoreStatus, 'backupBy' | 'plan'>): string {
  if ((plan?.replaced ?? 0) === 0) return 'Nothing is replaced.';
  return backupBy === null
    ? 'NO backup of what is there now is taken before.'
    : `A backup by policy ${backupBy} is taken before.`;
}

/** What bears the name now. */
export function plannedTarget(
  kind: PlannedNamespace['kind'],
  replaces: PlannedNamespace['replaces'],
): string {
  if (replaces === null) return 'new';
  if (kind === 'view') return 'replaces the view';
  return `replaces about ${counted(replaces, kind === 'timeseries' ? 'measurement' : 'document')}`;
}
