/** What to say of a policy when it is applied: what changed, and what is allowed but hardly meant. */
import { durationText } from '../amounts.ts';
import type { BackupPolicy, KeyFrom } from '../../specs/backup.types.ts';
import { milliseconds } from '../../specs/duration.ts';
import { runsBetween, scheduleTimes } from './schedule.ts';

const SEEN_RUNS = 30;
const YEAR = 366 * 86_400_000;

/** One line for each field that differs: `spec.retention.days: 7 -> 3`. */
export function changedLines(before: BackupPolicy, after: BackupPolicy): string[] {
  return differences('spec', before.spec, after.spec);
}

function differences(path: string, before: unknown, after: unknown): string[] {
  if (isMapping(before) && isMapping(after)) {
    const names = new Set([...Object.keys(before), ...Object.keys(after)]);
    return [...names].flatMap((name) => differences(`${path}.${name}`, before[name], after[name]));
  }
  const [left, right] = [valueText(before), valueText(after)];
  return left === right ? [] : [`${path}: ${left} -> ${right}`];
}

function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function valueText(value: unknown): string {
  if (value === null || value === undefined) return 'none';
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** What may be lost from sight when a policy is changed: keys that older backups need. */
export function changeNotes(before: BackupPolicy, after: BackupPolicy): string[] {
  const places = ({ spec: { encryption } }: BackupPolicy): string[] =>
    encryption ? [encryption.keyFrom, ...(encryption.olderKeys ?? [])].map(keyText) : [];
  const kept = new Set(places(after));
  return places(before)
    .filter((place) => !kept.has(place))
    .map(
      (place) =>
        `the key from ${place} is not named any more: what was encrypted with it cannot be restored, verified or drilled. Unless nothing was, or the key only moved, name its place in spec.encryption.olderKeys`,
    );
}

/** Where a key is, in words. */
export function keyText(place: KeyFrom): string {
  if ('env' in place) return `variable ${place.env}`;
  return 'file' in place
    ? `file ${place.file}`
    : `key ${place.secret.key} of Secret ${place.secret.namespace}/${place.secret.name}`;
}

/** Sentences on what a policy says that its author should hear before the night. */
export function policyNotes({ spec }: BackupPolicy, now: number): string[] {
  const runs = runsBetween(scheduleTimes(spec.schedule, now), now, now + YEAR, SEEN_RUNS);
  const gaps = runs.slice(1).map((time, i) => time - (runs[i] ?? time));
  const longest = Math.max(0, ...gaps);
  const notes: string[] = [];
  if (spec.alarm && milliseconds(spec.alarm.noVerifiedBackupFor) <= longest) {
    notes.push(
      `the alarm comes after ${spec.alarm.noVerifiedBackupFor} without a verified backup, but ${durationText(longest)} may lie between two runs: it will ring without need`,
    );
  }
  if (!spec.alarm) notes.push('there is no alarm: nobody is told when backups stop (spec.alarm)');
  if (!spec.drill && !('job' in spec.destination))
    notes.push('there is no drill: nobody knows whether a backup restores until it must (spec.drill)');
  return notes;
}
