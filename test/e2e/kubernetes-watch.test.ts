/** Watching, preflight and the break-glass restore on a real API server. */
import { MockActivityEnvironment } from '@temporalio/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RECORD_ANNOTATION } from '../../src/domain/names.ts';
import { NothingToRestore, restoreDeployment } from '../../src/kubernetes/restore.ts';
import { DEPLOYMENTS, pathOf } from '../../src/kubernetes/paths.ts';
import {
  BETTER,
  CRASHING,
  failureType,
  GOOD,
  NEVER_READY,
  releaseOf,
  Stage,
  Voyage,
} from './kubernetes.support.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.open();
});
afterAll(() => stage?.close());

describe('watching', () => {
  it('tells of a crash loop with the container’s own words', async () => {
    await stage.deploy('crash');
    const voyage = await Voyage.plan(stage, 'crash', CRASHING);
    await voyage.begin();
    const { problems } = await voyage.watch('held', (seen) => seen.problems.length > 0);
    expect(problems).toMatchObject([
      {
        container: 'app',
        reason: 'CrashLoopBackOff',
        message: expect.stringContaining('cannot read configuration'),
      },
    ]);
  });

  it('tells by its own clock of a pod that never gets ready', async () => {
    await stage.deploy('never');
    const voyage = await Voyage.plan(stage, 'never', NEVER_READY);
    await voyage.begin();
    const health = { readyWithin: '2s', restarts: 0 };
    const { problems } = await voyage.watch('held', (seen) => seen.problems.length > 0, { health });
    expect(problems).toMatchObject([{ reason: 'NotReady' }]);
  });

  it('tells of a workload that is deleted, and of one that was made again', async () => {
    await stage.deploy('gone');
    const voyage = await Voyage.plan(stage, 'gone');
    await voyage.watch('restored', () => true);
    const watching = voyage.watch('restored', ({ missing }) => missing);
    await stage.send('DELETE', pathOf(DEPLOYMENTS, stage.namespace, 'gone'));
    await watching;
    await stage.deploy('gone');
    expect(await stage.act('observe', voyage.watchInput('held'))).toMatchObject({ missing: true });
    expect(await failureType(voyage.begin())).toBe('WorkloadGone');
    expect(await failureType(voyage.rollBack())).toBe('WorkloadGone');
  });

  it('tells of scaling by another hand', async () => {
    await stage.deploy('scaled');
    const voyage = await Voyage.plan(stage, 'scaled');
    await voyage.begin();
    await voyage.watch('held', ({ canary }) => canary.ready === 1);
    await stage.edit('scaled', { spec: { replicas: 6 } });
    const seen = await voyage.watch('held', ({ replicas, stable }) => replicas === 6 && stable.ready === 6);
    expect(seen).toMatchObject({
      canary: { pods: 1, ready: 1 },
      drift: [],
      hold: { surge: 1, unavailable: 0 },
    });
  });

  it('costs a hundred waiting releases three streams and no polling', async () => {
    await stage.deploy('crowd');
    const voyage = await Voyage.plan(stage, 'crowd');
    const { digest } = await voyage.watch('restored', ({ complete }) => complete);
    const streams = () => stage.requests.filter(({ verb }) => verb === 'watch').length;
    await expect.poll(streams, { timeout: 60_000 }).toBeGreaterThanOrEqual(3);
    const contexts = Array.from({ length: 100 }, () => new MockActivityEnvironment());
    const input = voyage.watchInput('restored', { seen: digest });
    const before = stage.requests.length;
    const waiting = contexts.map((context) => stage.act('watch', input, context));
    for (const one of waiting) one.catch(() => {});
    await expect.poll(() => stage.requests.length - before, { timeout: 60_000 }).toBeGreaterThanOrEqual(100);
    const started = stage.requests.slice(before);
    expect(started.every(({ verb }) => verb === 'get')).toBe(true);
    const settled = stage.requests.length;
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    expect(stage.requests.length).toBe(settled);
    await stage.edit('crowd', { spec: { replicas: 5 } });
    const seen = await Promise.all(waiting);
    expect(seen.every(({ replicas }) => replicas === 5)).toBe(true);
    expect(stage.requests.length).toBe(settled);
  });

  it('ends when it is cancelled', async () => {
    await stage.deploy('cancelled');
    const voyage = await Voyage.plan(stage, 'cancelled');
    const { digest } = await voyage.watch('restored', ({ complete }) => complete);
    const context = new MockActivityEnvironment();
    const waiting = stage.act('watch', voyage.watchInput('restored', { seen: digest }), context);
    setTimeout(() => context.cancel(), 50);
    await expect(waiting).rejects.toMatchObject({ name: 'CancelledFailure' });
  });
});

