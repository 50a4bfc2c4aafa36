import { describe, expect, it } from 'vitest';
import { driftOf, managerOf } from '../../src/domain/workload/drift.ts';
import type { Deployment, Pod, WorkloadObjects } from '../../src/domain/workload/objects.types.ts';
import { observe } from '../../src/domain/workload/observe.ts';
import { beginPatch } from '../../src/domain/workload/patch-forward.ts';
import {
  ACTOR,
  deployment,
  NEW,
  OLD,
  outlook,
  patched,
  podOf,
  recording,
  type Recording,
  replicaSet,
  UNDO,
} from './kubernetes.objects.ts';

const START = '2026-01-01T00:00:00Z';
const at = (seconds: number): number => Date.parse(START) + seconds * 1_000;
const BEGIN = {
  actor: ACTOR,
  undo: UNDO,
  images: { app: NEW },
  hold: { maxSurge: 1, maxUnavailable: 0 },
  replicas: 4,
  rolling: null,
  changeCause: 'x',
};

/** `web` held at one canary pod beside four stable ones. */
function held(canaryReady: string | null = '2026-01-01T00:00:10Z'): WorkloadObjects {
  const before = deployment();
  const decision = beginPatch(before, BEGIN, START);
  if (decision.do !== 'patch') throw new Error('not begun');
  const object = patched(before, decision.patch);
  object.status = {
    observedGeneration: 3,
    replicas: 5,
    updatedReplicas: 1,
    readyReplicas: 5,
    availableReplicas: 4,
  };
  const stable = replicaSet(before, 'aaa', OLD, 4, 1);
  const canary = replicaSet(before, 'bbb', NEW, 1, 2);
  const pods = [0, 1, 2, 3].map((index) => podOf(stable, `old-${index}`, START));
  return {
    deployment: object,
    replicaSets: [stable, canary],
    pods: [...pods, podOf(canary, 'new-0', canaryReady)],
  };
}

function real(name: Parameters<typeof recording>[0], health = { readyWithin: '10s', restarts: 0 }) {
  const { facts, at: time, ...objects }: Recording = recording(name);
  const { uid, undo, images } = facts;
  return observe(objects, outlook({ uid, undo, images, health }), Date.parse(time));
}

describe('an observation of a real node', () => {
  it('sees the canary beside stable', () => {
    const { observation, due } = real('canary-ready');
    expect(observation).toMatchObject({
      replicas: 2,
      stable: { pods: 2, ready: 2 },
      canary: { pods: 1, ready: 1 },
      others: 0,
      complete: false,
      hold: { surge: 1, unavailable: 0 },
      record: 'ours',
      problems: [],
      drift: [],
    });
    expect(due).toBeNull();
  });

  it.each([
    ['crash-loop', 'product-service', 'CrashLoopBackOff', 'last exit: exit code 1'],
    ['image-never-pull', 'product-service', 'ErrImageNeverPull', 'is not present with pull policy of Never'],
    ['never-ready', 'product-service', 'NotReady', 'readiness probe does not succeed'],
    ['quota', null, 'FailedCreate', 'exceeded quota'],
  ] as const)('names what is wrong: %s', (name, container, reason, words) => {
    const { observation } = real(name, { readyWithin: name === 'quota' ? '0s' : '10s', restarts: 99 });
    expect(observation.problems).toEqual([
      {
        pod: expect.stringMatching(/^product-service-/),
        container,
        reason,
        message: expect.stringContaining(words),
      },
    ]);
    expect(observation.digest).toContain(' p:');
  });
});

describe('readiness', () => {
  it('counts from the workload’s own minReadySeconds on, and says when that will be', () => {
    const undo = { ...UNDO, minReadySeconds: 30 };
    const early = observe(held(), outlook({ undo }), at(20));
    expect(early.observation.canary).toEqual({ hash: 'bbb', pods: 1, ready: 0 });
    expect(early.due).toBe(at(30));
    const late = observe(held(), outlook({ undo }), at(40));
    expect(late.observation.canary.ready).toBe(1);
    expect(late.due).toBeNull();
  });

  it('does not count a pod that is going', () => {
    const objects = held();
    const last = objects.pods.at(-1) as Pod;
    last.metadata.deletionTimestamp = START;
    expect(observe(objects, outlook(), at(20)).observation.canary.ready).toBe(0);
  });
});

