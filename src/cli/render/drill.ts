/** The record of a backup's drill, where backups are listed and shown. */
import { durationText } from '../../domain/amounts.ts';
import type { DrillRecord } from '../../domain/backup/drill.types.ts';

type Tried = Pick<DrillRecord, 'passed' | 'restoreMs' | 'reason'> | null;

/** In a column of a list. */
export function drillCell(drill: Tried): string {
  if (drill === null) return '-';
  return drill.passed ? passedText(drill) : 'failed';
}

/** As a row of one backup's facts; none when there was no drill. */
export function drillRows(drill: Tried): string[][] {
  if (drill === null) return [];
  return [['Drill', drill.passed ? passedText(drill) : `failed: ${drill.reason}`]];
}

function passedText({ restoreMs }: NonNullable<Tried>): string {
  return `passed in ${durationText(restoreMs)}`;
}
