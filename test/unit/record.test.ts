import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  HELD_MIN_READY_SECONDS,
  HELD_PROGRESS_DEADLINE_SECONDS,
  RECORD_ANNOTATION,
} from '../../src/domain/names.ts';
import type { Deployment } from '../../src/domain/workload/objects.types.ts';
import {
  formatRecord,
  holdOf,
  isHeld,
  parseRecord,
  RECORD_LABEL,
  recordState,
} from '../../src/domain/workload/record.ts';
import type { Decision } from '../../src/domain/workload/patch.ts';
import { finishPatch, rollBackPatch } from '../../src/domain/workload/patch-back.ts';
import {
  adjustPatch,
  amendPatch,
  type Begin,
  beginPatch,
  promotePatch,
} from '../../src/domain/workload/patch-forward.ts';
import { ACTOR, deployment, NEW, OLD, patched, recording, UNDO } from './kubernetes.objects.ts';

const NOW = '2026-01-01T00:00:00.000Z';
const ORDER = { actor: ACTOR, undo: UNDO, images: { app: NEW } };
const BEGIN: Begin = {
  ...ORDER,
  hold: { maxSurge: 1, maxUnavailable: 0 },
  replicas: 4,
  rolling: null,
  changeCause: `x (${ACTOR.id})`,
};
const ANOTHER = { id: 'release.shop.other', run: 'run-9' };

function apply(object: Deployment, decision: Decision): Deployment {
  if (decision.do !== 'patch') throw new Error(`no patch: ${JSON.stringify(decision)}`);
  return patched(object, decision.patch);
}

const begun = (object = deployment(), order = BEGIN): Deployment =>
  apply(object, beginPatch(object, order, NOW));
const guarding = (): Deployment => apply(begun(), promotePatch(begun(), ORDER));

/** What is left after a release must not differ in anything but versions. */
function own({ metadata, spec }: Deployment): object {
  const { annotations = {}, labels = {} } = metadata;
  return { annotations, labels, spec };
}

describe('a record', () => {
  it('of a release under way is believed', () => {
    expect(recordState(begun())).toMatchObject({
      state: 'live',
      record: { ...ACTOR, phase: 'held', at: NOW },
    });
    const { deployment: real } = recording('canary-ready');
    expect(recordState(real)).toMatchObject({ state: 'live', record: ACTOR });
  });

  it('that an old ReplicaSet gave back is not: labels are not copied', () => {
    const object = begun();
    object.metadata.labels = {};
    expect(recordState(object)).toMatchObject({
      state: 'stale',
      why: expect.stringContaining('old ReplicaSet'),
    });
  });

  it('of an earlier run is not believed beside the label of a later one', () => {
    const later = begun(deployment(), { ...BEGIN, actor: { ...ACTOR, run: 'run-2' } });
    const ghost = patched(later, { metadata: { annotations: begun().metadata.annotations } });
    expect(recordState(ghost)).toMatchObject({ state: 'stale' });
  });

  it('of a deleted namesake is not believed', () => {
    const object = begun();
    object.metadata.uid = 'uid-new';
    expect(recordState(object)).toMatchObject({
      state: 'stale',
      why: expect.stringContaining('another object'),
    });
  });

  it.each(['', 'null', '[]', '{}', '{"v":1}', '{"v":2}', 'not json', '{"v":1,"undo":{"images":{"app":""}}}'])(
    'that somebody mangled is not believed: %j',
    (text) => {
      expect(
        recordState(patched(begun(), { metadata: { annotations: { [RECORD_ANNOTATION]: text } } })),
      ).toMatchObject({
        state: 'stale',
        record: null,
      });
    },
  );

  it('is read back as it was written, and losing any part of it makes it unreadable', () => {
    const text = begun().metadata.annotations?.[RECORD_ANNOTATION] ?? '';
    const record = parseRecord(text);
    if (!record) throw new Error('unreadable');
    expect(formatRecord(record)).toBe(text);
    for (const key of Object.keys(record)) {
      const { [key]: _, ...rest } = JSON.parse(text) as Record<string, unknown>;
      expect(parseRecord(JSON.stringify(rest)), key).toBeNull();
    }
  });
});

