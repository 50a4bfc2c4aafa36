/** Waits that end by what happens or by time, whichever comes first. */
import { CancellationScope, condition, sleep } from '@temporalio/workflow';

/** Longest single timer: a wait without an end of its own wakes up this often. Temporal wants a bound, people do not. */
const LONGEST_TIMER = 30 * 24 * 3_600_000;

/**
 * Waits until the predicate holds, at most so many milliseconds. The timer carries a summary for the UI. Answers
 * whether the predicate holds.
 */
export async function happens(predicate: () => boolean, within: number, summary: string): Promise<boolean> {
  if (predicate()) return true;
  if (within <= 0) return false;
  const scope = new CancellationScope();
  try {
    return await scope.run(() =>
      Promise.race([
        condition(predicate).then(() => true),
        sleep(Math.min(within, LONGEST_TIMER), { summary }).then(predicate),
      ]),
    );
  } finally {
    scope.cancel();
  }
}

/**
 * Waits until `done`, or until a clock that others stop and start has run out. `remaining` is infinite while it stands
 * still. Answers whether `done` came first.
 */
export async function happensBefore(
  done: () => boolean,
  remaining: () => number,
  summary: string,
): Promise<boolean> {
  while (!done()) {
    const left = remaining();
    if (left <= 0) return false;
    const ticking = Number.isFinite(left);
    await happens(() => done() || Number.isFinite(remaining()) !== ticking, left, summary);
  }
  return true;
}
