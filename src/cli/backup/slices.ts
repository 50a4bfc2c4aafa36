/** What the slices of the oplog reach, in a terminal. */
import type { Reach } from '../../backups/slices.ts';
import { momentLabel, momentText } from '../../domain/point-in-time/moment.ts';
import { rangeText } from '../../domain/point-in-time/reach.ts';
import type { SliceVerdict } from '../../domain/point-in-time/slice-retention.ts';

/** What `--at` can be, in a list of backups. */
export function reachLines({ slices, ranges, gaps }: Reach): string[] {
  if (slices === 0) return [];
  if (ranges.length === 0)
    return ['', `${slices} slices of the oplog are there, but no verified backup that they go on from.`];
  return [
    '',
    'Every moment of these can be restored with --at:',
    ...ranges.map((range) => `  ${rangeText(range)} (${momentText(range.to)})`),
    ...gaps.map(({ after, until, reason }) => `  not ${rangeText({ from: after, to: until })}: ${reason}`),
  ];
}

/** What slices make of one backup. */
export function reachRow(id: string, { ranges }: Reach): string[][] {
  const range = ranges.find(({ bases }) => bases.includes(id));
  return range ? [['Leads to', `every moment until ${momentLabel(range.to)}, by slices of the oplog`]] : [];
}

/** Thousands of slices are no lines of a table. */
export function sliceVerdictLines({ kept, delete: doomed, reason }: SliceVerdict): string[] {
  if (kept + doomed.length === 0) return [];
  return ['', `Slices of the oplog: ${kept} stay, ${doomed.length} go; ${reason}`];
}
