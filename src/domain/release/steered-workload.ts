/** The workload as a release sees and steers it: how it looked last, where its pods are to go, and the next safe move. */
import type { Release } from '../../specs/release.types.ts';
import { limitsOf, nextMove, type Limits, type Move } from '../workload/canary.ts';
import type { Drift, Observation, RevisionState, WorkloadFacts } from '../workload/types.ts';
import { versionOf } from './announcement.ts';
import { aimOf, strategyOf, targetOf, type Aim } from './plan.ts';
import type { PlannedStep } from './types.ts';

const NO_PODS: RevisionState = { hash: null, pods: 0, ready: 0 };

/** One release's knowledge of its workload. Nothing in here writes. */
export class SteeredWorkload {
  /** What preflight read; `null` before. */
  facts: WorkloadFacts | null = null;
  /** How the workload looked last. */
  observation: Observation | null = null;
  /** Why the workload cannot be seen at the moment; nothing moves forward then. */
  unseen: string | null = null;
  /** What the object should look like now; see the activity `watch`. */
  expect: 'held' | 'rolling' | 'promoted' | 'restored' = 'held';
  aim: Aim | null = null;
  /** Drift that a person took as it is, by id. */
  accepted: string[] = [];
  /** A move of the hold is on its way and has not been seen yet. */
  steering = false;
  /** The record is being taken off the workload by ourselves: its absence is no drift. */
  leaving = false;
  readonly #release: Release;

  constructor(release: Release) {
    this.#release = release;
  }

  /** A step of the plan is entered; one that moves no pods leaves the aim where it was. */
  aimAt(step: PlannedStep): void {
    this.aim = aimOf(step) ?? this.aim;
  }

  /** From here on there is only the way back. */
  turnBack(): void {
    this.expect = 'restored';
    this.aim = null;
    this.accepted = [];
  }

  see(observation: Observation): void {
    this.observation = this.leaving ? { ...observation, drift: [] } : observation;
  }

  /** From here on only what is seen anew counts. */
  forget(): void {
    this.observation = null;
  }

  /** Whatever another hand changed so far is taken as it is. */
  accept(): void {
    const drifted = (this.observation?.drift ?? []).map(({ id }) => id);
    this.accepted = [...new Set([...this.accepted, ...drifted])];
  }

  /** The first change by another hand that nobody has accepted. */
  get drift(): Drift | undefined {
    return this.observation?.drift.find(({ id }) => !this.accepted.includes(id));
  }

  /** What approvals are bound to: the canary's pod-template-hash, or the version before there is a canary. */
  get revision(): string {
    const images = Object.values(this.facts?.images ?? {});
    return this.observation?.canary.hash ?? images.map(versionOf).join(',');
  }

  /** Pods of the revision being left; before the first observation those that preflight counted. */
  get stable(): RevisionState {
    const replicas = this.facts?.replicas ?? 0;
    const before = { hash: this.facts?.undo.stableHash ?? null, pods: replicas, ready: replicas };
    return this.observation?.stable ?? before;
  }

  /** Pods of the revision being launched. */
  get canary(): RevisionState {
    return this.observation?.canary ?? NO_PODS;
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

  /** Where the pods are being moved to, for summaries. */
  get aimText(): string {
    if (!this.aim) return 'all pods';
    return this.aim.kind === 'weight' ? `weight ${this.aim.percent} %` : `${this.aim.percent} % of the pods`;
  }

  /** The move that brings the workload closer to the current aim; `null` while there is nothing to steer by. */
  nextMove(): Move | null {
    return this.unseen === null ? this.#lastMove() : null;
  }

  /** Ready canary pods that matter to the next decision. */
  get settle(): number {
    if (this.expect !== 'held') return 0;
    const move = this.#lastMove();
    return move?.kind === 'wait' ? move.ready : (this.observation?.canary.pods ?? 1);
  }

  /** What to do next by what was seen last. */
  #lastMove(): Move | null {
    const seen = this.observation;
    if (!this.aim || !seen?.hold || !seen.canary.hash || seen.replicas === 0) return null;
    const now = { canary: seen.canary.pods, stable: seen.stable.pods };
    // In the middle of a scaling one ReplicaSet has its new size and the other not yet; a move from there would miss.
    if (now.canary + now.stable + seen.others !== seen.replicas + seen.hold.surge) return null;
    const limits = this.#limits(seen.replicas);
    const target = targetOf(this.aim, seen.replicas, limits, now);
    const standing = { ...now, replicas: seen.replicas, ready: seen.canary.ready, hold: seen.hold };
    return nextMove(standing, target, limits);
  }

  #limits(replicas: number): Limits {
    if (!this.facts) throw new TypeError('the release has no facts before preflight');
    return limitsOf(strategyOf(this.#release, this.facts.undo.strategy), replicas);
  }
}
