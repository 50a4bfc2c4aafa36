/** Releases as tables. */
import type { Colors } from 'picocolors/types.js';
import type { ListedRelease, PastRelease } from '../../client.ts';
import { paintPhase, paintRefused } from './status.ts';
import { cut, plain, shortImage, span, stamp, table } from './text.ts';

/** A table that wraps is none; -o wide has the whole text. */
const REASON_LENGTH = 100;

interface ListOptions {
  colors: Colors;
  now: number;
  /** Also starter, reason and run. */
  wide: boolean;
}

export function renderList(releases: ListedRelease[], { colors, now, wide }: ListOptions): string[] {
  if (releases.length === 0) return [];
  const header = ['WORKLOAD', 'IMAGE', 'PHASE', 'AGE', 'STARTER', ...(wide ? ['KEY', 'RUN'] : []), 'REASON'];
  const rows = releases.map((each) => [
    `${each.namespace}/${each.workload}`,
    wide ? each.image : shortImage(each.image),
    phaseOf(each, colors),
    span(now - Date.parse(each.startedAt)),
    plain(each.starter),
    ...(wide ? [each.key ?? '-', each.run] : []),
    wide ? plain(each.releaseReason) : cut(plain(each.releaseReason), REASON_LENGTH),
  ]);
  return table([header.map((title) => colors.dim(title)), ...rows]);
}

function phaseOf({ phase, execution }: ListedRelease, colors: Colors): string {
  // The index does not know whether it needs a person or was refused before it began.
  if (phase === 'failed') return colors.red('FAILED');
  if (phase !== null) return paintPhase(phase, colors);
  return execution === 'running' ? 'waiting for a worker' : execution;
}

export function renderHistory(past: PastRelease[], { colors, wide }: Omit<ListOptions, 'now'>): string[] {
  if (past.length === 0) return [];
  const header = [
    'STARTED',
    'IMAGE',
    'OUTCOME',
    'TOOK',
    'STARTER',
    ...(wide ? ['KEY', 'RUN'] : []),
    'REASON',
  ];
  const rows = past.map((each) => [
    stamp(each.startedAt),
    wide ? each.image : shortImage(each.image),
    outcomeOf(each, colors),
    span(each.durationMs),
    plain(each.starter),
    ...(wide ? [each.key ?? '-', each.run] : []),
    wide ? why(each) : cut(why(each), REASON_LENGTH),
  ]);
  return table([header.map((title) => colors.dim(title)), ...rows]);
}

function outcomeOf(past: PastRelease, colors: Colors): string {
  if (past.refused) return paintRefused(colors);
  return past.outcome ? paintPhase(past.outcome, colors) : phaseOf(past, colors);
}

/** Why it was made, and for one that did not make it, why it ended. */
function why({ releaseReason, outcome, reason }: PastRelease): string {
  const made = plain(releaseReason);
  return outcome !== null && outcome !== 'promoted' && reason ? `${made} (${plain(reason)})` : made;
}
