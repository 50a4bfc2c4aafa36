/** The state of one restore and every transition of it. No Temporal, no I/O; the time comes in as `now` (milliseconds). */
import type {
  RestoreApproval,
  RestoreInput,
  RestoreOutcome,
  RestorePhase,
  RestorePlan,
  RestoreResult,
  RestoreStatus,
} from './restore.types.ts';
import { bytesText, counted, durationText } from '../amounts.ts';
import { fieldRefusal } from '../sent.ts';
import { serverText } from './restore-view.ts';
import type { TimelineEntry } from '../timeline.ts';

const KEPT_FAILURES = 100;

/** The state of one restore and every transition of it. Times come in as `now`, milliseconds since the epoch. */
export class RestoreRun {
  readonly input: RestoreInput;
  readonly id: string;
  readonly run: string;
  phase: RestorePhase = 'inspecting';
  outcome: RestoreOutcome | null = null;
  reason: string | null = null;
  plan: RestorePlan | null = null;
  approval: RestoreStatus['approval'] = null;
  /** Who said no. */
  rejection: { by: string; why: string } | null = null;
  backupBefore: string | null = null;
  result: RestoreResult | null = null;
  failures: string[] = [];
  changes = 0;
  readonly timeline: TimelineEntry[] = [];
  #deadline: number | null = null;
  readonly #startedAt: number;
  #finishedAt: number | null = null;

  constructor(input: RestoreInput, id: string, run: string, now: number) {
    this.input = input;
    this.id = id;
    this.run = run;
    this.#startedAt = now;
  }

  enter(phase: Exclude<RestorePhase, RestoreOutcome>, text: string, now: number): void {
    this.phase = phase;
    this.#deadline = null;
    this.note(text, now);
  }

  note(text: string, now: number): void {
    this.timeline.push({ at: iso(now), text });
    this.changes++;
  }

  planned(plan: RestorePlan, now: number): void {
    this.plan = plan;
    this.note(
      `${counted(plan.total, 'namespace')} to restore from ${plan.archive}, ${plan.replaced} of them there now`,
      now,
    );
  }

  /** Whether a person has to say yes before anything is touched. */
  get needsApproval(): boolean {
    return !this.input.approved && (this.plan?.replaced ?? 0) > 0;
  }

  ask(deadline: number, now: number): void {
    this.enter(
      'awaiting-approval',
      `waits for an approval: ${counted(this.plan?.replaced ?? 0, 'namespace')} would be replaced`,
      now,
    );
    this.#deadline = deadline;
    this.changes++;
  }

  approved({ plan, by, why }: RestoreApproval, now: number): void {
    this.approval = { plan, by, why, at: iso(now) };
    this.note(`${by} approved: ${why}`, now);
  }

  rejected({ by, why }: RestoreApproval, now: number): void {
    this.rejection = { by, why };
    this.note(`${by} rejected: ${why}`, now);
  }

  done(result: RestoreResult, now: number): void {
    this.result = result;
    this.note(`${result.documents} documents, ${bytesText(result.bytes)} in ${durationText(result.ms)}`, now);
  }

  finish(outcome: RestoreOutcome, reason: string | null, now: number, failures: string[] = []): void {
    this.phase = outcome;
    this.outcome = outcome;
    this.reason = reason;
    this.failures = failures.slice(0, KEPT_FAILURES);
    this.#deadline = null;
    this.#finishedAt = now;
    this.note(reason === null ? outcome : `${outcome}: ${reason}`, now);
  }

  status(): RestoreStatus {
    return {
      id: this.id,
      run: this.run,
      phase: this.phase,
      outcome: this.outcome,
      reason: this.reason,
      starter: this.input.starter,
      into: serverText(this.input.target.uriFrom),
      plan: this.plan,
      approval: this.approval,
      deadline: this.#deadline === null ? null : iso(this.#deadline),
      backupBy: this.input.backupBefore?.metadata.name ?? null,
      backupBefore: this.backupBefore,
      result: this.result,
      failures: [...this.failures],
      timeline: [...this.timeline],
      startedAt: iso(this.#startedAt),
      finishedAt: this.#finishedAt === null ? null : iso(this.#finishedAt),
    };
  }
}

/** A sentence that refuses an approval or rejection, or `null`. Says what to send instead. */
export function decisionRefusal(run: RestoreRun, command: unknown): string | null {
  if (run.outcome !== null) return `the restore has ended (${run.outcome})`;
  if (run.phase !== 'awaiting-approval' || !run.plan || run.approval || run.rejection) {
    return run.approval
      ? `${run.approval.by} has approved it already`
      : `nothing waits for a decision; the restore is ${run.phase}`;
  }
  const sent = typeof command === 'object' && command !== null ? command : {};
  const example = `send {"plan": "${run.plan.digest}", "by": "YOUR NAME", "why": "YOUR REASON"}`;
  const missing = fieldRefusal(sent, ['by', 'why']);
  if (missing) return `${missing}; ${example}`;
  const { plan } = sent as Partial<RestoreApproval>;
  if (plan !== run.plan.digest) {
    return `plan: found ${JSON.stringify(plan) ?? 'nothing'}, but the plan that waits is ${run.plan.digest}; read it, then ${example}`;
  }
  return null;
}

function iso(time: number): string {
  return new Date(time).toISOString();
}
