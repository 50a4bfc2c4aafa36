import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  firstHold,
  holdFields,
  holdFor,
  limitsOf,
  nextMove,
  splitFor,
  splitForShare,
  weightOf,
  type Limits,
  type RollingStrategy,
  type Split,
} from '../../src/domain/workload/canary.ts';
import type { Hold } from '../../src/domain/workload/types.ts';

/**
 * A model of what the Deployment controller does with a held Deployment: one call is its whole reaction to a spec.
 * New pods start unready and never become available; old pods are ready (Kubernetes, deployment/rolling.go).
 */
class HeldDeployment {
  canary = 0;
  ready = 0;
  stable: number;
  readonly replicas: number;
  readonly hold: Hold = { surge: 0, unavailable: 0 };
  constructor(replicas: number) {
    this.replicas = replicas;
    this.stable = replicas;
  }
  apply(hold: Hold): void {
    Object.assign(this.hold, hold);
    this.stable = Math.min(this.stable, Math.max(0, this.replicas - hold.unavailable));
    const room = this.replicas + hold.surge - this.stable - this.canary;
    this.canary = Math.min(this.replicas, this.canary + Math.max(0, room));
  }
}

const intOrPercent = fc.oneof(
  fc.integer({ min: 0, max: 12 }),
  fc.integer({ min: 0, max: 100 }).map((p) => `${p}%`),
);
const strategy: fc.Arbitrary<RollingStrategy> = fc.record({
  maxSurge: intOrPercent,
  maxUnavailable: intOrPercent,
});
const replicas = fc.integer({ min: 1, max: 250 });
const weight = fc.integer({ min: 1, max: 100 });

/** Drives a model to a split one ready pod at a time, checking both promises after every reaction. */
function drive(model: HeldDeployment, target: Split, limits: Limits): number {
  let writes = 0;
  for (let turn = 0; turn < 4 * model.replicas + 20; turn++) {
    const move = nextMove(model, target, limits);
    if (move.kind === 'reached') return writes;
    if (move.kind === 'adjust') {
      model.apply(move.hold);
      writes++;
      expect(move.hold.surge + move.hold.unavailable).toBeGreaterThan(0);
    } else {
      expect(model.ready, 'waits for a pod that exists').toBeLessThan(model.canary);
      model.ready++;
    }
    expect(model.canary + model.stable, 'pods').toBeLessThanOrEqual(model.replicas + limits.surge);
    expect(model.stable + model.ready, 'serving').toBeGreaterThanOrEqual(model.replicas - limits.unavailable);
  }
  throw new Error(`never reached ${JSON.stringify({ model, target, limits })}`);
}

describe('promises of the replica arithmetic', () => {
  test('never fewer pods serving than maxUnavailable allows, never more pods than surge allows, and every weight is reached', () => {
    fc.assert(
      fc.property(
        replicas,
        strategy,
        fc.uniqueArray(weight, { minLength: 1, maxLength: 4 }),
        (r, own, weights) => {
          const limits = limitsOf(own, r);
          const model = new HeldDeployment(r);
          for (const w of weights.sort((a, b) => a - b)) {
            const target = splitFor(w, r, limits, model.canary > 0 ? model : undefined);
            drive(model, target, limits);
            expect({ canary: model.canary, stable: model.stable }).toEqual(target);
          }
        },
      ),
      { numRuns: 400 },
    );
  });

  test('the first hold starts a canary pod and keeps both promises before any is ready', () => {
    fc.assert(
      fc.property(replicas, strategy, weight, (r, own, w) => {
        const limits = limitsOf(own, r);
        const model = new HeldDeployment(r);
        model.apply(firstHold(splitFor(w, r, limits), r, limits));
        expect(model.canary).toBeGreaterThan(0);
        expect(model.canary + model.stable).toBeLessThanOrEqual(r + limits.surge);
        expect(model.stable).toBeGreaterThanOrEqual(r - limits.unavailable);
      }),
    );
  });

  test('no split within reach is closer to the weight by more than a quarter of a pod', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 60 }), strategy, weight, (r, own, w) => {
        const limits = limitsOf(own, r);
        const chosen = Math.abs(weightOf(splitFor(w, r, limits)) - w);
        for (let stable = 0; stable <= r; stable++) {
          for (
            let canary = Math.max(1, r - stable);
            canary <= Math.min(r, r + limits.surge - stable);
            canary++
          ) {
            expect(chosen).toBeLessThanOrEqual(Math.abs(weightOf({ canary, stable }) - w) + 25 / r + 1e-9);
          }
        }
      }),
    );
  });

  test('a hold is written so that Kubernetes reads back exactly the same pods', () => {
    fc.assert(
      fc.property(replicas, strategy, weight, (r, own, w) => {
        const hold = holdFor(splitFor(w, r, limitsOf(own, r)), r);
        expect(limitsOf(holdFields(hold, r, own), r)).toEqual(hold);
      }),
    );
  });

  test('scaling under a resting hold keeps the floor: no more old pods are let go than the weight means', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 100 }),
        fc.integer({ min: 1, max: 100 }),
        weight,
        (from, to, w) => {
          const own = { maxSurge: '25%', maxUnavailable: '25%' };
          const hold = holdFor(splitFor(w, from, limitsOf(own, from)), from);
          const after = limitsOf(holdFields(hold, from, own), to);
          expect(after.unavailable / to).toBeLessThanOrEqual(
            hold.unavailable / from + 1 / Math.min(from, to) + 1e-9,
          );
          expect(after.surge).toBeLessThanOrEqual(limitsOf(own, to).surge);
        },
      ),
    );
  });
});

describe('worked examples', () => {
  const own = { maxSurge: '25%', maxUnavailable: '25%' };
  test.each<[number, number, Split]>([
    [25, 4, { canary: 1, stable: 4 }],
    [50, 4, { canary: 2, stable: 2 }],
    [100, 4, { canary: 4, stable: 0 }],
    [10, 100, { canary: 11, stable: 100 }],
    [25, 1, { canary: 1, stable: 1 }],
  ])('%i %% of %i replicas is %j', (w, r, split) => {
    expect(splitFor(w, r, limitsOf(own, r))).toEqual(split);
  });

  test('limits round as Kubernetes does, and both zero means one unavailable', () => {
    expect(limitsOf({ maxSurge: '25%', maxUnavailable: '25%' }, 10)).toEqual({ surge: 3, unavailable: 2 });
    expect(limitsOf({ maxSurge: 0, maxUnavailable: '10%' }, 4)).toEqual({ surge: 0, unavailable: 1 });
    expect(limitsOf({ maxSurge: '7%', maxUnavailable: 0 }, 100)).toEqual({ surge: 7, unavailable: 0 });
  });

  test('with one surge pod and nothing unavailable, 50 % of four is reached in three moves', () => {
    const limits = { surge: 1, unavailable: 0 };
    const model = new HeldDeployment(4);
    expect(drive(model, splitFor(50, 4, limits), limits)).toBe(3);
  });

  test('a share of a roll is that share of the replicas, rounded up', () => {
    expect(splitForShare(25, 4)).toEqual({ canary: 1, stable: 3 });
    expect(splitForShare(25, 10)).toEqual({ canary: 3, stable: 7 });
    expect(splitForShare(50, 4, { canary: 3, stable: 1 })).toEqual({ canary: 3, stable: 1 });
  });
});
