/** Moments of a MongoDB cluster: the seconds since 1970 and a counter within the second. Every oplog entry has its own. */

export interface Moment {
  t: number;
  i: number;
}

const WHOLE_SECOND = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.0+)?)?(Z|[+-]\d\d:\d\d))?$/;
const CLUSTER_TIMESTAMP = /^(\d{9,10}),(\d{1,10})$/;
const MAX_UINT32 = 0xff_ff_ff_ff;

/** What {@link parseMoment} takes, in words for an error message. */
export const MOMENT_FORM =
  'a time in whole seconds with its zone such as 2026-11-23T02:00:00Z, or a cluster timestamp SECONDS,INCREMENT';

/**
 * The moment that a text means, or `undefined`. A time of the clock means the beginning of its second: what was written
 * within that second comes after it. Cluster time counts no parts of a second, so those are not taken.
 */
export function parseMoment(text: string): Moment | undefined {
  const stamp = CLUSTER_TIMESTAMP.exec(text);
  if (stamp) {
    const [t, i] = [Number(stamp[1]), Number(stamp[2])];
    return t <= MAX_UINT32 && i <= MAX_UINT32 ? { t, i } : undefined;
  }
  const time = WHOLE_SECOND.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(time) || time < 0 ? undefined : { t: time / 1_000, i: 0 };
}

/** Below 0 when `a` comes before `b`. */
export function compareMoments(a: Moment, b: Moment): number {
  return a.t - b.t || a.i - b.i;
}

/** `1795436094,38`: what {@link parseMoment} reads. */
export function momentText({ t, i }: Moment): string {
  return `${t},${i}`;
}

/** `2026-11-23T12:14:54Z (1795436094,38)`. */
export function momentLabel(moment: Moment): string {
  return `${momentClock(moment)} (${momentText(moment)})`;
}

/** `2026-11-23T12:14:54Z`. */
export function momentClock({ t }: Moment): string {
  return new Date(t * 1_000).toISOString().replace('.000Z', 'Z');
}