describe('begin', () => {
  it('writes images, hold, record and cause in one patch', () => {
    const object = begun();
    expect(object.spec.template.spec.containers[0]).toEqual({ name: 'app', image: NEW, readinessProbe: {} });
    expect(object.spec).toMatchObject({
      minReadySeconds: HELD_MIN_READY_SECONDS,
      progressDeadlineSeconds: HELD_PROGRESS_DEADLINE_SECONDS,
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
    });
    expect(object.metadata.annotations?.['kubernetes.io/change-cause']).toBe(BEGIN.changeCause);
    expect(isHeld(object)).toBe(true);
    expect(holdOf(object)).toEqual({ surge: 1, unavailable: 0 });
  });

  it('without a hold leaves the deadlines alone', () => {
    const object = begun(deployment(), { ...BEGIN, hold: null, rolling: { maxSurge: 2, maxUnavailable: 0 } });
    expect(object.spec).toMatchObject({
      progressDeadlineSeconds: 600,
      strategy: { rollingUpdate: { maxSurge: 2 } },
    });
    expect(object.spec).not.toHaveProperty('minReadySeconds');
    expect(recordState(object)).toMatchObject({ state: 'live', record: { phase: 'rolling' } });
  });

  it('a second time writes nothing', () => {
    expect(beginPatch(begun(), BEGIN, NOW)).toEqual({ do: 'nothing' });
    const scaled = begun();
    scaled.spec.replicas = 9;
    expect(beginPatch(scaled, BEGIN, NOW)).toEqual({ do: 'nothing' });
  });

  it('refuses where another release is under way', () => {
    const decision = beginPatch(begun(), { ...BEGIN, actor: ANOTHER }, NOW);
    expect(decision).toMatchObject({
      do: 'refuse',
      why: 'RecordOfAnother',
      message: expect.stringContaining(ACTOR.id),
    });
  });

  it('writes over what a dead run of its own left in phase guarding, and not over what it left held', () => {
    const actor = { ...ACTOR, run: 'run-2' };
    const next = {
      ...BEGIN,
      actor,
      undo: { ...UNDO, images: { app: NEW } },
      images: { app: 'ecommerce/product-service:v1.2.0' },
    };
    expect(beginPatch(guarding(), next, NOW)).toMatchObject({ do: 'patch' });
    expect(beginPatch(begun(), next, NOW)).toMatchObject({ do: 'refuse', why: 'RecordOfAnother' });
  });

  it('is for the replica count that it was computed for', () => {
    expect(beginPatch(deployment({ replicas: 5 }), BEGIN, NOW)).toEqual({ do: 'stale' });
  });

  it.each<[string, Partial<Deployment['spec']>]>([
    ['another image', { template: { spec: { containers: [{ name: 'app', image: 'v9' }] } } }],
    ['a container less', { template: { spec: { containers: [{ name: 'other', image: OLD }] } } }],
    ['a pause', { paused: true }],
    ['another strategy', { strategy: { type: 'Recreate' } }],
    [
      'another maxSurge',
      { strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: '25%' } } },
    ],
    ['another minReadySeconds', { minReadySeconds: 3 }],
    ['another deadline', { progressDeadlineSeconds: 60 }],
  ])('refuses a workload that changed after the plan: %s', (_, spec) => {
    expect(beginPatch(deployment(spec), BEGIN, NOW)).toMatchObject({ do: 'refuse', why: 'WorkloadChanged' });
  });
});

describe('adjust', () => {
  const order = { actor: ACTOR, hold: { maxSurge: 1, maxUnavailable: '25%' }, replicas: 4 };

  it('moves the hold and nothing else', () => {
    const moved = apply(begun(), adjustPatch(begun(), order));
    expect(holdOf(moved)).toEqual({ surge: 1, unavailable: 1 });
    expect(moved.spec.template).toEqual(begun().spec.template);
    expect(adjustPatch(moved, order)).toEqual({ do: 'nothing' });
  });

  it('is stale for another replica count', () => {
    expect(adjustPatch({ ...begun(), spec: { ...begun().spec, replicas: 6 } }, order)).toEqual({
      do: 'stale',
    });
  });

  it('of a straggler cannot hold again what was promoted, rolled back, or is another’s', () => {
    const refused = { do: 'refuse', why: 'RecordOfAnother' };
    expect(adjustPatch(guarding(), order)).toMatchObject(refused);
    expect(adjustPatch(deployment(), order)).toMatchObject(refused);
    expect(adjustPatch(begun(), { ...order, actor: ANOTHER })).toMatchObject(refused);
  });
});

describe('promote', () => {
  it('gives the workload its own strategy back and keeps the record', () => {
    const object = guarding();
    const { spec } = deployment();
    expect(object.spec).toEqual({ ...spec, template: begun().spec.template });
    expect(recordState(object)).toMatchObject({
      state: 'live',
      record: { phase: 'guarding', strategy: null },
    });
    expect(promotePatch(object, ORDER)).toEqual({ do: 'nothing' });
  });

  it('refuses without its record', () => {
    expect(promotePatch(deployment(), ORDER)).toMatchObject({ do: 'refuse', why: 'RecordOfAnother' });
  });
});

describe('finish', () => {
  it('takes the record away and leaves the change cause', () => {
    const object = apply(guarding(), finishPatch(guarding(), ORDER));
    expect(object.metadata.annotations).toMatchObject({ 'kubernetes.io/change-cause': BEGIN.changeCause });
    expect(object.metadata.annotations).not.toHaveProperty([RECORD_ANNOTATION]);
    expect(object.metadata.labels).not.toHaveProperty([RECORD_LABEL]);
    expect(finishPatch(object, ORDER)).toEqual({ do: 'nothing' });
  });

  it('does not let go of what is still held', () => {
    expect(finishPatch(begun(), ORDER)).toMatchObject({ do: 'refuse' });
  });
});

