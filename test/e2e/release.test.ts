/** Real releases: a real cluster with real containers, a real worker, a real gateway, a real Temporal server. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type Failure, generateTraffic } from '../../examples/traffic/generate.ts';
import { Dockyard, possible } from './support/dockyard.ts';
import { AnotherReleaseRunning } from '../../src/client.ts';
import { gate, IMAGE, NAME } from './support/vessel.ts';

let yard: Dockyard;

describe.runIf(possible)('a release on a real cluster', () => {
  beforeAll(async () => {
    yard = await Dockyard.open();
  });
  afterEach(({ task }) => {
    if (task.result?.state === 'fail') process.stderr.write(`${yard.worker.output.slice(-4_000)}\n`);
  });
  afterAll(async () => await yard?.close());

  test('a good version goes up by weights, bakes and an approval, and no request fails under load', async () => {
    const vessel = await yard.vessel();
    const failures: Failure[] = [];
    const traffic = generateTraffic({
      urls: [`${await vessel.url()}/products`],
      rps: 30,
      onFailure: (failure) => failures.push(failure),
    });
    const seen = vessel.observe();
    const steps = [{ weight: 25 }, { bake: '3s' }, gate('half'), { weight: 50 }, { bake: '3s' }];
    await vessel.launch('v1.1.0', steps, { after: { guard: '3s' } });
    const { canary } = await vessel.reaches('awaiting-approval');
    expect(canary).toMatchObject({ pods: 1, ready: 1 });
    await vessel.approve();
    expect(await vessel.ends()).toMatchObject({ outcome: 'promoted', reason: 'at 100 %, guarded for 3s' });
    const account = await traffic.stop();
    const { serving, pods } = await seen.stop();
    await vessel.expectPromoted('v1.1.0');
    expect({ failures, served: account.ok > 100 }).toEqual({ failures: [], served: true });
    expect(serving).toBeGreaterThanOrEqual(4);
    expect(pods).toBeLessThanOrEqual(5);
  });

  test.each([
    [
      'an image that is not there',
      'v9.9.9',
      '60s',
      /product-service of pod .*: (ErrImagePull|ImagePullBackOff)/,
    ],
    ['a crash loop', 'v1.3.0', '5m', /product-service of pod .*: .*search synonyms are not readable/s],
    [
      'a version that never gets ready',
      'v1.4.0',
      '10s',
      /pod product-service-.*(not ready|NotReady|NeverReady)/is,
    ],
  ])("%s is rolled back with the container's own reason", async (_, tag, readyWithin, reason) => {
    const vessel = await yard.shared();
    const seen = vessel.observe();
    const guards = { alerts: null, pods: { readyWithin, restarts: 0 }, deadline: '10m' };
    await vessel.launch(tag, [{ weight: 25 }, { bake: '60s' }], { guards });
    const end = await vessel.ends();
    expect(end.outcome).toBe('rolled-back');
    expect(end.reason).toMatch(reason);
    await vessel.expectRestored();
    expect((await seen.stop()).serving).toBeGreaterThanOrEqual(4);
  });

  test.each([
    ['a bake', 'baking', [{ weight: 25 }, { bake: '60s' }]],
    ['a gate', 'awaiting-approval', [{ weight: 25 }, gate('half')]],
    ['a pause', 'paused', [{ weight: 25 }, gate('half')]],
    ['the guard after 100 %', 'guarding', [{ weight: 50 }]],
  ] as const)('an alert during %s hauls the release back', async (_, phase, steps) => {
    const vessel = await yard.shared();
    await vessel.launch('v1.1.0', [...steps], { after: { guard: '90s' } });
    if (phase === 'paused') {
      await vessel.reaches('awaiting-approval');
      await yard.client.pause(vessel.target, { by: 'ann', why: 'lunch' });
    }
    await vessel.reaches(phase);
    expect(await vessel.alert()).toBe(200);
    const reason = 'alert HighErrorRate (warning) fired: too many errors';
    expect(await vessel.ends()).toMatchObject({ outcome: 'rolled-back', reason });
    await vessel.expectRestored();
  });

  test('a paused release can be aborted, and stable is back', async () => {
    const vessel = await yard.shared();
    await vessel.launch('v1.1.0', [{ weight: 25 }, { bake: '60s' }]);
    await vessel.reaches('baking');
    await yard.client.pause(vessel.target, { by: 'ann', why: 'lunch' });
    expect((await vessel.abort()).phase).toBe('rolling-back');
    expect(await vessel.ends()).toMatchObject({ outcome: 'aborted', reason: 'ann aborted: changed my mind' });
    await vessel.expectRestored();
  });

  test('a rejected gate puts the old version back', async () => {
    const vessel = await yard.shared();
    await vessel.launch('v1.1.0', [{ weight: 25 }, gate('half')]);
    const { gate: open } = await vessel.reaches('awaiting-approval');
    const { name = '', revision = '' } = open ?? {};
    await yard.client.reject(vessel.target, { gate: name, revision, by: 'ann', why: 'too slow' });
    expect(await vessel.ends()).toMatchObject({ outcome: 'rejected' });
    await vessel.expectRestored();
  });

  test('a second release is refused, stands in line, or supersedes the running one', async () => {
    const vessel = await yard.shared();
    const steps = [{ weight: 25 }, gate('half')];
    const release = vessel.spec('v1.1.0', steps);
    const first = await vessel.launch('v1.1.0', steps);
    await vessel.reaches('awaiting-approval');
    await expect(vessel.launch('v1.1.0', steps)).rejects.toThrow(AnotherReleaseRunning);
    expect(await yard.start({ release, starter: 'second' }, 'queue')).toMatchObject({ queued: true });
    await vessel.abort();
    await vessel.reaches('awaiting-approval', () => true, 'second');
    const { run: second } = await vessel.status();
    expect(second).not.toBe(first.run);
    await yard.start({ release, starter: 'third' }, 'supersede');
    await vessel.reaches('awaiting-approval', () => true, 'third');
    const { status } = await yard.client.view({ id: first.id, run: second });
    expect(status).toMatchObject({ outcome: 'superseded', reason: expect.stringContaining('third') });
    await vessel.abort();
    expect((await vessel.ends()).outcome).toBe('aborted');
    await vessel.expectRestored();
  });

  test('scaled from 4 to 10 to 6 while held, the weight follows and no pod too few serves', async () => {
    const vessel = await yard.vessel();
    await vessel.launch('v1.1.0', [{ weight: 50 }, gate('half')]);
    await vessel.reaches('awaiting-approval', ({ canary }) => canary.ready === 2);
    const [growing, shrinking] = [vessel.observe(), 6];
    await vessel.edit({ spec: { replicas: 10 } }, 'kubectl-scale');
    await vessel.reaches(
      'awaiting-approval',
      ({ canary, stable }) => canary.ready === 5 && stable.ready === 5,
    );
    expect((await growing.stop()).serving).toBeGreaterThanOrEqual(4);
    const falling = vessel.observe();
    await vessel.edit({ spec: { replicas: shrinking } }, 'kubectl-scale');
    await vessel.reaches(
      'awaiting-approval',
      ({ canary, stable }) => canary.ready === 3 && stable.ready === 3,
    );
    expect((await falling.stop()).serving).toBeGreaterThanOrEqual(shrinking);
    await vessel.abort();
    expect((await vessel.ends()).outcome).toBe('aborted');
    await vessel.expectRestored(shrinking);
  });

  test("another hand's edit pauses the release and is named", async () => {
    const vessel = await yard.vessel();
    await vessel.launch('v1.1.0', [{ weight: 25 }, gate('half')]);
    await vessel.reaches('awaiting-approval');
    const containers = [{ name: NAME, env: [{ name: 'LOG_LEVEL', value: 'debug' }] }];
    await vessel.edit({ spec: { template: { spec: { containers } } } });
    const { paused } = await vessel.reaches('paused');
    expect(paused).toMatchObject({
      by: 'slipway',
      why: expect.stringContaining(
        'kubectl-edit added spec.template.spec.containers[product-service].env[LOG_LEVEL]',
      ),
    });
    await vessel.abort();
    expect((await vessel.ends()).outcome).toBe('aborted');
    const { spec } = await vessel.read();
    expect(spec.template.spec.containers[0]).toMatchObject({
      image: `${IMAGE}:v1.0.0`,
      env: expect.any(Array),
    });
    expect(await vessel.leftovers()).toEqual([]);
  });
});