describe('the digest', () => {
  const digest = (change: (objects: WorkloadObjects) => void, overrides = {}): string => {
    const objects = held();
    change(objects);
    return observe(objects, outlook(overrides), at(20)).observation.digest;
  };
  const same = digest(() => {});

  it.each<[string, (objects: WorkloadObjects) => void]>([
    [
      'a count in the status',
      ({ deployment: { status } }) => Object.assign(status ?? {}, { readyReplicas: 3 }),
    ],
    [
      'another resource version',
      ({ deployment: { metadata } }) => Object.assign(metadata, { resourceVersion: '99' }),
    ],
    [
      'a pod that goes',
      ({ pods }) =>
        pods.unshift({
          ...podOf(held().replicaSets[0] as never, 'gone', null),
          metadata: { ...(pods[0] as Pod).metadata, uid: 'x', deletionTimestamp: START },
        }),
    ],
  ])('does not change with %s', (_, change) => {
    expect(digest(change)).toBe(same);
  });

  it.each<[string, (objects: WorkloadObjects) => void]>([
    ['the replica count', ({ deployment: { spec } }) => Object.assign(spec, { replicas: 6 })],
    ['a canary pod that stops being Ready', ({ pods }) => pods.pop()],
    ['a stable pod that stops being Ready', ({ pods }) => pods.shift()],
    ['a canary that grows', ({ replicaSets }) => Object.assign(replicaSets[1]?.spec ?? {}, { replicas: 2 })],
    [
      'pods of a further revision',
      ({ replicaSets }) => replicaSets.push(replicaSet(deployment(), 'ccc', 'x', 1)),
    ],
    [
      'the hold',
      ({ deployment: { spec } }) =>
        Object.assign(spec.strategy, { rollingUpdate: { maxSurge: 2, maxUnavailable: 0 } }),
    ],
    ['the record', ({ deployment: { metadata } }) => Object.assign(metadata, { annotations: {} })],
    [
      'completion',
      ({ deployment: object }) =>
        Object.assign(object, {
          status: deployment().status,
          metadata: { ...object.metadata, generation: 2 },
        }),
    ],
  ])('changes with %s', (_, change) => {
    expect(digest(change)).not.toBe(same);
  });

  it('does not count ready pods beyond those that are waited for', () => {
    const grow = (objects: WorkloadObjects): void => {
      objects.pods.push(podOf(objects.replicaSets[1] as never, 'new-1', START));
    };
    expect(digest(grow, { settle: 1 })).toBe(digest(() => {}, { settle: 1 }));
    expect(digest(grow, { settle: 2 })).not.toBe(digest(() => {}, { settle: 2 }));
  });

  it('tells problems by what they are, not by words that count up', () => {
    const waiting = (message: string) => (objects: WorkloadObjects) => {
      const last = objects.pods.at(-1) as Pod;
      const state = { waiting: { reason: 'CrashLoopBackOff', message } };
      last.status = {
        ...last.status,
        containerStatuses: [{ name: 'app', ready: false, restartCount: 3, state }],
      };
    };
    expect(digest(waiting('back-off 10s'))).toBe(digest(waiting('back-off 20s')));
    expect(digest(waiting('back-off 10s'))).not.toBe(same);
  });
});

describe('completion', () => {
  it('is not believed before the controller has seen the latest spec', () => {
    const object = deployment();
    const objects = { deployment: object, replicaSets: [replicaSet(object, 'aaa', OLD, 4)], pods: [] };
    expect(observe(objects, outlook(), at(0)).observation.complete).toBe(true);
    object.metadata.generation = 3;
    expect(observe(objects, outlook(), at(0)).observation.complete).toBe(false);
  });
});

describe('a workload that is gone', () => {
  it('or was made again is missing', () => {
    expect(observe(null, outlook(), at(0)).observation).toMatchObject({
      missing: true,
      canary: { hash: null },
    });
    const objects = held();
    objects.deployment.metadata.uid = 'uid-other';
    expect(observe(objects, outlook(), at(0)).observation.missing).toBe(true);
  });
});

