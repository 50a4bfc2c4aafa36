/** The mechanism on a real API server: surge and gate, and the way back, leave exactly what they promise. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RECORD_ANNOTATION } from '../../src/domain/names.ts';
import { RECORD_LABEL, recordState } from '../../src/domain/workload/record.ts';
import type { Deployment } from '../../src/domain/workload/objects.types.ts';
import { BETTER, GOOD, Stage, Voyage } from './kubernetes.support.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.open();
});
afterAll(() => stage?.close());

/** Everything that a person or GitOps sees, without what the API server and the controller count. */
function own({ metadata, spec }: Deployment): string {
  const { 'deployment.kubernetes.io/revision': _, ...annotations } = metadata.annotations ?? {};
  return JSON.stringify({ annotations, labels: metadata.labels ?? {}, spec }, null, 1);
}

describe('a held canary', () => {
  it('brings up exactly the surge, serves it, and stays there', async () => {
    const before = await stage.deploy('held');
    const voyage = await Voyage.plan(stage, 'held');
    expect(await voyage.begin(1, 0)).toEqual({ result: 'applied' });
    const seen = await voyage.watch('held', ({ canary }) => canary.ready === 1);
    expect(seen).toMatchObject({
      replicas: 4,
      stable: { hash: voyage.facts.undo.stableHash, pods: 4, ready: 4 },
      canary: { pods: 1 },
      others: 0,
      complete: false,
      hold: { surge: 1, unavailable: 0 },
      record: 'ours',
      problems: [],
      drift: [],
      missing: false,
    });
    expect(seen.canary.hash).not.toBe(voyage.facts.undo.stableHash);
    expect(before.spec.template.spec.containers[0]?.image).toBe(GOOD);
  });

  it('moves to another hold in place, and says when there is nothing to move', async () => {
    await stage.deploy('moved');
    const voyage = await Voyage.plan(stage, 'moved');
    await voyage.begin(1, 0);
    await voyage.watch('held', ({ canary }) => canary.ready === 1);
    expect(await voyage.adjust(1, 1)).toEqual({ result: 'applied' });
    const seen = await voyage.watch('held', ({ canary, stable }) => canary.ready === 2 && stable.pods === 3);
    expect(seen).toMatchObject({ hold: { surge: 1, unavailable: 1 }, drift: [] });
    // The generation, since the controller may still be writing the status.
    const { generation, annotations } = (await stage.read('moved')).metadata;
    expect(await voyage.adjust(1, 1)).toEqual({ result: 'unchanged' });
    expect(await voyage.adjust(2, 2, 9)).toEqual({ result: 'stale' });
    expect((await stage.read('moved')).metadata).toMatchObject({ generation, annotations });
  });

  it('is begun once, however often begin runs', async () => {
    await stage.deploy('twice');
    const voyage = await Voyage.plan(stage, 'twice');
    await voyage.begin();
    const { generation } = (await stage.read('twice')).metadata;
    expect(await voyage.begin()).toEqual({ result: 'unchanged' });
    expect((await stage.read('twice')).metadata.generation).toBe(generation);
  });
});

describe('promotion', () => {
  it('finishes the rollout and leaves nothing but the image and the change cause', async () => {
    const before = await stage.deploy('promoted', {
      minReadySeconds: 1,
      strategy: { rollingUpdate: { maxSurge: '50%', maxUnavailable: 0 } },
    });
    const voyage = await Voyage.plan(stage, 'promoted');
    await voyage.begin(2, 0);
    await voyage.watch('held', ({ canary }) => canary.ready === 2);
    await voyage.promote();
    const guarded = await voyage.watch('promoted', ({ complete }) => complete);
    expect(guarded).toMatchObject({
      record: 'ours',
      hold: null,
      canary: { pods: 4, ready: 4 },
      stable: { pods: 0 },
    });
    await voyage.promote();
    await voyage.finish();
    await voyage.finish();
    const after = await stage.read('promoted');
    const cause = `cheaper search (by test, ${voyage.actor.id})`;
    expect(after.metadata.annotations?.['kubernetes.io/change-cause']).toBe(cause);
    expect(
      own(after).replace(BETTER, GOOD).replace(`\n  "kubernetes.io/change-cause": "${cause}"\n `, ''),
    ).toBe(own(before));
  });
});

