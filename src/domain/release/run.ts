/**
 * The state of one release and every transition of it. No Temporal, no I/O; the time comes in as `now` (milliseconds).
 * Messages only record intent here; the workflow reads it and acts.
 */
import { milliseconds } from '../../specs/duration.ts';
import type { GateSpec, Release } from '../../specs/release.types.ts';
import { concerns, describeAlert, firingKey } from './alerts.ts';
import { isOpen } from './approvals.ts';
import { limitsOf, nextMove, weightOf, type Limits, type Move } from '../workload/canary.ts';
import { versionOf } from './announcement.ts';
import { imageText } from '../image.ts';
import { aimOf, describeStep, planOf, strategyOf, targetOf, type Aim } from './plan.ts';
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
  TimelineEntry,
} from './types.ts';
import { Stopwatch } from './stopwatch.ts';
import type { Finding, Observation, WorkloadFacts } from '../workload/types.ts';

/** Why a release does not go on to the end. */
export interface Stop {
  outcome: Exclude<Outcome, 'promoted'>;
  reason: string;
}

/** A clock of the current step and what happens when it runs out. */
interface StepClock {
  watch: Stopwatch;
  then: string;
}

const KEPT_ALERTS = 50;
const KEPT_ENTRIES = 200;

export class ReleaseRun {
  readonly release: Release;
  facts: WorkloadFacts | null = null;
  plan: Plan | null = null;
  findings: Finding[] = [];
  /** How the workload looked last. */
  observation: Observation | null = null;
  /** Why the workload cannot be seen at the moment; nothing moves forward then. */
  unseen: string | null = null;
  /** Set when the first write may have happened: from here on there is something to undo. */
  begun = false;
  /** The first write has landed: the workload carries this release's record. */
  afloat = false;
  /** What the object should look like now; see the activity `watch`. */
  expect: 'held' | 'rolling' | 'promoted' | 'restored' = 'held';
  aim: Aim | null = null;
  accepted: string[] = [];
  stop: Stop | null = null;
  outcome: Outcome | null = null;
  reason: string | null = null;
  /** A move of the hold is on its way and has not been seen yet. */
  steering = false;
  /** A person said `promote`: skip what remains. */
  skipping = false;
  /** The phase that the index of workflows shows. */
  shownPhase: Phase | null = null;
  /** Counts every change, so that whoever shows the release knows when to show it anew. */
  changes = 0;
  readonly timeline: TimelineEntry[] = [];

  #phase: Exclude<Phase, 'paused'> = 'preflight';
  #step: number | null = null;
  #paused: ReleaseStatus['paused'] = null;
  #gate: Omit<GateStatus, 'expires'> | null = null;
  #clock: StepClock | null = null;
  readonly #deadline: Stopwatch;
  readonly #alerts = new Map<string, AlertNotice>();
  readonly #startedAt: number;
  #finishedAt: number | null = null;
  readonly input: ReleaseInput;
  readonly id: string;
  readonly run: string;

  constructor(input: ReleaseInput, id: string, run: string, now: number) {
    this.input = input;
    this.id = id;
    this.run = run;
    this.release = input.release;
    this.#deadline = new Stopwatch(milliseconds(input.release.spec.guards.deadline));
    this.#startedAt = now;
  }

  // ---- what the story does -------------------------------------------------------------------------------------