describe('health', () => {
  const status = (more: object): WorkloadObjects => {
    const objects = held(null);
    const last = objects.pods.at(-1) as Pod;
    last.status = { ...last.status, ...more };
    return objects;
  };
  const container = (more: object) => ({
    containerStatuses: [{ name: 'app', ready: false, restartCount: 0, ...more }],
  });
  const problems = (
    objects: WorkloadObjects,
    seconds: number,
    health = { readyWithin: '60s', restarts: 1 },
  ) => observe(objects, outlook({ health }), at(seconds)).observation.problems;

  it.each<[string, object, string, string]>([
    [
      'an image that does not come',
      { state: { waiting: { reason: 'ImagePullBackOff', message: 'not found' } } },
      'ImagePullBackOff',
      'not found',
    ],
    [
      'a missing key',
      { state: { waiting: { reason: 'CreateContainerConfigError', message: 'couldn’t find key' } } },
      'CreateContainerConfigError',
      'key',
    ],
    [
      'too many restarts',
      {
        restartCount: 2,
        state: { running: {} },
        lastState: { terminated: { exitCode: 3, message: 'no disk' } },
      },
      'Restarts',
      '2 restarts (1 allowed), last exit: exit code 3: no disk',
    ],
    [
      'lack of memory',
      {
        restartCount: 1,
        state: { running: {} },
        lastState: { terminated: { exitCode: 137, reason: 'OOMKilled' } },
      },
      'OOMKilled',
      'out of memory',
    ],
  ])('fails at once for %s', (_, state, reason, words) => {
    expect(problems(status(container(state)), 3)).toEqual([
      { pod: 'new-0', container: 'app', reason, message: expect.stringContaining(words) },
    ]);
  });

  it('says how a container that ended without a word could be made to say why; its log is never read', () => {
    const crash = {
      restartCount: 3,
      state: { waiting: { reason: 'CrashLoopBackOff' } },
      lastState: { terminated: { exitCode: 1, reason: 'Error' } },
    };
    const objects = status(container(crash));
    expect(problems(objects, 3)[0]?.message).toBe(
      'last exit: exit code 1; it left no message: with terminationMessagePolicy FallbackToLogsOnError its last log lines would be here',
    );
    for (const each of objects.pods.at(-1)?.spec.containers ?? [])
      each.terminationMessagePolicy = 'FallbackToLogsOnError';
    expect(problems(objects, 3)[0]?.message).toBe('last exit: exit code 1');
  });

  it('allows the restarts that are allowed', () => {
    expect(problems(status(container({ restartCount: 1, state: { running: {} } })), 3)).toEqual([]);
  });

  it('judges init containers too', () => {
    const objects = status({
      initContainerStatuses: [
        { name: 'migrate', ready: false, restartCount: 0, state: { waiting: { reason: 'ErrImagePull' } } },
      ],
    });
    expect(problems(objects, 3)).toMatchObject([{ container: 'migrate', reason: 'ErrImagePull' }]);
  });

  it('waits for readiness as long as allowed, and says when that ends', () => {
    const objects = status({});
    expect(problems(objects, 59)).toEqual([]);
    expect(observe(objects, outlook(), at(59)).due).toBe(at(60));
    expect(problems(objects, 60)).toMatchObject([{ pod: 'new-0', reason: 'NotReady' }]);
  });

  it('gives a pod that was Ready before and lost it the whole time anew', () => {
    const objects = status({
      conditions: [{ type: 'Ready', status: 'False', lastTransitionTime: '2026-01-01T01:00:00Z' }],
    });
    expect(problems(objects, 3_600 + 59)).toEqual([]);
    expect(problems(objects, 3_600 + 60)).toHaveLength(1);
  });

  it('gives the scheduler’s own words', () => {
    const conditions = [
      {
        type: 'PodScheduled',
        status: 'False',
        reason: 'Unschedulable',
        message: '0/1 nodes: Insufficient cpu',
      },
    ];
    expect(problems(status({ phase: 'Pending', conditions }), 60)).toEqual([
      { pod: 'new-0', container: null, reason: 'Unschedulable', message: '0/1 nodes: Insufficient cpu' },
    ]);
  });

  it('does not judge stable, nor pods that are going, nor pods that are over', () => {
    const objects = held();
    for (const pod of objects.pods.slice(0, 4))
      Object.assign(pod.status ?? {}, container({ restartCount: 9 }));
    expect(problems(objects, 3_000)).toEqual([]);
    expect(problems(status({ phase: 'Failed', reason: 'Evicted' }), 3_000)).toEqual([]);
    const going = status(container({ state: { waiting: { reason: 'CrashLoopBackOff' } } }));
    (going.pods.at(-1) as Pod).metadata.deletionTimestamp = START;
    expect(problems(going, 3_000)).toEqual([]);
  });

  it('is not watched when the release says so', () => {
    const objects = status(container({ state: { waiting: { reason: 'CrashLoopBackOff' } } }));
    expect(observe(objects, outlook({ health: null }), at(3)).observation.problems).toEqual([]);
  });
});

