/** What pages in the Temporal UI are made of. Markdown; times are UTC. */
import type { TimelineEntry } from './timeline.ts';

/** User text for a place that renders markdown: nothing in it is taken for markup or for a `{workflowId}` template. */
export function escapeMarkdown(text: string): string {
  return oneLine(text)
    .replace(/[\\`*_{}[\]()#+!|<>~&-]/g, '\\$&')
    .replace(/^(\d+)\./, '$1\\.');
}

/** White space of any kind as one space. */
export function oneLine(text: string): string {
  return text.replace(/\s+/g, ' ').trim();
}

/** What and its value; `null` leaves the row out. */
export type Row = [string, string | null];

/** A list, since the Temporal UI sets the cells of tables without a gap. */
export function facts(rows: Row[]): string {
  return rows
    .flatMap(([what, value]) => (value === null ? [] : [`- **${what}:** ${escapeMarkdown(value)}`]))
    .join('\n');
}

/** What happened, oldest first. */
export function story(timeline: TimelineEntry[]): string {
  return timeline.map(({ at, text }) => `- ${clock(at)} ${escapeMarkdown(text)}`).join('\n');
}

/** The same below a heading, where another list comes before: the UI makes one of two lists. */
export function titledStory(timeline: TimelineEntry[]): string {
  return `**What happened (UTC):**\n\n${story(timeline)}`;
}

/** `2026-11-23T09:15:30.000Z` as `2026-11-23 09:15:30`. */
export function clock(time: string): string {
  return `${time.slice(0, 10)} ${time.slice(11, 19)}`;
}

/** What to paste, as the page shows it. */
export function json(value: unknown): string {
  return `\`\`\`json\n${JSON.stringify(value)}\n\`\`\``;
}

/** Those parts that say something, with an empty line between them. */
export function paragraphs(parts: (string | null)[]): string {
  return parts.filter((part) => part !== null && part !== '').join('\n\n');
}
