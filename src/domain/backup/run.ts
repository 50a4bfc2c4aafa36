/** The state of one backup and every transition of it. No Temporal, no I/O; the time comes in as `now` (milliseconds). */
import type { DrillStatus } from './drill.types.ts';
import type {
  BackupInput,
  BackupOutcome,
  BackupPhase,
  BackupStatus,
  BackupSummary,
  PruneSummary,
  Throttle,
  ThrottleCommand,
} from './types.ts';
import { fieldRefusal } from '../sent.ts';
import type { TimelineEntry } from '../timeline.ts';
import { bytesText, durationText } from '../amounts.ts';

const KEPT_ENTRIES = 100;

/** What {@link BackupRun} is told about itself. */
interface RunIdentity {
  id: string;
  run: string;
  /** Nominal time, milliseconds. */
  scheduledAt: number;
}

/** The state of one backup and every transition of it. Times come in as `now`, milliseconds since the epoch. */
export class BackupRun {
  readonly input: BackupInput;
  readonly identity: RunIdentity;
  phase: BackupPhase = 'preflight';
  outcome: BackupOutcome | null = null;
  reason: string | null = null;
  /** ISO times of the newest verified backup and of the last drill, as the destination tells them. */
  lastVerified: string | null = null;
  result: BackupSummary | null = null;
  prune: PruneSummary | null = null;
  drill: DrillStatus | null = null;
  throttle: Throttle | null;
  /** Counts every change, so that whoever shows the backup knows when to show it anew. */
  changes = 0;
  readonly problems: string[] = [];
  readonly timeline: TimelineEntry[] = [];
  readonly #startedAt: number;
  #finishedAt: number | null = null;

  constructor(input: BackupInput, identity: RunIdentity, now: number) {
    this.input = input;
    this.identity = identity;
    this.#startedAt = now;
    const limit = input.policy.spec.throttle?.mbPerSecond;
    this.throttle = limit === undefined ? null : { mbPerSecond: limit, by: 'policy' };
  }

  enter(phase: Exclude<BackupPhase, BackupOutcome>, text: string, now: number): void {
    this.phase = phase;
    this.note(text, now);
  }

  note(text: string, now: number): void {
    this.timeline.push({ at: iso(now), text });
    if (this.timeline.length > KEPT_ENTRIES) this.timeline.shift();
    this.changes++;
  }

  /** Something went wrong that does not make the backup any worse. */
  problem(text: string, now: number): void {
    this.problems.push(text);
    this.note(text, now);
  }

  throttled({ mbPerSecond, by }: ThrottleCommand, now: number): void {
    this.throttle = { mbPerSecond, by };
    this.note(
      `${by} ${mbPerSecond === null ? 'took the limit away' : `set the limit to ${mbPerSecond} MB/s`}`,
      now,
    );
  }

  proven(result: BackupSummary, now: number): void {
    this.result = result;
    this.lastVerified = result.at;
    const speed = `${bytesText(result.bytes)} in ${durationText(result.dumpMs)}, proven in ${durationText(result.proveMs)}`;
    this.note(`${result.archive} is verified: ${speed}`, now);
    for (const warning of result.warnings) this.note(warning, now);
  }

  pruned(prune: PruneSummary, now: number): void {
    this.prune = prune;
    this.note(`retention deleted ${prune.deleted.length} and kept ${prune.kept}`, now);
    for (const text of prune.problems) this.problem(text, now);
  }

  finish(outcome: BackupOutcome, reason: string | null, now: number): void {
    this.phase = outcome;
    this.outcome = outcome;
    this.reason = reason;
    this.#finishedAt = now;
    this.note(reason === null ? outcome : `${outcome}: ${reason}`, now);
  }

  status(): BackupStatus {
    return {
      id: this.identity.id,
      run: this.identity.run,
      policy: this.input.policy.metadata.name,
      phase: this.phase,
      outcome: this.outcome,
      reason: this.reason,
      trigger: this.input.trigger,
      starter: this.input.starter,
      scheduledAt: iso(this.identity.scheduledAt),
      lastVerified: this.lastVerified,
      throttle: this.throttle,
      carriedOutBy: 'job' in this.input.policy.spec.destination ? 'job' : 'worker',
      result: this.result,
      prune: this.prune,
      drill: this.drill,
      problems: [...this.problems],
      timeline: [...this.timeline],
      startedAt: iso(this.#startedAt),
      finishedAt: this.#finishedAt === null ? null : iso(this.#finishedAt),
    };
  }
}

/** A sentence that refuses a throttle command, or `null`. Says what to send instead. */
export function throttleRefusal(run: BackupRun, command: unknown): string | null {
  if (run.outcome !== null) return `the backup has ended (${run.outcome}); there is nothing to throttle`;
  const sent = (typeof command === 'object' && command !== null ? command : {}) as Partial<ThrottleCommand>;
  const { mbPerSecond } = sent;
  if ('job' in run.input.policy.spec.destination) {
    return 'a Job of the cluster makes this backup with mongodump, which cannot be slowed down; give its container a smaller CPU limit (destination.job.resources)';
  }
  const example = 'send {"mbPerSecond": 50, "by": "YOUR NAME"}; mbPerSecond null takes the limit away';
  const missing = fieldRefusal(sent, ['by']);
  if (missing) return `${missing}; ${example}`;
  if (mbPerSecond === null) return null;
  if (typeof mbPerSecond !== 'number' || !(mbPerSecond > 0 && mbPerSecond <= 100_000)) {
    return `mbPerSecond: found ${JSON.stringify(mbPerSecond) ?? 'nothing'}; allowed: a number above 0, up to 100000, or null. ${example}`;
  }
  return null;
}

/** Whether a drill should follow a backup. `last`: time of the last drill that ran to its end, ISO 8601. */
export function drillDue(everyMs: number, last: string | null, now: number): boolean {
  const before = last === null ? Number.NaN : Date.parse(last);
  // A drill from the future is a clock's mistake and must not keep drills away.
  return Number.isNaN(before) || before > now + 3_600_000 || now - before >= everyMs;
}

function iso(time: number): string {
  return new Date(time).toISOString();
}
