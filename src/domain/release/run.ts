/**
 * The state of one release and every transition of it. No Temporal, no I/O; the time comes in as `now` (milliseconds).
 * Messages only record intent here; the workflow reads it and acts.
 */
import { describeDrift } from '../workload/drift.ts';
import { milliseconds } from '../../specs/duration.ts';
import type { GateSpec, Release } from '../../specs/release.types.ts';
import type { Finding, Observation, PodProblem, WorkloadFacts } from '../workload/types.ts';
import { concerns, describeAlert, firingKey } from './alerts.ts';
import { isOpen } from './approvals.ts';
import { Clocks } from './clocks.ts';
import { describeStep, planOf } from './plan.ts';
import { SteeredWorkload } from './steered-workload.ts';
import type {
  AlertNotice,
  Approval,
  GateStatus,
  Outcome,
  Phase,
  Plan,
  PlannedStep,
  ReleaseInput,
  ReleaseStatus,
} from './types.ts';
import type { TimelineEntry } from '../timeline.ts';

/** Why a release does not go on to the end. */
export interface Stop {
  outcome: Exclude<Outcome, 'promoted'>;
  reason: string;
}

const KEPT_ALERTS = 50;
const KEPT_ENTRIES = 200;

/** One release: where it is, what happened to it, what it waits for. Plain state; the workflow acts on it. */
export class ReleaseRun {
  readonly input: ReleaseInput;
  readonly id: string;
  readonly run: string;
  readonly release: Release;
  readonly startedAt: number;
  finishedAt: number | null = null;
  readonly workload: SteeredWorkload;
  readonly clocks: Clocks;
  plan: Plan | null = null;
  findings: Finding[] = [];
  readonly timeline: TimelineEntry[] = [];
  /** Set when the first write may have happened: from here on there is something to undo. */
  begun = false;
  /** The first write has landed: the workload carries this release's record. */
  afloat = false;
  stop: Stop | null = null;
  outcome: Outcome | null = null;
  reason: string | null = null;
  /** The step, counted from 1, at which a person said `promote`: what remains is skipped. */
  skippedFrom: number | null = null;
  /** The phase that the index of workflows shows. */
  shownPhase: Phase | null = null;
  /** Alerts that were sent to it, whatever they were about: Temporal counts them. */
  signals = 0;
  /** Counts every change, so that whoever shows the release knows when to show it anew. */
  changes = 0;

  #phase: Exclude<Phase, 'paused'> = 'preflight';
  #step: number | null = null;
  #paused: ReleaseStatus['paused'] = null;
  #gate: Omit<GateStatus, 'expires'> | null = null;
  readonly #alerts = new Map<string, AlertNotice>();

  constructor(input: ReleaseInput, id: string, run: string, now: number) {
    this.input = input;
    this.id = id;
    this.run = run;
    this.release = input.release;
    this.workload = new SteeredWorkload(input.release);
    this.clocks = new Clocks(milliseconds(input.release.spec.guards.deadline));
    this.startedAt = now;
  }

  // ---- what the story does -------------------------------------------------------------------------------------

  planned(facts: WorkloadFacts): void {
    this.workload.facts = facts;
    this.plan = planOf(this.release, facts.undo, facts.replicas);
  }

  begin(now: number): void {
    this.begun = true;
    this.#phase = 'progressing';
    this.#retime(now);
  }

  /** Enters a step of the plan. */
  enter(index: number, now: number): PlannedStep {
    const step = this.plan?.steps[index];
    if (!step) throw new RangeError(`the plan has no step ${index}`);
    this.#step = index;
    this.#phase = step.kind === 'promote' ? 'promoting' : 'progressing';
    this.workload.aimAt(step);
    this.note(describeStep(step), now);
    this.#retime(now);
    return step;
  }

  startBake(span: number, now: number): void {
    this.#phase = 'baking';
    this.#startClock(span, 'the bake is over and the release goes on', now);
  }

