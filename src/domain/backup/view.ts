/** How backups, restores and drills read on their pages in the Temporal UI and in a terminal. Markdown; times are UTC. */
import { formatDuration } from '../../specs/duration.ts';
import { escapeMarkdown } from '../release/announcement.ts';
import type { DrillStatus } from './drill.types.ts';
import type { PlannedNamespace, RestorePhase, RestoreStatus } from './restore.types.ts';
import type { BackupPhase, BackupStatus } from './types.ts';
import type { TimelineEntry } from '../release/types.ts';

const SHOWN_ROWS = 20;

/** `1.4 GB`, decimal units, three digits. */
export function bytesText(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1_000;
    unit++;
  }
  return `${unit === 0 ? value : value.toPrecision(3)} ${units[unit]}`;
}

/** `850ms`, `1m30s`. */
export function durationText(ms: number): string {
  return ms < 10_000
    ? Math.round(ms) >= 1_000
      ? `${(ms / 1_000).toFixed(1)}s`
      : `${Math.round(ms)}ms`
    : formatDuration(ms);
}

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
    story(status.timeline),
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
      `${status.result.documents} documents of ${status.result.namespaces} namespaces (${bytesText(status.result.bytes)}) in ${durationText(status.result.ms)}`,
    story(status.timeline),
  ]);
}

function wanted({ phase, plan, deadline }: RestoreStatus): string | null {
  if (phase !== 'awaiting-approval' || !plan) return null;
  return [
    `**Wanted from you:** this restore replaces ${plan.replaced} of the namespaces below. Send the Update \`approve\` (or \`reject\`) with:`,
    json({ plan: plan.digest, by: 'YOUR NAME', why: 'YOUR REASON' }),
    deadline === null ? '' : `**If you do nothing:** at ${clock(deadline)} it ends and nothing is touched.`,
  ].join('\n\n');
}

function planList({ plan }: RestoreStatus): string | null {
  if (!plan) return null;
  const { archive, location, at, namespaces, total, notes } = plan;
  const lines = namespaces.slice(0, SHOWN_ROWS).map(planLine);
  const rest = total - lines.length;
  return paragraphs([
    `Archive ${escapeMarkdown(archive)} at ${escapeMarkdown(location)}${at === null ? '' : `, data of ${clock(at)}`}`,
    lines.join('\n'),
    rest > 0 ? `and ${rest} more` : null,
    notes.map((note) => `- ${escapeMarkdown(note)}`).join('\n'),
  ]);
}

function planLine({ from, to, documents, replaces }: PlannedNamespace): string {
  const name = from === to ? escapeMarkdown(from) : `${escapeMarkdown(from)} as ${escapeMarkdown(to)}`;
  const replaced = replaces === null ? 'new' : `replaces about ${replaces} documents`;
  return `- **${name}**: ${documents ?? 'unknown number of'} documents, ${replaced}`;
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

export type Row = [string, string | null];

/** A list, since the Temporal UI sets the cells of tables without a gap. */
export function facts(rows: Row[]): string {
  return rows
    .flatMap(([what, value]) => (value === null ? [] : [`- **${what}:** ${escapeMarkdown(value)}`]))
    .join('\n');
}

export function story(timeline: TimelineEntry[]): string {
  return timeline.map(({ at, text }) => `- ${clock(at)} ${escapeMarkdown(text)}`).join('\n');
}

export function clock(time: string): string {
  return `${time.slice(0, 10)} ${time.slice(11, 19)}`;
}

function json(value: unknown): string {
  return `\`\`\`json\n${JSON.stringify(value)}\n\`\`\``;
}

export function paragraphs(parts: (string | null)[]): string {
  return parts.filter((part) => part !== null && part !== '').join('\n\n');
}