describe('rollback', () => {
  const shapes: Record<string, { spec?: object; pod?: object }> = {
    defaults: {},
    percentages: { spec: { strategy: { rollingUpdate: { maxSurge: '30%', maxUnavailable: '10%' } } } },
    'numbers-and-deadlines': {
      spec: {
        minReadySeconds: 1,
        progressDeadlineSeconds: 77,
        strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 2, maxUnavailable: 1 } },
      },
    },
    'several-containers': {
      pod: {
        initContainers: [{ name: 'migrate', image: 'tools:1' }],
        containers: [
          { name: 'proxy', image: 'proxy:1', env: [{ name: 'A', value: '1' }] },
          { name: 'several-containers', image: GOOD },
          { name: 'agent', image: 'agent:1' },
        ],
      },
    },
  };
  it.each(Object.keys(shapes))('leaves the object byte for byte as it was: %s', async (name) => {
    const shape = shapes[name];
    const before = await stage.deploy(name, { ...shape?.spec }, { ...shape?.pod });
    const voyage = await Voyage.plan(stage, name);
    await voyage.begin(1, 1);
    await voyage.watch('held', ({ canary }) => canary.ready === 2);
    await voyage.rollBack();
    expect(own(await stage.read(name))).toBe(own(before));
    const seen = await voyage.watch('restored', ({ complete, canary }) => complete && canary.pods === 0);
    expect(seen).toMatchObject({
      stable: { pods: 4, ready: 4 },
      hold: null,
      record: 'none',
      others: 0,
      drift: [],
    });
    const { resourceVersion } = (await stage.read(name)).metadata;
    await voyage.rollBack();
    expect((await stage.read(name)).metadata.resourceVersion).toBe(resourceVersion);
  });

  it('after promotion goes back too, and keeps what others set meanwhile', async () => {
    await stage.deploy('late', {}, {});
    const voyage = await Voyage.plan(stage, 'late');
    await voyage.begin();
    await voyage.promote();
    await voyage.watch('promoted', ({ complete }) => complete);
    await stage.edit('late', { spec: { minReadySeconds: 2 } });
    await voyage.rollBack();
    const { spec, metadata } = await stage.read('late');
    expect(spec.template.spec.containers[0]?.image).toBe(GOOD);
    expect(spec.minReadySeconds).toBe(2);
    expect(metadata.annotations).not.toHaveProperty([RECORD_ANNOTATION]);
    expect(metadata.labels ?? {}).not.toHaveProperty([RECORD_LABEL]);
    expect(metadata.annotations).not.toHaveProperty(['kubernetes.io/change-cause']);
  });

  it('writes nothing on a workload that was never touched', async () => {
    const before = await stage.deploy('untouched');
    const voyage = await Voyage.plan(stage, 'untouched');
    await voyage.rollBack();
    expect((await stage.read('untouched')).metadata.resourceVersion).toBe(before.metadata.resourceVersion);
  });

  it('puts a change cause back to what it was', async () => {
    await stage.deploy('caused');
    await stage.edit('caused', { metadata: { annotations: { 'kubernetes.io/change-cause': 'first' } } });
    const voyage = await Voyage.plan(stage, 'caused');
    await voyage.begin();
    await voyage.rollBack();
    expect((await stage.read('caused')).metadata.annotations?.['kubernetes.io/change-cause']).toBe('first');
  });

  it('works when somebody took the record away', async () => {
    const before = await stage.deploy('recordless');
    const voyage = await Voyage.plan(stage, 'recordless');
    await voyage.begin();
    await stage.edit('recordless', {
      metadata: { annotations: { [RECORD_ANNOTATION]: null }, labels: { [RECORD_LABEL]: null } },
    });
    await voyage.rollBack();
    expect(own(await stage.read('recordless'))).toBe(own(before));
  });

  it('keeps an environment variable that somebody added meanwhile', async () => {
    await stage.deploy('drifted');
    const voyage = await Voyage.plan(stage, 'drifted');
    await voyage.begin();
    const env = [{ name: 'TOKEN', value: 'hush' }];
    await stage.edit('drifted', { spec: { template: { spec: { containers: [{ name: 'app', env }] } } } });
    const seen = await voyage.watch('held', ({ drift }) => drift.length > 0);
    expect(seen.drift).toEqual([
      {
        id: expect.stringMatching(/^[0-9a-f]{16}$/),
        field: 'spec.template.spec.containers[app].env',
        manager: 'kubectl-edit',
        found: 'present',
        expected: 'absent',
      },
    ]);
    await voyage.rollBack();
    const { spec } = await stage.read('drifted');
    expect(spec.template.spec.containers[0]).toMatchObject({ image: GOOD, env });
    const back = await voyage.watch('restored', ({ complete, canary }) => complete && canary.pods === 0);
    expect(back.drift.map(({ field }) => field)).toEqual(['spec.template.spec.containers[app].env']);
  });
});

describe('records', () => {
  it('that `kubectl rollout undo` copies back from an old ReplicaSet are not believed', async () => {
    await stage.deploy('ghost');
    const voyage = await Voyage.plan(stage, 'ghost');
    await voyage.begin();
    await voyage.watch('held', ({ canary }) => canary.ready === 1);
    await voyage.rollBack();
    await voyage.watch('restored', ({ complete }) => complete);
    const canary = (await stage.replicaSets('ghost')).find(
      ({ metadata }) => metadata.annotations?.[RECORD_ANNOTATION],
    );
    const annotations = { [RECORD_ANNOTATION]: canary?.metadata.annotations?.[RECORD_ANNOTATION] ?? '' };
    expect(annotations[RECORD_ANNOTATION]).toContain(voyage.actor.run);
    const undone = await stage.edit('ghost', { metadata: { annotations } }, 'kubectl-rollout');
    expect(recordState(undone)).toMatchObject({ state: 'stale' });
    const next = await Voyage.plan(stage, 'ghost');
    expect(await next.begin()).toEqual({ result: 'applied' });
    expect((await next.watch('held', () => true)).record).toBe('ours');
  });
});