describe('failures', () => {
  it('of a second release on the same workload leave the first alone', async () => {
    await stage.deploy('two');
    const first = await Voyage.plan(stage, 'two');
    const second = await Voyage.plan(stage, 'two', CRASHING);
    await first.begin();
    const { generation, annotations } = (await stage.read('two')).metadata;
    expect(await failureType(second.begin())).toBe('RecordOfAnother');
    expect(await failureType(second.rollBack())).toBe('RecordOfAnother');
    expect(await failureType(second.adjust(1, 1))).toBe('RecordOfAnother');
    await second.finish();
    const { metadata } = await stage.read('two');
    expect(metadata.generation).toBe(generation);
    expect(metadata.annotations?.[RECORD_ANNOTATION]).toBe(annotations?.[RECORD_ANNOTATION]);
  });

  it('of a plan that is out of date touch nothing', async () => {
    await stage.deploy('outdated');
    const voyage = await Voyage.plan(stage, 'outdated');
    const env = [{ name: 'A', value: '1' }];
    await stage.edit('outdated', { spec: { template: { spec: { containers: [{ name: 'app', env }] } } } });
    expect(await failureType(voyage.begin())).toBe('WorkloadChanged');
    expect((await stage.read('outdated')).spec.template.spec.containers[0]?.image).toBe(GOOD);
  });

  it('of what the API server does not accept carry its sentence', async () => {
    await stage.deploy('rejected');
    const voyage = await Voyage.plan(stage, 'rejected');
    expect(await failureType(voyage.begin(-1, 0))).toBe('WorkloadRejected');
  });
});

describe('preflight', () => {
  const preflight = async (name: string, image = BETTER) => {
    const actor = { id: `release.${stage.namespace}.${name}`, run: 'run-1' };
    return stage.act('preflight', { actor, release: releaseOf(stage, name, image) });
  };

  it('finds nothing wrong with a healthy workload', async () => {
    const before = await stage.deploy('fine');
    const { findings, facts } = await preflight('fine');
    expect(findings).toEqual([]);
    expect(facts).toMatchObject({
      uid: before.metadata.uid,
      replicas: 4,
      revision: 1,
      images: { app: BETTER },
    });
  });

  it('suggests the nearest name', async () => {
    await stage.deploy('catalogue');
    expect((await preflight('catalog')).findings).toMatchObject([
      { check: 'not-found', fix: 'did you mean catalogue?' },
    ]);
  });

  it('counts what a real quota has left', async () => {
    const tight = await Stage.open();
    try {
      await tight.deploy('full', { replicas: 2 });
      const path = `api/v1/namespaces/${tight.namespace}/resourcequotas`;
      await tight.send('POST', path, { metadata: { name: 'team' }, spec: { hard: { pods: '2' } } });
      await expect
        .poll(async () => JSON.stringify(await tight.send('GET', `${path}/team`)), { timeout: 60_000 })
        .toContain('"used":{"pods":"2"}');
      const actor = { id: 'release.x.full', run: 'run-1' };
      const { findings } = await tight.act('preflight', { actor, release: releaseOf(tight, 'full') });
      expect(findings).toMatchObject([{ check: 'surge-exceeds-quota', level: 'error' }]);
    } finally {
      await tight.close();
    }
  });
});

describe('restoring without Temporal', () => {
  it('puts everything back from the object alone, after showing what it would do', async () => {
    const before = await stage.deploy('broken');
    const voyage = await Voyage.plan(stage, 'broken', CRASHING);
    await voyage.begin();
    const target = stage.target('broken');
    const shown = await restoreDeployment(stage.client, target, { dryRun: true });
    expect(shown).toMatchObject({
      release: { id: voyage.actor.id, phase: 'held' },
      images: [{ container: 'app', from: CRASHING, to: GOOD }],
      dryRun: true,
    });
    expect((await stage.read('broken')).spec.template.spec.containers[0]?.image).toBe(CRASHING);
    expect(await restoreDeployment(stage.client, target)).toMatchObject({
      images: shown.images,
      dryRun: false,
    });
    const after = await stage.read('broken');
    expect(after.spec).toEqual(before.spec);
    // A release that still runs can say who it was.
    expect(after.metadata.managedFields?.map(({ manager }) => manager)).toContain('slipway-restore');
    await expect(restoreDeployment(stage.client, target)).rejects.toThrow(NothingToRestore);
  });
});