  planned(facts: WorkloadFacts): void {
    this.facts = facts;
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
    this.aim = aimOf(step) ?? this.aim;
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
      revision: this.revision,
      approvals: [],
      needed: gate.approvals,
      fourEyes: gate.fourEyes,
    };
    this.#startClock(milliseconds(gate.expires), 'the gate expires and the release is rolled back', now);
  }

  closeStep(now: number): void {
    this.#gate = null;
    this.#clock = null;
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
    this.#clock = null;
    this.#paused = null;
    this.#step = null;
    this.#phase = 'rolling-back';
    this.expect = 'restored';
    this.aim = null;
    this.accepted = [];
    this.#retime(now);
  }

  finish(outcome: Outcome, reason: string, now: number): void {
    this.outcome = outcome;
    this.reason = reason;
    this.#phase = outcome;
    this.#gate = null;
    this.#clock = null;
    this.#paused = null;
    this.#step = null;
    this.#finishedAt = now;
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

  /** The record is being taken off the workload by ourselves: its absence is no drift. */
  leaving = false;

  /** Takes an observation in: what guards say, drift, and a plan for a new replica count. */
  observed(observation: Observation, now: number): void {
    this.#sight(observation.unseen ?? null, now);
    if (observation.unseen !== undefined) return;
    this.observation = this.leaving ? { ...observation, drift: [] } : observation;
    this.changes++;
    if (this.facts && this.plan && observation.replicas > 0 && observation.replicas !== this.plan.replicas) {
      this.note(
        `replicas changed from ${this.plan.replicas} to ${observation.replicas}; the plan follows`,
        now,
      );
      this.plan = planOf(this.release, this.facts.undo, observation.replicas);
    }
    if (this.stop) return;
    if (observation.missing)
      this.halt({ outcome: 'failed', reason: 'the workload was deleted or replaced' }, now);
    const problem = observation.problems[0];
    if (problem && this.release.spec.guards.pods)
      this.halt({ outcome: 'rolled-back', reason: problemText(problem) }, now);
    const drift = this.observation.drift.find(({ id }) => !this.accepted.includes(id));
    if (drift && !this.#paused) {
      const why = `${drift.manager} changed ${drift.field} from ${drift.expected} to ${drift.found}`;
      this.pause('slipway', `${why}; resume accepts it, abort puts the old images back`, now);
    }
  }

  /** Unknown never promotes: what cannot be seen bakes no further, and is seen anew before anything moves. */
  #sight(unseen: string | null, now: number): void {
    if ((unseen === null) !== (this.unseen === null)) {
      this.note(unseen === null ? 'the workload is seen again' : `nothing moves, since ${unseen}`, now);
    }
    this.unseen = unseen;
    this.#retime(now);
  }

  /** From here on only what is seen anew counts. */
  forget(): void {
    this.observation = null;
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
    this.skipping = true;
    this.#paused = null;
    this.accept();
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
    this.accept();
    this.note(`${by} resumed`, now);
    this.#retime(now);
  }

  /** Whatever another hand changed so far is taken as it is. */
  accept(): void {
    const drifted = (this.observation?.drift ?? []).map(({ id }) => id);
    this.accepted = [...new Set([...this.accepted, ...drifted])];
  }

  // ---- what the story asks -------------------------------------------------------------------------------------

  get paused(): boolean {
    return this.#paused !== null;
  }

  /** Where the release is, paused or not. */
  get phase(): Phase {
    return this.#paused && !this.outcome ? 'paused' : this.#phase;
  }

  /** What approvals are bound to: the canary's pod-template-hash, or the version before there is a canary. */
  get revision(): string {
    const images = Object.values(this.facts?.images ?? {});
    return this.observation?.canary.hash ?? images.map(versionOf).join(',');
  }

  /** The canary is at the current aim and ready. */
  get settled(): boolean {
    return this.nextMove()?.kind === 'reached';
  }

  /** The rollout to the new revision has come to its end. */
  get launched(): boolean {
    const seen = this.#atRest;
    return seen !== null && seen.canary.hash !== null && seen.canary.pods > 0;
  }

  get gone(): boolean {
    return this.observation?.missing ?? false;
  }

  /** Where the pods are being moved to, for summaries. */
  get settleText(): string {
    if (!this.aim) return 'all pods';
    return this.aim.kind === 'weight' ? `weight ${this.aim.percent} %` : `${this.aim.percent} % of the pods`;
  }

  /** What a release that does not get on is waiting for, or an empty text. */
  get standstill(): string {
    const seen = this.observation;
    if (this.unseen) return this.unseen;
    if (!seen) return this.begun ? 'the workload has not been seen since the first write' : '';
    const { canary } = seen;
    return canary.ready < canary.pods ? `${canary.ready} of ${canary.pods} new pods are ready` : '';
  }

  /** Stable serves at full strength and nothing of this release is left on the object. */
  get restored(): boolean {
    const seen = this.#atRest;
    return seen !== null && seen.canary.pods === 0 && seen.record !== 'ours';
  }

  /** The workload as it is seen now, when its rollout is complete and nothing holds it. */
  get #atRest(): Observation | null {
    const seen = this.observation;
    return this.unseen === null && seen?.complete && seen.hold === null ? seen : null;
  }

  get gateOpen(): boolean {
    return this.#gate !== null && isOpen(this.#gate, this.input.starter);
  }

  /** The open gate as approvers see it. */
  gate(now: number): GateStatus | null {
    if (!this.#gate) return null;
    return { ...this.#gate, expires: iso(now + (this.#clock?.watch.remaining(now) ?? 0)) };
  }

  /** Milliseconds that the current step's clock still has to run; infinite while it stands still. */
  stepRemaining(now: number): number {
    const watch = this.#clock?.watch;
    return watch?.running ? watch.remaining(now) : Number.POSITIVE_INFINITY;
  }

  /** Milliseconds to the deadline; infinite while that clock stands still. */
  deadlineRemaining(now: number): number {
    return this.#deadline.running ? this.#deadline.remaining(now) : Number.POSITIVE_INFINITY;
  }

  get limits(): Limits {
    const { undo, replicas } = this.#known();
    return limitsOf(strategyOf(this.release, undo.strategy), this.observation?.replicas ?? replicas);
  }

  /** The move that brings the workload closer to the current aim; `null` while there is nothing to steer by. */
  nextMove(): Move | null {
    return this.unseen === null ? this.#lastMove() : null;
  }

  /** What to do next by what was seen last. */
  #lastMove(): Move | null {
    const seen = this.observation;
    if (!this.aim || !seen?.hold || !seen.canary.hash || seen.replicas === 0) return null;
    const now = { canary: seen.canary.pods, stable: seen.stable.pods };
    // In the middle of a scaling one ReplicaSet has its new size and the other not yet; a move from there would miss.
    if (now.canary + now.stable + seen.others !== seen.replicas + seen.hold.surge) return null;
    const target = targetOf(this.aim, seen.replicas, this.limits, now);
    const standing = { ...now, replicas: seen.replicas, ready: seen.canary.ready, hold: seen.hold };
    return nextMove(standing, target, this.limits);
  }

  /** Ready canary pods that matter to the next decision. */
  get settle(): number {
    if (this.expect !== 'held') return 0;
    const move = this.#lastMove();
    return move?.kind === 'wait' ? move.ready : (this.observation?.canary.pods ?? 1);
  }

  status(now: number): ReleaseStatus {
    const seen = this.observation;
    const images = this.facts?.images ?? this.release.spec.images ?? { '': this.release.spec.image ?? '' };
    const empty = { hash: null, pods: 0, ready: 0 };
    const split = { canary: seen?.canary.pods ?? 0, stable: seen?.stable.pods ?? 0 };
    const step = this.#step === null ? undefined : this.plan?.steps[this.#step];
    return {
      id: this.id,
      run: this.run,
      namespace: this.release.metadata.namespace,
      workload: this.release.metadata.name,
      image: imageText(images),
      reason: this.reason ?? this.stop?.reason ?? null,
      releaseReason: this.release.spec.reason,
      starter: this.input.starter,
      key: this.input.key,
      phase: this.phase,
      step:
        step === undefined || this.#step === null
          ? null
          : { index: this.#step + 1, total: this.plan?.steps.length ?? 0, text: describeStep(step) },
      plan: this.plan,
      stable: { ...(seen?.stable ?? this.#stableBefore()), image: imageText(this.facts?.undo.images ?? {}) },
      canary: {
        ...(seen?.canary ?? empty),
        image: imageText(images),
        weight: Math.round(weightOf(split) * 10) / 10,
      },
      gate: this.gate(now),
      paused: this.#paused,
      outcome: this.outcome,
      ...this.#upcoming(now),
      findings: this.findings,
      problems: seen?.problems ?? [],
      drift: seen?.drift ?? [],
      alerts: [...this.#alerts.values()],
      timeline: this.timeline,
      startedAt: iso(this.#startedAt),
      finishedAt: this.#finishedAt === null ? null : iso(this.#finishedAt),
    };
  }

  /** What happens next by itself: the earlier of the step's clock and the deadline. */
  #upcoming(now: number): Pick<ReleaseStatus, 'deadline' | 'next'> {
    const events = [
      { due: this.#clock?.watch.due(now) ?? null, next: this.#clock?.then ?? '' },
      { due: this.#deadline.due(now), next: 'the deadline passes and the release is rolled back' },
    ].flatMap(({ due, next }) => (due === null ? [] : [{ due, next }]));
    const first = events.sort((a, b) => a.due - b.due)[0];
    return first ? { deadline: iso(first.due), next: first.next } : { deadline: null, next: null };
  }

  #stableBefore(): Observation['stable'] {
    const replicas = this.facts?.replicas ?? 0;
    return { hash: this.facts?.undo.stableHash ?? null, pods: replicas, ready: replicas };
  }

  #known(): WorkloadFacts {
    if (!this.facts) throw new TypeError('the release has no facts before preflight');
    return this.facts;
  }

  #startClock(span: number, then: string, now: number): void {
    this.#clock = { watch: new Stopwatch(span), then };
    this.#retime(now);
  }

  /** Every clock runs exactly while it should: none in a pause, the deadline only on the way to 100 %. */
  #retime(now: number): void {
    const moving = !this.#paused && !this.stop && !this.outcome;
    const underway = this.#phase === 'progressing' || this.#phase === 'baking' || this.#phase === 'promoting';
    run(this.#deadline, moving && this.begun && underway, now);
    // A bake and a guard watch; a gate waits for people, who need no eyes of ours.
    const watching = this.#phase === 'baking' || this.#phase === 'guarding';
    if (this.#clock) run(this.#clock.watch, moving && !(watching && this.unseen), now);
    this.changes++;
  }
}

function run(watch: Stopwatch, running: boolean, now: number): void {
  if (running) watch.start(now);
  else watch.stop(now);
}

function problemText({ pod, container, reason, message }: Observation['problems'][number]): string {
  const where = container ? `container ${container} of pod ${pod}` : `pod ${pod}`;
  return message ? `${where}: ${reason}: ${message}` : `${where}: ${reason}`;
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
