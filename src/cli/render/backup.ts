/** Backups, restores and drills in a terminal. */
import type { RunView } from '../../client/backup.ts';
import type { DrillStatus } from '../../domain/backup/drill.types.ts';
import type { RestorePlan, RestoreStatus } from '../../domain/backup/restore.types.ts';
import type { BackupStatus } from '../../domain/backup/types.ts';
import { bytesText, counted, durationText } from '../../domain/amounts.ts';
import { beforeText, plannedDocuments, plannedTarget } from '../../domain/backup/restore-view.ts';
import { stamp, table } from './text.ts';

const SHOWN_NAMESPACES = 50;

type AnyStatus = BackupStatus | RestoreStatus | DrillStatus;

const NO_WORKER = 'no worker answers; is slipway worker running?';

/** `dumping shop.orders: 1.2 GB of 4.8 GB (25 %), 95 MB/s, 40 s left; 3 of 12 namespaces`. */
export function progressText({ progress, retrying, status, waitsFor }: RunView<AnyStatus>): string {
  const again = retrying ? `attempt ${retrying.attempt}, because: ${whyText(retrying.why)}` : '';
  if (waitsFor.length > 0)
    return `waits for ${waitsFor.join(', ')}; slipway backup watch or cancel ${waitsFor[0]}`;
  // What has a timeline has said its phase.
  if (!progress) return again || (status === null ? NO_WORKER : 'timeline' in status ? '' : status.phase);
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
  const speed = rate > 0 ? `, ${bytesText(rate)}/s` : '';
  // Indexes and names have no bytes.
  const amount = bytes === 0 && totalBytes === 0 ? '' : `: ${bytesText(bytes)}${share}${speed}${left}`;
  const text = `${stage}${namespace === '' ? '' : ` ${namespace}`}${amount}${count}`;
  return again === '' ? text : `${text} (${again})`;
}

/** Temporal's words for a worker that was killed. */
function whyText(why: string): string {
  return /heartbeat timeout/i.test(why) ? 'its worker died, or hung' : why;
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
    [
      'Holds',
      `${counted(result.documents, 'document')} of ${counted(result.namespaces, 'namespace')}, ${bytesText(result.bytes)}`,
    ],
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

/** What has to be said to a person who is asked. */
export function approvalLines({ id, status }: RunView<AnyStatus>): string[] {
  if (!status || !('plan' in status) || status.phase !== 'awaiting-approval') return [];
  const { plan, deadline } = status;
  const until = deadline === null ? '' : ` until ${stamp(deadline)}, then ends and touches nothing`;
  return [
    ...(plan ? planLines(plan) : []),
    beforeText(status),
    `It waits for an approval${until}:`,
    `  slipway restore approve ${id} --why "..."`,
    `  slipway restore reject ${id} --why "..."`,
  ];
}

function restoreLines({ phase, reason, plan, result, backupBefore, failures }: RestoreStatus): string[] {
  const lines = [`Restore ${phase}${reason === null ? '' : `: ${reason}`}`];
  if (plan) lines.push(...planLines(plan));
  if (backupBefore !== null)
    lines.push(`What was there before: backup ${backupBefore}; it comes back with --backup ${backupBefore}`);
  if (result)
    lines.push(
      `${result.documents} documents of ${counted(result.namespaces, 'namespace')}, ${bytesText(result.bytes)} in ${durationText(result.ms)}`,
    );
  return [...lines, ...failures.map((text) => `Failed: ${text}`)];
}

function planLines(plan: RestorePlan): string[] {
  const lines = [
    `Archive ${plan.archive} at ${plan.location}${plan.at === null ? '' : `, data of ${stamp(plan.at)}`}`,
  ];
  const rows = plan.namespaces
    .slice(0, SHOWN_NAMESPACES)
    .map(({ from, to, kind, documents, replaces }) => [
      from === to ? from : `${from} -> ${to}`,
      plannedDocuments(kind, documents),
      plannedTarget(kind, replaces),
    ]);
  lines.push(...table([['NAMESPACE', 'DOCUMENTS', 'TARGET'], ...rows]));
  if (plan.total > rows.length) lines.push(`and ${plan.total - rows.length} more`);
  lines.push(...plan.notes.map((note) => `Note: ${note}`));
  return lines;
}
