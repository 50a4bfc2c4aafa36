/** A release as a person on call reads it: where it is, how the pods are, what is wrong, what is wanted from them. */
import type { Colors } from 'picocolors/types.js';
import { describeDrift } from '../../domain/workload/drift.ts';
import { progressOf } from '../../domain/release/progress.ts';
import { describeStep } from '../../domain/release/plan.ts';
import type { Phase, QueueStatus, ReleaseStatus } from '../../domain/release/types.ts';
import { refusedByPreflight } from '../../domain/release/view.ts';
import { clock, count, cut, plain, shortImage, span, table } from './text.ts';

interface RenderOptions {
  colors: Colors;
  /** Milliseconds, for "in 5m". */
  now: number;
  /** Page of the release in the Temporal UI. */
  url: string | null;
  /** What the reader should know about this view, e.g. that no worker answered. */
  note?: string | null;
  /** Releases that start, one after the other, when this one has ended. */
  waiting?: QueueStatus['waiting'];
  /** How many entries of the timeline to show. */
  entries?: number;
}

export const PHASES: Record<Phase, string> = {
  preflight: 'CHECKING',
  progressing: 'MOVING PODS',
  baking: 'BAKING',
  'awaiting-approval': 'AWAITING APPROVAL',
  paused: 'PAUSED',
  promoting: 'PROMOTING',
  guarding: 'AT 100 %, GUARDED',
  'rolling-back': 'ROLLING BACK',
  promoted: 'PROMOTED',
  'rolled-back': 'ROLLED BACK',
  rejected: 'REJECTED, ROLLED BACK',
  aborted: 'ABORTED, ROLLED BACK',
  superseded: 'SUPERSEDED, ROLLED BACK',
  failed: 'FAILED: NEEDS A PERSON',
};

export function renderStatus(status: ReleaseStatus, options: RenderOptions): string[] {
  const blocks = [
    headline(status, options),
    steps(status, options),
    pods(status, options),
    trouble(status, options),
    story(status, options),
    wanted(status, options),
    line(options),
  ];
  const lines = blocks
    .filter((block) => block.length > 0)
    .flatMap((block, i) => (i === 0 ? block : ['', ...block]));
  // Of an unnatural end all that is known is its reason.
  if (options.note && options.note !== status.reason)
    lines.push('', options.colors.yellow(`Note: ${plain(options.note)}`));
  if (options.url) lines.push('', `Temporal UI: ${options.url}`);
  return lines;
}

const RUNNING = new Set<Phase>(['preflight', 'progressing', 'baking', 'promoting', 'guarding']);

export function paintPhase(phase: Phase, colors: Colors): string {
  const text = PHASES[phase] ?? phase;
  if (phase === 'promoted') return colors.green(text);
  if (phase === 'awaiting-approval' || phase === 'paused') return colors.yellow(text);
  return RUNNING.has(phase) ? colors.cyan(text) : colors.red(text);
}

export function paintRefused(colors: Colors): string {
  return colors.red('REFUSED BY PREFLIGHT');
}

function headline(status: ReleaseStatus, { colors, now }: RenderOptions): string[] {
  const name = colors.bold(`${status.namespace}/${status.workload}`);
  const at = status.step ? `   step ${status.step.index} of ${status.step.total}` : '';
  const end = status.finishedAt ? Date.parse(status.finishedAt) : now;
  const took = span(end - Date.parse(status.startedAt));
  const from = status.stable.image === '' ? '' : `${shortImage(status.stable.image)} -> `;
  const age = status.finishedAt ? `${span(now - end)} ago, after ${took}` : `${took} ago`;
  const phase = refusedByPreflight(status) ? paintRefused(colors) : paintPhase(status.phase, colors);
  const lines = [
    `${name}   ${phase}${at}`,
    `${from}${shortImage(status.image)}: ${plain(status.releaseReason)}`,
    colors.dim(`${status.finishedAt ? 'ended' : 'started'} ${age}, started by ${plain(status.starter)}`),
  ];
  if (status.reason) lines.push(`Why: ${plain(status.reason)}`);
  return lines;
}

function steps(status: ReleaseStatus, { colors }: RenderOptions): string[] {
  const { plan, outcome, phase } = status;
  if (!plan || phase === 'rolling-back' || (outcome !== null && outcome !== 'promoted')) return [];
  const rows = progressOf(status).map(({ step, state }, i) => {
    const index = `${i + 1}`;
    const text = describeStep(step);
    switch (state) {
      case 'done':
        return [colors.green('  done'), index, text];
      case 'skipped':
        return [colors.yellow('  skipped'), index, text];
      case 'now':
        return [colors.bold('> now'), colors.bold(index), colors.bold(text)];
      case 'ahead':
        return ['', index, colors.dim(text)];
    }
  });
  return [...table(rows), ...plan.notes.map((note) => colors.dim(`  ${plain(note)}`))];
}

function pods(status: ReleaseStatus, { colors }: RenderOptions): string[] {
  const { stable, canary, outcome } = status;
  // Nobody has looked at the pods of a release that never began.
  if (refusedByPreflight(status)) return [];
  if (stable.image === '' && canary.pods === 0 && stable.pods === 0) return [];
  const row = (title: string, side: ReleaseStatus['stable'], extra: string) => {
    const ready = `${side.ready}/${side.pods} ready`;
    const painted = side.ready < side.pods ? colors.yellow(ready) : ready;
    return [title, shortImage(side.image) || '-', side.hash ?? '-', painted, extra];
  };
  const share = outcome === null ? `${canary.weight} %` : '';
  return table([row('stable', stable, ''), row('canary', canary, share)]);
}

