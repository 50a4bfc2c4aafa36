/** How the workflow that stores slices reads on its page in the Temporal UI. Markdown; times are UTC. */
import { escapeMarkdown } from '../page.ts';
import { bytesText } from '../amounts.ts';
import { clock, facts, paragraphs, story } from '../page.ts';
import { momentClock, momentText } from './moment.ts';
import type { NotedGap, SlicesPhase, SlicesStatus } from './types.ts';

const PHASES: Record<SlicesPhase, string> = {
  running: 'Slices of the oplog are stored',
  failing: 'No slice can be stored at the moment',
  paused: 'Paused; slices rest',
  stopped: 'Stopped',
};

/** Current details of the workflow that stores slices. */
export function slicesDetails(status: SlicesStatus): string {
  const { phase, problem, paused, reached, gaps } = status;
  return paragraphs([
    `### ${PHASES[phase]}`,
    problem && `Since ${clock(problem.since)}: ${escapeMarkdown(problem.text)}. It is tried again and again.`,
    paused && `${escapeMarkdown(paused.by)}: ${escapeMarkdown(paused.why)}`,
    facts([
      ['Policy', status.policy],
      ['Every', status.every],
      ['Slices reach to', reached && `${momentClock(reached)} (${momentText(reached)})`],
      [
        'Stored since it began',
        `${status.stored} slices, ${status.entries} entries, ${bytesText(status.size)}`,
      ],
    ]),
    gaps.length === 0 ? null : `**Cannot be restored:**\n\n${gaps.map(gapLine).join('\n')}`,
    story(status.timeline),
  ]);
}

function gapLine({ after, until, reason }: Pick<NotedGap, 'after' | 'until' | 'reason'>): string {
  return `- ${momentClock(after)} to ${momentClock(until)}: ${escapeMarkdown(reason)}`;
}