describe('drift', () => {
  const drift = (change: (object: Deployment) => void, overrides = {}) => {
    const objects = held();
    const object = structuredClone(objects.deployment);
    change(object);
    return driftOf(object, outlook(overrides), objects.replicaSets[0]?.spec.template ?? null);
  };
  const app = ({ spec }: Deployment) =>
    spec.template.spec.containers[0] as { image?: string; env?: object[] };

  it('is none in what the release wrote, nor in the replica count', () => {
    expect(drift(() => {})).toEqual([]);
    expect(drift(({ spec }) => Object.assign(spec, { replicas: 40 }))).toEqual([]);
  });

  it('names field, found and expected', () => {
    expect(drift((object) => Object.assign(app(object), { image: 'v9' }))).toMatchObject([
      { field: 'spec.template.spec.containers[app].image', found: 'v9', expected: NEW },
    ]);
    expect(drift(({ spec }) => Object.assign(spec, { minReadySeconds: 0 }))).toMatchObject([
      { field: 'spec.minReadySeconds', found: '0', expected: '31536000' },
    ]);
    expect(
      drift(({ spec }) =>
        Object.assign(spec.strategy, { rollingUpdate: { maxSurge: 3, maxUnavailable: 0 } }),
      ),
    ).toMatchObject([{ field: 'spec.strategy.rollingUpdate', found: '{"maxSurge":3,"maxUnavailable":0}' }]);
    expect(drift(({ spec }) => Object.assign(spec, { paused: true }))).toMatchObject([
      { field: 'spec.paused' },
    ]);
    expect(drift(({ metadata }) => Object.assign(metadata, { annotations: {} }))).toMatchObject([
      { field: 'metadata.annotations[slipway.dev/release]', found: 'nothing' },
    ]);
  });

  it('never shows what may be a secret, and still tells two changes of it apart', () => {
    const change = (value: string) =>
      drift((object) => Object.assign(app(object), { env: [{ name: 'TOKEN', value }] }));
    const [first, second] = [change('hunter2')[0], change('hunter3')[0]];
    expect(JSON.stringify(first)).not.toContain('hunter2');
    expect(first?.field).toBe('spec.template.spec.containers[app].env');
    expect(first?.id).not.toBe(second?.id);
    expect(change('hunter2')[0]?.id).toBe(first?.id);
  });

  it('that was accepted is not told again, another is', () => {
    const set = (image: string) => (object: Deployment) => Object.assign(app(object), { image });
    const accepted = drift(set('v9')).map(({ id }) => id);
    expect(drift(set('v9'), { accepted })).toEqual([]);
    expect(drift(set('v10'), { accepted })).toHaveLength(1);
  });

  it('after promotion is in template and record only: the strategy is the workload’s own again', () => {
    const expect_ = { expect: 'promoted' };
    expect(
      drift(({ spec }) => Object.assign(spec, { minReadySeconds: 9, progressDeadlineSeconds: 60 }), expect_),
    ).toEqual([]);
    expect(drift((object) => Object.assign(app(object), { image: 'v9' }), expect_)).toHaveLength(1);
  });

  it('is named by the manager that wrote the field, or that wrote last when the field is gone', () => {
    const fields = (
      time: string,
      manager: string,
      fieldsV1: Record<string, unknown>,
      subresource?: string,
    ) => ({
      manager,
      time,
      fieldsV1,
      ...(subresource && { subresource }),
    });
    const image = {
      'f:spec': { 'f:template': { 'f:spec': { 'f:containers': { 'k:{"name":"app"}': { 'f:image': {} } } } } },
    };
    const managers = [
      fields('2026-01-01T00:00:00Z', 'helm', image),
      fields('2026-01-01T00:05:00Z', 'kubectl-set', image),
      fields('2026-01-01T00:06:00Z', 'kubectl-edit', { 'f:spec': {} }),
      fields('2026-01-01T00:07:00Z', 'slipway', image),
      fields('2026-01-01T00:08:00Z', 'kube-controller-manager', image, 'status'),
    ];
    expect(managerOf(managers, 'spec.template.spec.containers[app].image')).toBe('kubectl-set');
    expect(managerOf(managers, 'spec.paused')).toBe('unknown');
    expect(managerOf(managers, 'spec.paused', '2026-01-01T00:05:30Z')).toBe('kubectl-edit');
    expect(managerOf(managers, 'spec.paused', '2026-01-01T00:09:00Z')).toBe('unknown');
  });
});

describe('after a rollback', () => {
  it('canary is what still has a launched image, stable is what serves now', () => {
    const objects = held();
    objects.deployment = deployment();
    const { observation } = observe(objects, outlook({ expect: 'restored', health: null }), at(20));
    expect(observation).toMatchObject({
      stable: { hash: 'aaa', ready: 4 },
      canary: { hash: 'bbb', pods: 1 },
      record: 'none',
      hold: null,
    });
  });
});
