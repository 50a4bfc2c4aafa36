/** The clocks of a release: its deadline, and the one of the step it is at. Times are milliseconds. */
import { Stopwatch } from './stopwatch.ts';
import type { Phase } from './types.ts';

/** What decides which clock runs. */
interface Moment {
  phase: Exclude<Phase, 'paused'>;
  /** Neither paused, nor halted, nor over. */
  moving: boolean;
  /** The first write may have happened. */
  begun: boolean;
  /** The workload can be seen. */
  sighted: boolean;
}

/** What happens next by itself, and when. */
interface Due {
  at: number;
  what: string;
}

/** Knows what runs, and what falls due next; who may stop a clock is decided in `keep`. */
export class Clocks {
  readonly #deadline: Stopwatch;
  #step: { watch: Stopwatch; then: string } | null = null;

  /** `deadline` is the time on the way to 100 %. */
  constructor(deadline: number) {
    this.#deadline = new Stopwatch(deadline);
  }

  /** A clock for the current step; `then` says what happens when it runs out. It stands until `keep`. */
  set(span: number, then: string): void {
    this.#step = { watch: new Stopwatch(span), then };
  }

  /** The step needs no clock any more. */
  clear(): void {
    this.#step = null;
  }

  /** Every clock runs exactly while it should: none in a pause, the deadline only on the way to 100 %. */
  keep({ phase, moving, begun, sighted }: Moment, now: number): void {
    const underway = phase === 'progressing' || phase === 'baking' || phase === 'promoting';
    run(this.#deadline, moving && begun && underway, now);
    // A bake and a guard watch; a gate waits for people, who need no eyes of ours.
    const watching = phase === 'baking' || phase === 'guarding';
    if (this.#step) run(this.#step.watch, moving && (sighted || !watching), now);
  }

  /** How long the step's clock still has to run, whether it runs or stands; 0 without one. */
  stepLeft(now: number): number {
    return this.#step?.watch.remaining(now) ?? 0;
  }

  /** In how much time the step's clock runs out; infinite while it stands still. */
  stepRemaining(now: number): number {
    return this.#step ? untilDue(this.#step.watch, now) : Number.POSITIVE_INFINITY;
  }

  /** In how much time the deadline passes; infinite while its clock stands still. */
  deadlineRemaining(now: number): number {
    return untilDue(this.#deadline, now);
  }

  /** The earlier of the step's clock and the deadline; `null` while both stand still. */
  next(now: number): Due | null {
    const events = [
      { at: this.#step?.watch.due(now) ?? null, what: this.#step?.then ?? '' },
      { at: this.#deadline.due(now), what: 'the deadline passes and the release is rolled back' },
    ].flatMap(({ at, what }) => (at === null ? [] : [{ at, what }]));
    return events.sort((a, b) => a.at - b.at)[0] ?? null;
  }
}

function untilDue(watch: Stopwatch, now: number): number {
  return watch.running ? watch.remaining(now) : Number.POSITIVE_INFINITY;
}

function run(watch: Stopwatch, running: boolean, now: number): void {
  if (running) watch.start(now);
  else watch.stop(now);
}
