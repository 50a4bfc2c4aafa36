/**
 * How a release reads on its page in the Temporal UI: where are we, what is healthy, what is wanted from me, what
 * happens if I do nothing. GitHub-flavoured Markdown; text that people wrote is escaped.
 */
import { escapeMarkdown } from './announcement.ts';
import { describeStep } from './plan.ts';
import type { PlannedStep, ReleaseStatus } from './release.types.ts';

/** The current details of a running or finished release. Times are UTC. */
export function currentDetails(status: ReleaseStatus): string {
  const parts = [
    headline(status),
    wanted(status),
    unattended(status),
    pods(status),
    trouble(status),
    steps(status),
    story(status),
  ];
  return parts.filter((part) => part !== '').join('\n\n');
}

function headline(status: ReleaseStatus): string {
  const where = status.step ? `, step ${status.step.index} of ${status.step.total}: ${status.step.text}` : '';
  const why = status.reason ? `\n\n${escapeMarkdown(status.reason)}` : '';
  return `### ${PHASES[status.phase]}${where}${why}`;
}

const PHASES: Record<ReleaseStatus['phase'], string> = {
  preflight: 'Checking before anything is touched',
  progressing: 'Moving pods',
  baking: 'Baking',
  'awaiting-approval': 'Waiting for approval',
  paused: 'Paused',
  promoting: 'Promoting to 100 %',
  guarding: 'At 100 %, guarded',
  'rolling-back': 'Rolling back',
  promoted: 'Promoted',
  'rolled-back': 'Rolled back',
  rejected: 'Rejected, rolled back',
  aborted: 'Aborted, rolled back',
  superseded: 'Superseded, rolled back',
  failed: 'Failed: needs a person',
};

function wanted({ gate, paused, phase, starter }: ReleaseStatus): string {
  if (paused && phase === 'paused') {
    return [
      `**Wanted from you:** ${escapeMarkdown(paused.by)} paused this at ${clock(paused.since)} (${escapeMarkdown(paused.why)}). Send the Update \`resume\` or \`abort\`:`,
      json({ by: 'YOUR NAME', why: 'YOUR REASON' }),
    ].join('\n\n');
  }
  if (!gate) return '';
  const given = gate.approvals
    .map(({ by, why }) => `${escapeMarkdown(by)} (${escapeMarkdown(why)})`)
    .join(', ');
  const eyes = gate.fourEyes ? `; at least one by somebody other than ${escapeMarkdown(starter)}` : '';
  return [
    `**Wanted from you:** ${gate.needed - gate.approvals.length} of ${count(gate.needed, 'approval')} for gate \`${gate.name}\`${eyes}${given ? `; given by ${given}` : ''}. Send the Update \`approve\` (or \`reject\`) with:`,
    json({ gate: gate.name, revision: gate.revision, by: 'YOUR NAME', why: 'YOUR REASON' }),
  ].join('\n\n');
}

function unattended({ deadline, next, phase }: ReleaseStatus): string {
  if (phase === 'paused')
    return '**If you do nothing:** it stays paused; every clock stands still, alerts still roll it back.';
  return deadline && next ? `**If you do nothing:** at ${clock(deadline)} ${next}.` : '';
}

function steps({ plan, step, outcome }: ReleaseStatus): string {
  if (!plan) return '';
  const current = step?.index ?? (outcome === 'promoted' ? Number.POSITIVE_INFINITY : 0);
  const rows = plan.steps.map((planned, at) => {
    const state = at + 1 < current ? 'done' : at + 1 === current ? '**now**' : '';
    return `| ${at + 1} | ${escapeMarkdown(describeStep(planned))} | ${realWeight(planned)} | ${state} |`;
  });
  const notes = plan.notes.map((note) => `- ${escapeMarkdown(note)}`);
  return [
    '| # | Step | Real weight | |',
    '|---|---|---|---|',
    ...rows,
    ...(notes.length ? ['', ...notes] : []),
  ].join('\n');
}

function realWeight(step: PlannedStep): string {
  return step.kind === 'weight' ? `${step.real} %` : '';
}

function pods({ stable, canary }: ReleaseStatus): string {
  return [
    '| | Image | Revision | Pods | Ready |',
    '|---|---|---|---|---|',
    `| stable | ${code(stable.image)} | ${stable.hash ?? '-'} | ${stable.pods} | ${stable.ready} |`,
    `| canary | ${code(canary.image)} | ${canary.hash ?? '-'} | ${canary.pods} | ${canary.ready} |`,
  ].join('\n');
}

function trouble({ problems, drift, alerts, findings }: ReleaseStatus): string {
  const lines = [
    ...problems.map((p) => `${p.pod}: ${p.reason} ${p.message}`),
    ...drift.map((d) => `${d.manager} changed ${d.field} from ${d.expected} to ${d.found}`),
    ...alerts.map((a) => `alert ${a.labels['alertname'] ?? ''}: ${a.annotations['summary'] ?? ''}`),
    ...findings.map((f) => `${f.level}: ${f.message}${f.fix ? ` ${f.fix}` : ''}`),
  ];
  return lines.map((line) => `- ${escapeMarkdown(line)}`).join('\n');
}

/** Entries of the timeline that a page shows. */
const SHOWN_ENTRIES = 12;

function story({ timeline }: ReleaseStatus): string {
  return timeline
    .slice(-SHOWN_ENTRIES)
    .map(({ at, text }) => `- ${clock(at)} ${escapeMarkdown(text)}`)
    .join('\n');
}

/** One field a line: the page cuts long lines. */
function json(value: object): string {
  return ['```json', JSON.stringify(value, null, 2), '```'].join('\n');
}

function code(text: string): string {
  return text ? `\`${text.replaceAll('`', '')}\`` : '-';
}

/** `2026-11-23T09:15:30.000Z` as `09:15:30 UTC on 23 Nov`. */
function clock(iso: string): string {
  const [, month, day] = iso.slice(0, 10).split('-');
  return `${iso.slice(11, 19)} UTC on ${Number(day)} ${MONTHS[Number(month) - 1] ?? ''}`;
}

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? '' : 's'}`;
}