describe('rollback', () => {
  it.each([
    ['held', begun()],
    ['guarding', guarding()],
    ['rolling', begun(deployment(), { ...BEGIN, hold: null, rolling: { maxSurge: 3, maxUnavailable: 1 } })],
    ['half begun: nothing was written', deployment()],
  ])('from %s leaves the workload as it was, and twice is once', (_, object) => {
    const decision = rollBackPatch(object, ORDER);
    const after = decision.do === 'patch' ? patched(object, decision.patch) : object;
    expect(own(after)).toEqual(own({ ...deployment(), metadata: { ...deployment().metadata, labels: {} } }));
    expect(rollBackPatch(after, ORDER)).toEqual({ do: 'nothing' });
  });

  it('never touches the work of another release', () => {
    expect(rollBackPatch(begun(), { ...ORDER, actor: ANOTHER })).toMatchObject({
      do: 'refuse',
      why: 'RecordOfAnother',
    });
  });

  it('leaves alone what another hand took over after removing the record', () => {
    const taken = patched(begun(), {
      metadata: { annotations: { [RECORD_ANNOTATION]: null }, labels: { [RECORD_LABEL]: null } },
      spec: { template: { spec: { containers: [{ name: 'app', image: 'hotfix' }] } } },
    });
    const after = apply(taken, rollBackPatch(taken, ORDER));
    expect(after.spec.template.spec.containers[0]?.image).toBe('hotfix');
    expect(isHeld(after)).toBe(false);
  });

  it('puts the strategy back when only the annotations are gone, as after `kubectl rollout undo`', () => {
    const undone = patched(begun(), {
      metadata: { annotations: { [RECORD_ANNOTATION]: null, 'kubernetes.io/change-cause': null } },
      spec: { template: { spec: { containers: [{ name: 'app', image: OLD }] } } },
    });
    const after = apply(undone, rollBackPatch(undone, ORDER));
    expect(own(after)).toEqual(own({ ...deployment(), metadata: { ...deployment().metadata, labels: {} } }));
  });

  it('does not bring back a container that is gone', () => {
    const object = begun();
    object.spec.template.spec.containers = [{ name: 'renamed', image: 'x' }];
    const after = apply(object, rollBackPatch(object, ORDER));
    expect(after.spec.template.spec.containers).toEqual([{ name: 'renamed', image: 'x' }]);
  });

  it('undoes every way to begin, whatever the workload’s own settings', () => {
    const share = fc.integer({ min: 1, max: 100 }).map((n) => `${n}%`);
    const amount = fc.oneof(fc.integer({ min: 1, max: 9 }), share);
    const settings = fc.record({
      maxSurge: amount,
      maxUnavailable: fc.oneof(fc.constant(0), amount),
      minReadySeconds: fc.integer({ min: 0, max: 60 }),
      progressDeadlineSeconds: fc.integer({ min: 61, max: 900 }),
      cause: fc.option(fc.string({ minLength: 1 })),
      hold: fc.option(fc.record({ maxSurge: amount, maxUnavailable: amount })),
      steps: fc.array(fc.constantFrom('adjust', 'promote'), { maxLength: 3 }),
    });
    fc.assert(
      fc.property(
        settings,
        ({ maxSurge, maxUnavailable, minReadySeconds, progressDeadlineSeconds, cause, hold, steps }) => {
          const strategy = { maxSurge, maxUnavailable };
          const before = deployment(
            {
              strategy: { type: 'RollingUpdate', rollingUpdate: strategy },
              progressDeadlineSeconds,
              ...(minReadySeconds > 0 && { minReadySeconds }),
            },
            { annotations: cause ? { 'kubernetes.io/change-cause': cause } : {}, labels: {} },
          );
          const order = { ...ORDER, undo: { ...UNDO, strategy, minReadySeconds, progressDeadlineSeconds } };
          let object = begun(before, { ...BEGIN, ...order, hold });
          for (const step of steps) {
            const decision =
              step === 'promote'
                ? promotePatch(object, order)
                : adjustPatch(object, { ...order, hold: { maxSurge: 1, maxUnavailable: 1 }, replicas: 4 });
            if (decision.do === 'patch') object = patched(object, decision.patch);
          }
          expect(own(apply(object, rollBackPatch(object, order)))).toEqual(own(before));
        },
      ),
    );
  });
});

describe('a template that admission changed', () => {
  it('is taken for what was launched, not for drift', () => {
    const pinned = patched(begun(), {
      spec: { template: { spec: { containers: [{ name: 'app', image: `${NEW}@sha256:1` }] } } },
    });
    const amended = apply(pinned, amendPatch(pinned));
    expect(amendPatch(amended)).toEqual({ do: 'nothing' });
    expect(amendPatch(begun())).toEqual({ do: 'nothing' });
  });
});
