/**
 * How a release reads on its page in the Temporal UI: where are we, what is healthy, what is wanted from me, what
 * happens if I do nothing. GitHub-flavoured Markdown in lists: the page sets table cells without a gap, and cuts what
 * is wider than itself. It takes lines for a list only after an empty line. Text that people wrote is escaped.
 */
import { describeDrift } from '../workload/drift.ts';
import { escapeMarkdown } from '../page.ts';
import { describeStep } from './plan.ts';
import { progressOf } from './progress.ts';
import type { ReleaseStatus } from './types.ts';

/** The current details of a running or finished release. Times are UTC. */
export function currentDetails(status: ReleaseStatus): string {
  const parts = [
    headline(status),
    health(status),
    wanted(status),
    unattended(status),
    steps(status),
    story(status),
  ];
  return parts.filter((part) => part !== '').join('\n\n');
}

/** It failed before its first write: there is nothing to look after. */
export function refusedByPreflight({ outcome, findings, canary }: ReleaseStatus): boolean {
  return outcome === 'failed' && canary.hash === null && findings.some(({ level }) => level === 'error');
}

function headline(status: ReleaseStatus): string {
  const where = status.step ? `, step ${status.step.index} of ${status.step.total}: ${status.step.text}` : '';
  const phase = refusedByPreflight(status)
    ? 'Refused by preflight: nothing was touched'
    : PHASES[status.phase];
  const why = status.reason ? `\n\n${escapeMarkdown(status.reason)}` : '';
  return `### ${phase}${escapeMarkdown(where)}${why}`;
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

/** What to think of it, what speaks against it, then the pods and what else is worth knowing. */
function health(status: ReleaseStatus): string {
  const { stable, canary, alerts, problems, drift, findings } = status;
  const against = [
    ...alerts.map((a) => `alert ${a.labels['alertname'] ?? ''}: ${a.annotations['summary'] ?? ''}`),
    ...problems.map((p) => `${p.pod}: ${p.reason} ${p.message}`),
  ];
  const notes = [
    ...drift.map(describeDrift),
    ...findings.map((f) => `${f.level}: ${f.message}${f.fix ? `; ${f.fix}` : ''}`),
  ];
  // Preflight that refuses may do so since pods are not well; nobody has looked at them since.
  const known = !refusedByPreflight(status) && (stable.image !== '' || stable.pods + canary.pods > 0);
  return [
    ...(known ? [`- ${verdict(status)}`] : []),
    ...against.map(item),
    ...(known ? [podsOf('stable', stable), podsOf('canary', canary)] : []),
    ...notes.map(item),
  ].join('\n');
}

function verdict({ stable, canary, problems, alerts, phase, outcome }: ReleaseStatus): string {
  const ready = stable.ready + canary.ready;
  const pods = stable.pods + canary.pods;
  if (problems.length + alerts.length > 0)
    return outcome === null && phase !== 'rolling-back' ? '**Not healthy:**' : '**What spoke against it:**';
  if (pods === 0) return '**No pods**';
  if (ready < pods) return `**Not all healthy yet:** ${pods - ready} of ${count(pods, 'pod')} not ready`;
  return `**Healthy:** ${pods === 1 ? 'its one pod is' : `all ${pods} pods are`} ready, no alert, no pod problem`;
}

function podsOf(title: string, { image, hash, pods, ready }: ReleaseStatus['stable']): string {
  const revision = hash === null ? '' : ` (${hash})`;
  const state = pods === 0 ? 'no pods' : `${ready} of ${count(pods, 'pod')} ready`;
  return `- ${title}: ${state}, ${code(image)}${revision}`;
}

const item = (text: string): string => `- ${escapeMarkdown(text)}`;

function wanted(status: ReleaseStatus): string {
  const { gate, paused, phase, namespace, workload } = status;
  if (paused && phase === 'paused') {
    const whose = `${escapeMarkdown(paused.by)} paused this at ${clock(paused.since)} (${escapeMarkdown(paused.why)})`;
    return asks(`${whose}; say how it goes on`, ['resume', 'abort'], {});
  }
  if (gate)
    return asks(approvalText(status, gate), ['approve', 'reject'], {
      gate: gate.name,
      revision: gate.revision,
    });
  if (phase === 'failed' && !refusedByPreflight(status))
    return `**Wanted from you:** look at the workload. If anything of the release is left on it:\n\n\`\`\`\nslipway restore deployment ${namespace}/${workload}\n\`\`\``;
  return '';
}

function approvalText({ starter }: ReleaseStatus, gate: NonNullable<ReleaseStatus['gate']>): string {
  const left = gate.needed - gate.approvals.length;
  const given = gate.approvals.map(({ by, why }) => `${escapeMarkdown(by)} (${escapeMarkdown(why)})`);
  const eyes = gate.fourEyes ? `, at least one by somebody other than ${escapeMarkdown(starter)}` : '';
  const so = given.length > 0 ? `, after ${given.join(', ')}` : '';
  return `${count(left, given.length > 0 ? 'more approval' : 'approval')} of gate ${code(gate.name)}${eyes}${so}`;
}

/** The way through the page to a button, and the JSON to paste there. */
function asks(what: string, [first, second]: [string, string], fields: Record<string, string>): string {
  return [
    `**Wanted from you:** ${what}. *More Actions* › *Send an Update* › ${code(first)} or ${code(second)}, with this as Data; R then shows what became of it:`,
    json({ ...fields, by: 'YOUR NAME', why: 'YOUR REASON' }),
  ].join('\n\n');
}

function unattended({ deadline, next, phase }: ReleaseStatus): string {
  if (phase === 'paused')
    return '**If you do nothing:** it stays paused; every clock stands still, alerts still roll it back.';
  return deadline && next ? `**If you do nothing:** at ${clock(deadline)} ${next}.` : '';
}

function steps(status: ReleaseStatus): string {
  if (!status.plan) return '';
  const rows = progressOf(status).map(({ step, state }, at) => {
    const text = escapeMarkdown(describeStep(step));
    if (state === 'now') return `${at + 1}. **${text}: now**`;
    return `${at + 1}. ${text}${state === 'ahead' ? '' : `: ${state}`}`;
  });
  const notes = status.plan.notes.map((note) => `${escapeMarkdown(note)}.`).join(' ');
  return notes === '' ? rows.join('\n') : `${rows.join('\n')}\n\n${notes}`;
}

/** Entries of the timeline that a page shows. */
const SHOWN_ENTRIES = 12;

function story({ timeline }: ReleaseStatus): string {
  return timeline
    .slice(-SHOWN_ENTRIES)
    .map(({ at, text }) => `- ${clock(at)}: ${escapeMarkdown(text)}`)
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
