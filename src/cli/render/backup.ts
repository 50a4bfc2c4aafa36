/** Backups, restores and drills in a terminal. */
import type { RunView } from '../../client/backup.ts';
import type { DrillStatus } from '../../domain/backup/drill.types.ts';
import type { RestoreStatus } from '../../domain/backup/restore.types.ts';
import type { BackupStatus } from '../../domain/backup/types.ts';
import { bytesText, durationText } from '../../domain/amounts.ts';
import { table } from './text.ts';

type AnyStatus = BackupStatus | RestoreStatus | DrillStatus;

/** `dumping shop.orders: 1.2 GB of 4.8 GB (25 %), 95 MB/s, 40 s left; 3 of 12 namespaces`. */
export function progressText({ progress, retrying, status }: RunView<AnyStatus>): string {
  const again = retrying ? `attempt ${retrying.attempt}, because: ${retrying.why}` : '';
  if (!progress) return again || (status?.phase ?? 'no worker answers');
  const { stage, namespace, bytes, totalBytes, rate, namespaces, totalNamespaces, note } = progress;
  if (note !== undefined) return again === '' ? note : `${note} (${again})`;
  const share =
    totalBytes > 0
      ? ` of ${bytesText(totalBytes)} (${Math.min(100, Math.floor((bytes / totalBytes) * 100))} %)`
      : '';
  const left =
    rate > 0 && totalBytes > bytes
      ? `, ${durationText(Math.ceil((totalBytes - bytes) / rate) * 1_000)} left`
      : '';
  const count = totalNamespaces > 0 ? `; ${namespaces} of ${totalNamespaces} namespaces` : '';
  const text = `${stage}${namespace === '' ? '' : ` ${namespace}`}: ${bytesText(bytes)}${share}, ${bytesText(rate)}/s${left}${count}`;
  return again === '' ? text : `${text} (${again})`;
}

/** What is known at the end. */
export function resultLines({ id, execution, status }: RunView<AnyStatus>): string[] {
  if (!status) return [`${id}: ${execution.toLowerCase()}`];
  if ('plan' in status) return restoreLines(status);
  return 'differences' in status ? drillLines(status) : backupLines(status);
}

function backupLines({ phase, reason, result, prune, drill, problems }: BackupStatus): string[] {
  if (!result) return [`Backup ${phase}${reason === null ? '' : `: ${reason}`}`];
  const rows = [
    ['Backup', `${result.id}, ${phase}`],
    ['Archive', `${result.archive} at ${result.location}, ${bytesText(result.size)}`],
    ['Holds', `${result.documents} documents of ${result.namespaces} namespaces, ${bytesText(result.bytes)}`],
    ['Consistency', result.consistency],
    ['Took', `${durationText(result.dumpMs)}, proof ${durationText(result.proveMs)}`],
    ...(prune ? [['Retention', `kept ${prune.kept}, deleted ${prune.deleted.join(', ') || 'none'}`]] : []),
    ...(drill ? [['Drill', `${drill.phase}, restored in ${durationText(drill.restoreMs ?? 0)}`]] : []),
    ...problems.map((text) => ['Problem', text]),
  ];
  return table(rows);
}

function drillLines({
  backup,
  phase,
  into,
  restoreMs,
  documents,
  bytes,
  reason,
  differences,
}: DrillStatus): string[] {
  return table([
    ['Drill', `${backup}, ${phase}${reason === null ? '' : `: ${reason}`}`],
    ['Into', into],
    [
      'Restored',
      `${documents} documents, ${bytesText(bytes)}${restoreMs === null ? '' : ` in ${durationText(restoreMs)}`}`,
    ],
    ...differences.map((text) => ['Differs', text]),
  ]);
}

function restoreLines({ phase, reason, plan, result, backupBefore, failures }: RestoreStatus): string[] {
  const lines = [`Restore ${phase}${reason === null ? '' : `: ${reason}`}`];
  if (plan) {
    lines.push(
      `Archive ${plan.archive} at ${plan.location}${plan.at === null ? '' : `, data of ${plan.at}`}`,
    );
    const rows = plan.namespaces
      .slice(0, 50)
      .map(({ from, to, documents, replaces }) => [
        from === to ? from : `${from} -> ${to}`,
        documents === null ? '?' : String(documents),
        replaces === null ? 'new' : `replaces about ${replaces}`,
      ]);
    lines.push(...table([['NAMESPACE', 'DOCUMENTS', 'TARGET'], ...rows]));
    if (plan.total > rows.length) lines.push(`and ${plan.total - rows.length} more`);
    lines.push(...plan.notes.map((note) => `Note: ${note}`));
  }
  if (backupBefore !== null) lines.push(`What was there before: backup ${backupBefore}`);
  if (result)
    lines.push(
      `${result.documents} documents of ${result.namespaces} namespaces, ${bytesText(result.bytes)} in ${durationText(result.ms)}`,
    );
  return [...lines, ...failures.map((text) => `Failed: ${text}`)];
}
