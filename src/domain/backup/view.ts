/** How backups, restores and drills read on their pages in the Temporal UI and in a terminal. Markdown; times are UTC. */
import { bytesText, counted, durationText } from '../amounts.ts';
import { clock, escapeMarkdown, facts, json, paragraphs, type Row, titledStory } from '../page.ts';
import type { DrillStatus } from './drill.types.ts';
import type { PlannedNamespace, RestorePhase, RestoreStatus } from './restore.types.ts';
import { askedText, beforeText, plannedDocuments, plannedTarget } from './restore-view.ts';
import type { BackupPhase, BackupStatus } from './types.ts';

const SHOWN_ROWS = 20;

const BACKUP_PHASES: Record<BackupPhase, string> = {
  preflight: 'Checking source and destination',
  waiting: 'Waiting: another backup or restore of this source is running',
  dumping: 'Dumping and proving; the pending activity `takeBackup` shows how far it is',
  pruning: 'Verified; retention is at work',
  drilling: 'Verified; a drill restores it',
  verified: 'Verified',
  failed: 'Failed: there is no new backup',
  cancelled: 'Cancelled: there is no new backup',
};

/** Current details of a backup. */
export function backupDetails(status: BackupStatus): string {
  const title = `### ${BACKUP_PHASES[status.phase]}${status.problems.length > 0 ? ', with problems' : ''}`;
  const last = status.result ? null : `Newest verified backup: ${status.lastVerified ?? '**none**'}`;
  return paragraphs([
    title,
    status.reason && escapeMarkdown(status.reason),
    status.problems.map((text) => `- ${escapeMarkdown(text)}`).join('\n'),
    facts([
      ['Policy', status.policy],
      ['Planned for', clock(status.scheduledAt)],
      ['Limit', status.throttle && limitText(status.throttle)],
      ...resultRows(status),
    ]),
    last,
    status.outcome === null && status.carriedOutBy === 'worker'
      ? `To slow it down or speed it up, send the Update \`throttle\`:\n\n${json({ mbPerSecond: 50, by: 'YOUR NAME' })}`
      : null,
    titledStory(status.timeline),
  ]);
}

function limitText({ mbPerSecond, by }: NonNullable<BackupStatus['throttle']>): string {
  return mbPerSecond === null ? `none (${by})` : `${mbPerSecond} MB/s (${by})`;
}

function resultRows({ result, prune, drill }: BackupStatus): Row[] {
  if (!result) return [];
  return [
    ['Archive', `${result.archive} at ${result.location}`],
    ['Consistency', result.consistency],
    ['Holds', `${result.documents} documents of ${result.namespaces} namespaces, ${bytesText(result.bytes)}`],
    ['Size', bytesText(result.size)],
    ['SHA-256', result.sha256],
    ['Took', `${durationText(result.dumpMs)}, proof ${durationText(result.proveMs)}`],
    ['Retention', prune && `kept ${prune.kept}, deleted ${prune.deleted.length}`],
    ['Drill', drill && drillText(drill)],
  ];
}

function drillText({ phase, restoreMs, reason }: DrillStatus): string {
  if (phase === 'passed') return `passed, restored in ${durationText(restoreMs ?? 0)}`;
  return `${phase}${reason === null ? '' : `: ${reason}`}`;
}

const RESTORE_PHASES: Record<RestorePhase, string> = {
  inspecting: 'Reading the archive and the target',
  'awaiting-approval': 'Waiting for approval: data would be replaced',
  waiting: 'Waiting: another backup or restore of this source is running',
  'backing-up': 'Backing up what is there before it is replaced',
  restoring: 'Restoring; the pending activity `restore` shows how far it is',
  planned: 'Planned; nothing was touched',
  restored: 'Restored',
  rejected: 'Rejected; nothing was touched',
  failed: 'Failed',
  cancelled: 'Cancelled',
};

/** Current details of a restore. */
export function restoreDetails(status: RestoreStatus): string {
  return paragraphs([
    `### ${RESTORE_PHASES[status.phase]}`,
    status.reason && escapeMarkdown(status.reason),
    status.failures
      .slice(0, SHOWN_ROWS)
      .map((text) => `- ${escapeMarkdown(text)}`)
      .join('\n'),
    wanted(status),
    planList(status),
    status.result &&
      `${status.result.documents} documents of ${counted(status.result.namespaces, 'namespace')} (${bytesText(status.result.bytes)}) in ${durationText(status.result.ms)}`,
    status.outcome === 'restored' && status.backupBefore !== null
      ? `**To undo it:** backup ${escapeMarkdown(status.backupBefore)} holds what was there before; restore it by its name.`
      : null,
    titledStory(status.timeline),
  ]);
}

function wanted(status: RestoreStatus): string | null {
  const { phase, plan, deadline } = status;
  if (phase !== 'awaiting-approval' || !plan) return null;
  return [
    `**Wanted from you:** ${askedText(status)} ${beforeText(status)}`,
    '*More Actions* › *Send an Update* › `approve` or `reject`, with this as Data; R then shows what became of it:',
    json({ plan: plan.digest, by: 'YOUR NAME', why: 'YOUR REASON' }),
    deadline === null
      ? ''
      : `**If you do nothing:** at ${clock(deadline)} UTC it ends and nothing is touched.`,
  ].join('\n\n');
}

function planList({ plan }: RestoreStatus): string | null {
  if (!plan) return null;
  const { archive, location, at, namespaces, total, notes } = plan;
  const lines = namespaces.slice(0, SHOWN_ROWS).map(planLine);
  const rest = total - lines.length;
  return paragraphs([
    `Archive ${escapeMarkdown(archive)} at ${escapeMarkdown(location)}${at === null ? '' : `, data of ${clock(at)} UTC`}`,
    lines.join('\n'),
    rest > 0 ? `and ${rest} more` : null,
    notes.map((note) => `**Note:** ${escapeMarkdown(note)}`).join('\n\n'),
  ]);
}

function planLine({ from, to, kind, documents, replaces }: PlannedNamespace): string {
  const name = from === to ? escapeMarkdown(from) : `${escapeMarkdown(from)} as ${escapeMarkdown(to)}`;
  const held = plannedDocuments(kind, documents);
  const what =
    kind === 'view'
      ? 'a view'
      : kind === 'timeseries'
        ? held
        : `${held} document${documents === 1 ? '' : 's'}`;
  return `- **${name}**: ${what}, ${plannedTarget(kind, replaces)}`;
}

/** Current details of a drill. */
export function drillDetails(status: DrillStatus): string {
  return paragraphs([
    `### Drill of ${escapeMarkdown(status.backup)}: ${status.phase}`,
    status.reason && escapeMarkdown(status.reason),
    status.differences
      .slice(0, SHOWN_ROWS)
      .map((text) => `- ${escapeMarkdown(text)}`)
      .join('\n'),
    facts([
      ['Into', status.into],
      ['Restored in', status.restoreMs === null ? null : durationText(status.restoreMs)],
      ['Documents', String(status.documents)],
      ['Namespaces', String(status.namespaces)],
      ['BSON', bytesText(status.bytes)],
    ]),
  ]);
}
