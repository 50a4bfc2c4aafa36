/** How one namespace of a restore's plan reads. */
import { counted } from '../amounts.ts';
import type { PlannedNamespace } from './restore.types.ts';

/** Documents of the archive; of a time-series it holds buckets, which are fewer than the measurements that people count. */
export function plannedDocuments(
  kind: PlannedNamespace['kind'],
  documents: PlannedNamespace['documents'],
): string {
  if (kind === 'view') return '-';
  if (documents === null) return '?';
  return kind === 'timeseries' ? counted(documents, 'bucket') : String(documents);
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