function trouble(status: ReleaseStatus, { colors }: RenderOptions): string[] {
  const { problems, drift, alerts, findings } = status;
  return [
    ...problems.map((each) =>
      colors.red(`pod ${each.pod}: ${each.reason}${each.message ? `: ${plain(each.message)}` : ''}`),
    ),
    ...drift.map((each) => colors.yellow(plain(describeDrift(each)))),
    ...alerts.map((each) => {
      const summary = each.annotations['summary'] ?? each.annotations['description'] ?? '';
      return colors.red(
        `alert ${plain(each.labels['alertname'] ?? 'without a name')}${summary ? `: ${plain(summary)}` : ''}`,
      );
    }),
    ...findings.map((each) => renderFinding(each, colors)),
  ];
}

export function renderFinding(finding: ReleaseStatus['findings'][number], colors: Colors): string {
  const paint = { error: colors.red, warning: colors.yellow, info: colors.dim }[finding.level];
  const fix = finding.fix ? `; ${plain(finding.fix)}` : '';
  return `${paint(finding.level)}: ${plain(finding.message)}${fix}`;
}

/** Reasons stand above in full; the story only has to be recognised. */
const LONGEST_ENTRY = 200;

function story(
  { timeline, outcome }: ReleaseStatus,
  { colors, now, entries = outcome ? 12 : 3 }: RenderOptions,
): string[] {
  return timeline
    .slice(-entries)
    .map(({ at, text }) => `${colors.dim(clock(at, now))}  ${cut(plain(text), LONGEST_ENTRY)}`);
}

/** Whoever ends this release should know that another one begins at once. */
function line({ waiting = [] }: RenderOptions): string[] {
  if (waiting.length === 0) return [];
  const names = waiting.map(
    ({ image, starter, key }) => `${shortImage(image)} (${plain(starter)}, --id ${plain(key ?? 'none')})`,
  );
  return [`In line, to start when this one ends: ${names.join(', ')}`];
}

/** What is wanted from the reader, with commands to paste, and what happens if nobody does anything. */
function wanted(status: ReleaseStatus, { colors, now }: Pick<RenderOptions, 'colors' | 'now'>): string[] {
  const target = `${status.namespace}/${status.workload}`;
  const { gate, paused, phase, deadline, next } = status;
  const otherwise =
    deadline && next
      ? [`If nobody acts: in ${span(Date.parse(deadline) - now)} (${clock(deadline, now)}) ${next}.`]
      : [];
  if (phase === 'paused' && paused) {
    return [
      `${colors.bold('Wanted from you:')} ${plain(paused.by)} paused this ${span(now - Date.parse(paused.since))} ago (${plain(paused.why)}). It stays paused until:`,
      `  slipway release resume ${target}`,
      `  slipway release abort ${target} --why "..."`,
    ];
  }
  if (gate) {
    const left = gate.needed - gate.approvals.length;
    const given = gate.approvals.map(({ by }) => plain(by)).join(', ');
    const eyes = gate.fourEyes ? `, one by somebody other than ${plain(status.starter)}` : '';
    const flags = `--gate ${gate.name} --revision ${gate.revision} --why "..."`;
    return [
      `${colors.bold('Wanted from you:')} ${count(left, 'approval')} for gate ${colors.bold(gate.name)}${eyes}${given ? ` (given: ${given})` : ''}.`,
      `  slipway release approve ${target} ${flags}`,
      `  slipway release reject ${target} ${flags}`,
      ...otherwise,
    ];
  }
  if (refusedByPreflight(status)) return ['Nothing was touched.'];
  if (status.outcome === 'failed') {
    return [
      `${colors.bold('Wanted from you:')} look at the workload. If anything of the release is left on it:`,
      `  slipway restore deployment ${target}`,
    ];
  }
  return otherwise;
}

/** The last word of a release that was followed. */
export function renderResult(status: ReleaseStatus, colors: Colors): string {
  const target = `${status.namespace}/${status.workload}`;
  // One that was replaced in line never ran.
  const took =
    status.finishedAt && status.run !== ''
      ? ` after ${span(Date.parse(status.finishedAt) - Date.parse(status.startedAt))}`
      : '';
  const reason = status.reason ? `: ${plain(status.reason)}` : '';
  const serves = status.stable.image ? ` ${shortImage(status.stable.image)} serves.` : '';
  switch (status.outcome) {
    case null:
      return `${colors.yellow('Still running:')} ${target}, ${PHASES[status.phase].toLowerCase()}.`;
    case 'promoted':
      return `${colors.green('Promoted')}${took}: ${target} runs ${shortImage(status.image)}.`;
    case 'failed':
      if (refusedByPreflight(status)) {
        return `${colors.red('Refused')}: ${plain(status.reason ?? 'preflight found errors').replace(/^preflight refused: /, '')}. Nothing was touched.`;
      }
      return `${colors.red('Failed')}${took}: ${target}${reason}`;
    default: {
      const word = {
        'rolled-back': 'Rolled back',
        rejected: 'Rejected',
        aborted: 'Aborted',
        superseded: 'Superseded',
      }[status.outcome];
      return `${colors.red(word)}${took}${reason.replace(/\.?$/, '.')}${serves}`;
    }
  }
}
