/**
 * A workload in memory that reacts as the Deployment controller does, behind the activities of a release. For the
 * logic of workflows only; what Kubernetes really does is shown by the tests on the lab.
 */
import { ApplicationFailure, CancelledFailure, Context } from '@temporalio/activity';
import type { ReleaseActivities, WatchInput } from '../../src/activities/release/types.ts';
import { limitsOf, type RollingStrategy } from '../../src/domain/workload/canary.ts';
import { FAILURE } from '../../src/domain/failures.ts';
import { unseen } from '../../src/domain/workload/observe.ts';
import type { Drift, Finding, Observation, PodProblem, Undo } from '../../src/domain/workload/types.ts';

const OLD = { app: 'shop/app:v1' };
export const STABLE = '5d9c7b6f4';
export const CANARY = '7f6d8c9b5';

export class FakeCluster {
  replicas = 4;
  images: Record<string, string> = { ...OLD };
  own: RollingStrategy = { maxSurge: 1, maxUnavailable: 0 };
  strategy: RollingStrategy = this.own;
  held = false;
  record: string | null = null;
  stable = 4;
  canary = 0;
  /** Canary pods become ready at once unless a test says otherwise. */
  ready = (canary: number): number => canary;
  problems: PodProblem[] = [];
  drift: Drift[] = [];
  missing = false;
  /** The API server does not answer: nothing is read and nothing is written. */
  away = false;
  findings: Finding[] = [];
  /** Every write in order, in words. */
  readonly writes: string[] = [];
  /** Fewest pods serving and most pods existing at any moment. */
  readonly extremes = { serving: 4, pods: 4 };
  /** Called before an activity acts; throw or wait here to cause trouble. */
  before: (activity: string) => Promise<void> | void = () => {};

  readonly activities: ReleaseActivities = {
    preflight: async ({ release }) => {
      await this.before('preflight');
      const images = release.spec.images ?? { app: release.spec.image ?? '' };
      const facts = {
        uid: 'u',
        replicas: this.replicas,
        undo: this.#undo,
        revision: 1,
        images,
        autoscaler: null,
      };
      return { findings: this.findings, facts };
    },
    begin: async ({ actor, images, hold, rolling, replicas }) => {
      await this.before('begin');
      if (replicas !== this.replicas) return { result: 'stale' };
      if (this.record === actor.run) return { result: 'unchanged' };
      if (this.record) throw ApplicationFailure.nonRetryable('another release', FAILURE.recordOfAnother);
      this.#write(`begin ${JSON.stringify(hold)}`);
      this.record = actor.run;
      this.images = { ...this.images, ...images };
      this.strategy = hold ?? rolling ?? this.own;
      this.held = hold !== null;
      this.react();
      return { result: 'applied' };
    },
    adjust: async ({ actor, hold, replicas }) => {
      await this.before('adjust');
      this.#reach();
      if (this.record !== actor.run)
        throw ApplicationFailure.nonRetryable('no record', FAILURE.recordOfAnother);
      if (replicas !== this.replicas) return { result: 'stale' };
      this.#write(`adjust ${JSON.stringify(hold)}`);
      this.strategy = hold;
      this.react();
      return { result: 'applied' };
    },
    promote: async () => {
      await this.before('promote');
      this.#reach();
      this.#write('promote');
      this.strategy = this.own;
      this.held = false;
      this.react();
    },
    rollBack: async () => {
      await this.before('rollBack');
      this.#reach();
      if (this.missing) throw ApplicationFailure.nonRetryable('gone', FAILURE.workloadGone);
      if (this.record === null && !this.held && this.images['app'] === OLD.app) return;
      this.#write('rollBack');
      this.images = { ...OLD };
      this.strategy = this.own;
      this.held = false;
      this.record = null;
      this.react();
    },
    finish: async () => {
      await this.before('finish');
      this.#write('finish');
      this.record = null;
    },
    observe: async (input) => this.#look(input),
    watch: async (input) => {
      for (let turn = 0; turn < 3; turn++) {
        const observation = this.#look(input);
        if (observation.digest !== input.seen) return observation;
        Context.current().heartbeat();
        if (Context.current().cancellationSignal.aborted) throw new CancelledFailure('cancelled');
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      // The time-skipping server stands still while an activity runs, so a long watch is played by many short ones.
      const seconds = Math.min(20, Context.current().info.attempt);
      throw ApplicationFailure.create({ message: 'nothing new', nextRetryDelay: `${seconds}s` });
    },
  };

  /** What the Deployment controller makes of the spec. */
  react(): void {
    const launching = this.images['app'] !== OLD.app;
    if (launching && this.held) {
      const { surge, unavailable } = limitsOf(this.strategy, this.replicas);
      this.stable = Math.min(this.stable, this.replicas - unavailable);
      this.canary = Math.min(this.replicas, Math.max(this.canary, this.replicas + surge - this.stable));
    } else {
      this.stable = launching ? 0 : this.replicas;
      this.canary = launching ? this.replicas : 0;
    }
    this.#measure();
  }

  scale(replicas: number): void {
    const total = this.stable + this.canary;
    const { surge } = limitsOf(this.strategy, replicas);
    const wanted = this.held ? replicas + surge : replicas;
    this.canary = Math.round((this.canary * wanted) / total);
    this.stable = wanted - this.canary;
    this.replicas = replicas;
    this.extremes.serving = this.extremes.pods = this.stable + this.canary;
    this.react();
  }

  #measure(): void {
    const { extremes } = this;
    extremes.pods = Math.max(extremes.pods, this.stable + this.canary);
    extremes.serving = Math.min(extremes.serving, this.stable + this.ready(this.canary));
  }

  #reach(): void {
    if (this.away) throw ApplicationFailure.create({ message: 'no answer', type: 'ApiServerAway' });
  }

  #write(words: string): void {
    this.writes.push(words);
  }

  get #undo(): Undo {
    return {
      images: OLD,
      strategy: this.own,
      minReadySeconds: 0,
      progressDeadlineSeconds: 600,
      stableHash: STABLE,
    };
  }

  #look({ actor, settle, accepted }: WatchInput): Observation {
    if (this.away) return unseen(Date.now(), 'the API server does not answer');
    this.#measure();
    const ready = this.ready(this.canary);
    const launching = this.images['app'] !== OLD.app;
    const seen = {
      replicas: this.replicas,
      stable: { hash: STABLE, pods: this.stable, ready: this.stable },
      canary: { hash: this.canary > 0 ? CANARY : null, pods: this.canary, ready: Math.min(ready, settle) },
      others: 0,
      complete: !this.held && (launching ? ready === this.replicas : this.stable === this.replicas),
      hold: this.held ? limitsOf(this.strategy, this.replicas) : null,
      record:
        this.record === actor.run ? ('ours' as const) : this.record ? ('other' as const) : ('none' as const),
      problems: this.problems,
      drift: this.drift.filter(({ id }) => !accepted.includes(id)),
      missing: this.missing,
    };
    const canary = { ...seen.canary, ready };
    return { ...seen, canary, digest: JSON.stringify(seen), at: new Date().toISOString() };
  }
}
