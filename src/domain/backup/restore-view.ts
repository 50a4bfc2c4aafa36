/** How one namespace of a restore's plan reads. */
import { counted } from '../amounts.ts';
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