  openGate(gate: GateSpec, now: number): void {
    this.#phase = 'awaiting-approval';
    this.#gate = {
      name: gate.name,
      revision: this.workload.revision,
      approvals: [],
      needed: gate.approvals,
      fourEyes: gate.fourEyes,
    };
    this.#startClock(milliseconds(gate.expires), 'the gate expires and the release is rolled back', now);
  }

  closeStep(now: number): void {
    this.#gate = null;
    this.clocks.clear();
    this.#phase = 'progressing';
    this.#retime(now);
  }

  startGuard(span: number, now: number): void {
    this.#step = null;
    this.#phase = 'guarding';
    this.note(`at 100 %, guarded for ${this.release.spec.after.guard}`, now);
    this.#startClock(span, 'the guard period ends and the release is done', now);
  }

  rollingBack(now: number): void {
    this.#gate = null;
    this.clocks.clear();
    this.#paused = null;
    this.#step = null;
    this.#phase = 'rolling-back';
    this.workload.turnBack();
    this.#retime(now);
  }

  finish(outcome: Outcome, reason: string, now: number): void {
    this.outcome = outcome;
    this.reason = reason;
    this.#phase = outcome;
    this.#gate = null;
    this.clocks.clear();
    this.#paused = null;
    this.#step = null;
    this.finishedAt = now;
    this.note(`${outcome}: ${reason}`, now);
    this.#retime(now);
  }

  note(text: string, now: number): void {
    this.timeline.push({ at: iso(now), text });
    this.changes++;
    if (this.timeline.length > KEPT_ENTRIES) this.timeline.splice(1, 1);
  }

  // ---- what happens to it --------------------------------------------------------------------------------------

  /** The first reason to stop wins; a release that has its outcome is not stopped any more. */
  halt(stop: Stop, now: number): boolean {
    if (this.stop || this.outcome) return false;
    this.stop = stop;
    this.note(stop.reason, now);
    if (this.begun) this.rollingBack(now);
    return true;
  }

  /** Takes an observation in: what guards say, drift, and a plan for a new replica count. */
  observed(observation: Observation, now: number): void {
    this.#sight(observation.unseen ?? null, now);
    if (observation.unseen !== undefined) return;
    this.workload.see(observation);
    this.changes++;
    const { facts } = this.workload;
    if (facts && this.plan && observation.replicas > 0 && observation.replicas !== this.plan.replicas) {
      this.note(
        `replicas changed from ${this.plan.replicas} to ${observation.replicas}; the plan follows`,
        now,
      );
      this.plan = planOf(this.release, facts.undo, observation.replicas);
    }
    if (this.stop) return;
    if (observation.missing)
      this.halt({ outcome: 'failed', reason: 'the workload was deleted or replaced' }, now);
    const problem = observation.problems[0];
    if (problem && this.release.spec.guards.pods)
      this.halt({ outcome: 'rolled-back', reason: problemText(problem) }, now);
    const { drift } = this.workload;
    if (drift && !this.#paused && !this.stop) {
      this.pause(
        'slipway',
        `${describeDrift(drift)}; resume accepts it, abort puts the old images back`,
        now,
      );
    }
  }

  /** Unknown never promotes: what cannot be seen bakes no further, and is seen anew before anything moves. */
  #sight(unseen: string | null, now: number): void {
    if ((unseen === null) !== (this.workload.unseen === null)) {
      this.note(unseen === null ? 'the workload is seen again' : `nothing moves, since ${unseen}`, now);
    }
    this.workload.unseen = unseen;
    this.#retime(now);
  }

  /** An alert that has fired hauls the release back, and stays as the evidence when it resolves on the way. */
  alerted(notice: AlertNotice, now: number): void {
    if (notice.status === 'resolved') return;
    const key = firingKey(notice);
    if (this.#alerts.has(key) || !concerns(this.release.spec.guards.alerts, notice)) return;
    if (this.#alerts.size < KEPT_ALERTS) this.#alerts.set(key, notice);
    this.halt({ outcome: 'rolled-back', reason: describeAlert(notice) }, now);
  }

  approved(approval: Omit<Approval, 'at'>, now: number): void {
    this.#gate?.approvals.push({ by: approval.by.trim(), why: approval.why.trim(), at: iso(now) });
    this.note(`${approval.by} approved gate ${this.#gate?.name}: ${approval.why}`, now);
  }

  /** Skips what remains of the plan and lifts a pause. */
  promoteNow(by: string, why: string, now: number): void {
    this.skippedFrom ??= (this.step ?? 0) + 1;
    this.#paused = null;
    this.workload.accept();
    this.note(`${by} promoted: ${why}`, now);
    this.#retime(now);
  }

  pause(by: string, why: string, now: number): void {
    this.#paused = { by, why, since: iso(now) };
    this.note(`${by} paused: ${why}`, now);
    this.#retime(now);
  }

  resume(by: string, now: number): void {
    this.#paused = null;
    this.workload.accept();
    this.note(`${by} resumed`, now);
    this.#retime(now);
  }

  // ---- what the story asks -------------------------------------------------------------------------------------

  get skipping(): boolean {
    return this.skippedFrom !== null;
  }

  get paused(): boolean {
    return this.#paused !== null;
  }

  /** Who paused it, why and since when. */
  get pausedBy(): ReleaseStatus['paused'] {
    return this.#paused;
  }

  /** Index of the current step of the plan; `null` before the first and after the last. */
  get step(): number | null {
    return this.#step;
  }

  /** Alerts about this release that have fired, the first of them the one that halted it. */
  get alerts(): AlertNotice[] {
    return [...this.#alerts.values()];
  }

  /** Where the release is, paused or not. */
  get phase(): Phase {
    return this.#paused && !this.outcome ? 'paused' : this.#phase;
  }

  /** What a release that does not get on is waiting for, or an empty text. */
  get standstill(): string {
    const { unseen, observation: seen } = this.workload;
    if (unseen) return unseen;
    if (!seen) return this.begun ? 'the workload has not been seen since the first write' : '';
    const { canary } = seen;
    return canary.ready < canary.pods ? `${canary.ready} of ${canary.pods} new pods are ready` : '';
  }

  get gateOpen(): boolean {
    return this.#gate !== null && isOpen(this.#gate, this.input.starter);
  }

  /** The open gate as approvers see it. */
  gate(now: number): GateStatus | null {
    if (!this.#gate) return null;
    return { ...this.#gate, expires: iso(now + this.clocks.stepLeft(now)) };
  }

  #startClock(span: number, then: string, now: number): void {
    this.clocks.set(span, then);
    this.#retime(now);
  }

  #retime(now: number): void {
    this.clocks.keep(
      {
        phase: this.#phase,
        moving: !this.#paused && !this.stop && !this.outcome,
        begun: this.begun,
        sighted: !this.workload.unseen,
      },
      now,
    );
    this.changes++;
  }
}

function problemText({ pod, container, reason, message }: PodProblem): string {
  const where = container ? `container ${container} of pod ${pod}` : `pod ${pod}`;
  return message ? `${where}: ${reason}: ${message}` : `${where}: ${reason}`;
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
