/** The state of the workflow that stores slices, and every transition of it. No Temporal, no I/O; `now` is in milliseconds. */
import type { BackupPolicy } from '../../specs/backup.types.ts';
import { milliseconds } from '../../specs/duration.ts';
import { type Moment, momentClock } from './moment.ts';
import type { TimelineEntry } from '../timeline.ts';
import type {
  NotedGap,
  Rest,
  SliceReport,
  SlicesCarried,
  SlicesInput,
  SlicesPhase,
  SlicesStatus,
} from './types.ts';

const KEPT_ENTRIES = 50;
const KEPT_GAPS = 20;
/** For a policy that no longer says how often: until the workflow is told to stop. */
const DEFAULT_EVERY_MS = 60_000;

/** The state of the workflow that stores slices, and every transition of it. `now` is milliseconds since the epoch. */
export class SlicesRun {
  readonly id: string;
  readonly run: string;
  policy: BackupPolicy;
  stopped = false;
  paused: Rest | null;
  /** At rest, and the last slice before it is stored. */
  settled: boolean;
  reached: Moment | null;
  problem: { since: string; text: string } | null;
  /** Counts every change that a person would want to see. */
  changes = 0;
  /** Counts commands, so that a wait ends when one comes. */
  commands = 0;
  #chain: number | null;
  #stored: number;
  #entries: number;
  #size: number;
  readonly #gaps: NotedGap[];
  readonly #timeline: TimelineEntry[];
  readonly #startedAt: string;
  /** The slice under way began after the pause. */
  #isLast = false;

  constructor({ policy, paused, carried }: SlicesInput, id: string, run: string, now: number) {
    this.id = id;
    this.run = run;
    this.policy = policy;
    this.paused = paused;
    this.settled = carried?.settled ?? paused !== null;
    this.reached = carried?.reached ?? null;
    this.problem = carried?.problem ?? null;
    this.#chain = carried?.chain ?? null;
    this.#stored = carried?.stored ?? 0;
    this.#entries = carried?.entries ?? 0;
    this.#size = carried?.size ?? 0;
    this.#gaps = [...(carried?.gaps ?? [])];
    this.#timeline = [...(carried?.timeline ?? [])];
    this.#startedAt = carried?.startedAt ?? iso(now);
    if (!carried) this.note(paused ? `begins at rest: ${paused.why}` : 'begins', now);
  }

  get everyMs(): number {
    const every = this.policy.spec.pointInTime?.sliceEvery;
    return every === undefined ? DEFAULT_EVERY_MS : milliseconds(every);
  }

  get phase(): SlicesPhase {
    if (this.stopped) return 'stopped';
    if (this.paused && this.settled) return 'paused';
    return this.problem ? 'failing' : 'running';
  }

  /** There is nothing to do until a command comes. */
  get rests(): boolean {
    return this.paused !== null && this.settled;
  }

  note(text: string, now: number): void {
    this.#timeline.push({ at: iso(now), text });
    if (this.#timeline.length > KEPT_ENTRIES) this.#timeline.shift();
    this.changes++;
  }

  apply(policy: BackupPolicy, now: number): void {
    this.commands++;
    if (JSON.stringify(policy) === JSON.stringify(this.policy)) return;
    this.policy = policy;
    this.note('the policy was applied anew', now);
  }

  /** One more slice is stored before the rest, so that all that happened until now can be reached. */
  pause(rest: Rest, now: number): void {
    this.commands++;
    if (this.paused) return;
    this.paused = rest;
    this.settled = false;
    this.note(`${rest.by} paused it: ${rest.why}`, now);
  }

  resume(by: string, now: number): void {
    this.commands++;
    if (!this.paused) return;
    this.paused = null;
    this.settled = false;
    this.note(`${by} resumed it`, now);
  }

  stop(by: string, now: number): void {
    this.commands++;
    this.stopped = true;
    this.note(`${by} stopped it`, now);
  }

  /** A slice is begun. */
  begin(): void {
    this.#isLast = this.paused !== null;
  }

  sliced({ reached, more, slice }: SliceReport, now: number): void {
    this.reached = reached;
    if (this.problem) this.note('slices are stored again', now);
    this.problem = null;
    if (slice) {
      this.#chain = slice.chain;
      this.#stored++;
      this.#entries += slice.entries;
      this.#size += slice.size;
      if (slice.gap) this.#gap({ noticedAt: iso(now), ...slice.gap, until: slice.from }, now);
    }
    if (this.paused && this.#isLast && !more && !this.settled) {
      this.settled = true;
      this.note(`rests; slices reach to ${momentClock(reached)}`, now);
    }
    this.changes++;
  }

  #gap(gap: NotedGap, now: number): void {
    this.#gaps.push(gap);
    if (this.#gaps.length > KEPT_GAPS) this.#gaps.shift();
    this.note(
      `a gap: ${momentClock(gap.after)} to ${momentClock(gap.until)} cannot be restored, because ${gap.reason}; later moments can from the next backup on`,
      now,
    );
  }

  failed(text: string, now: number): void {
    // A rest is not kept waiting by a server that is away.
    if (this.paused && this.#isLast) this.settled = true;
    this.changes++;
    if (this.problem?.text === text) return;
    this.problem = { since: this.problem?.since ?? iso(now), text };
    this.note(`no slice could be stored: ${text}`, now);
  }

  carry(): SlicesInput {
    return {
      policy: this.policy,
      paused: this.paused,
      carried: {
        reached: this.reached,
        chain: this.#chain,
        stored: this.#stored,
        entries: this.#entries,
        size: this.#size,
        gaps: [...this.#gaps],
        problem: this.problem,
        settled: this.settled,
        timeline: [...this.#timeline],
        startedAt: this.#startedAt,
      } satisfies SlicesCarried,
    };
  }

  status(): SlicesStatus {
    const { carried } = this.carry();
    const { settled: _, ...facts } = carried as SlicesCarried;
    return {
      ...facts,
      id: this.id,
      run: this.run,
      policy: this.policy.metadata.name,
      phase: this.phase,
      every: this.policy.spec.pointInTime?.sliceEvery ?? null,
      reachedAt: this.reached && momentClock(this.reached),
      paused: this.paused,
    };
  }
}

function iso(time: number): string {
  return new Date(time).toISOString();
}
