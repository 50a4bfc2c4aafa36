/** People and alerts at awkward moments, in real time, against the real controllers on simulated nodes. */
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { NoRelease, Refused, SlipwayClient } from '../../src/client.ts';
import { type Berth, Harbourage } from './support/berth.ts';
import { PodWatch } from './support/pod-watch.ts';
import { gate, type Vessel } from './support/vessel.ts';

let harbourage: Harbourage;
let berth: Berth;

beforeAll(async () => {
  harbourage = await Harbourage.open();
  berth = await harbourage.berth({ gateway: true });
});
afterEach(({ task }) => {
  if (task.result?.state === 'fail') process.stderr.write(`${berth.worker.output.slice(-4_000)}\n`);
});
afterAll(async () => await harbourage?.close());

const ann = { by: 'ann', why: 'I say so' };

describe('an alert while a step is being applied', () => {
  test.each(['begin', 'adjust', 'promote'] as const)(
    'by the activity %s: that write lands first, then it is undone',
    async (activity) => {
      const vessel = await berth.vessel();
      const pods = await PodWatch.open(berth.cluster.connection, vessel.namespace);
      berth.order({ do: 'stand-still', activity, moment: 'before-write' });
      await vessel.launch('v1.1.0', [{ weight: 75 }], { after: { guard: '10m' } });
      await berth.untilObeyed();
      expect(await vessel.alert()).toBe(200);
      await vessel.sees(({ reason }) => reason !== null);
      // Long enough for a rollback that does not wait.
      await delay(1_000);
      expect((await vessel.read()).metadata.labels ?? {}).toEqual(
        activity === 'begin' ? {} : { 'slipway.dev/release': expect.any(String) },
      );
      berth.letGo();
      expect(await vessel.ends()).toMatchObject({
        outcome: 'rolled-back',
        reason: 'alert HighErrorRate (warning) fired: too many errors',
      });
      await vessel.expectRestored();
      expect(pods.close().serving).toBeGreaterThanOrEqual(4);
    },
  );
});

test('a gate that nobody opens in time expires by the real clock, and stable is back', async () => {
  const vessel = await berth.vessel();
  const expiring = { gate: { name: 'half', approvals: 2, expires: '15s', fourEyes: false } };
  await vessel.launch('v1.1.0', [{ weight: 50 }, expiring]);
  await vessel.approve();
  const { outcome, reason, timeline } = await vessel.ends();
  expect({ outcome, reason }).toEqual({
    outcome: 'rolled-back',
    reason: 'gate half expired after 15s with 1 of 2 approvals',
  });
  const [opened, expired] = ['gate half (2 approvals)', reason].map((text) =>
    Date.parse(timeline.find((entry) => entry.text === text)?.at ?? ''),
  );
  expect((expired ?? 0) - (opened ?? 0)).toBeGreaterThanOrEqual(15_000);
  await vessel.expectRestored();
  const late = berth.client.approve(vessel.target, { gate: 'half', revision: 'x', ...ann });
  await expect(late).rejects.toThrow(NoRelease);
});

test('of two clients that resume at once exactly one does it, and the bake owes just the rest', async () => {
  const vessel = await berth.vessel();
  const [one, two] = [0, 1].map(() =>
    SlipwayClient.lazy({
      env: { TEMPORAL_ADDRESS: harbourage.temporal.address, TEMPORAL_NAMESPACE: berth.temporalNamespace },
    }),
  ) as [SlipwayClient, SlipwayClient];
  try {
    await vessel.launch('v1.1.0', [{ weight: 25 }, { bake: '10m' }]);
    await vessel.reaches('baking');
    await Promise.all([one.ping(), two.ping()]);
    for (let round = 0; round < 3; round++) {
      const owed = await owedAtPause(vessel);
      const answers = await Promise.allSettled([
        one.resume(vessel.target, { by: 'ann' }),
        two.resume(vessel.target, { by: 'bob' }),
      ]);
      expect(answers.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
      const refusals = answers.flatMap((answer) => (answer.status === 'rejected' ? [answer.reason] : []));
      expect(refusals).toEqual([expect.any(Refused)]);
      expect(String(refusals[0])).toContain('the release is not paused: it is baking');
      const { timeline, deadline } = await vessel.status();
      expect(timeline.filter(({ text }) => text.endsWith(' resumed'))).toHaveLength(round + 1);
      const resumed = Date.parse(timeline.at(-1)?.at ?? '');
      // The clock goes on from where it stood: once, not twice, and not from the start.
      expect(Math.abs(Date.parse(deadline ?? '') - resumed - owed)).toBeLessThanOrEqual(5);
    }
    await vessel.abort();
    expect((await vessel.ends()).outcome).toBe('aborted');
    await vessel.expectRestored();
  } finally {
    await Promise.all([one.close(), two.close()]);
  }
});

/** Pauses, and answers how many milliseconds the bake had left at that moment. */
async function owedAtPause(vessel: Vessel): Promise<number> {
  const { deadline } = await vessel.status();
  const { timeline } = await berth.client.pause(vessel.target, ann);
  return Date.parse(deadline ?? '') - Date.parse(timeline.at(-1)?.at ?? '');
}

describe('a rolling release that pauses at 25 % and 50 %', () => {
  const strategy = { rolling: { maxSurge: 1, maxUnavailable: 0, pauseAt: ['25%', '50%'] } };
  const paused = (vessel: Vessel, pods: number) =>
    vessel.reaches('paused', ({ canary }) => canary.pods === pods && canary.ready === pods);

  const ends: [string, (vessel: Vessel) => Promise<unknown>, 'promoted' | 'aborted'][] = [
    ['resumed', (vessel) => berth.client.resume(vessel.target, { by: 'ann' }), 'promoted'],
    ['promoted', (vessel) => berth.client.promote(vessel.target, ann), 'promoted'],
    ['aborted', (vessel) => vessel.abort(), 'aborted'],
  ];
  test.each(ends)('is %s at the second pause', async (_, command, outcome) => {
    const vessel = await berth.vessel();
    const pods = await PodWatch.open(berth.cluster.connection, vessel.namespace);
    await vessel.launch('v1.1.0', [], { strategy });
    expect((await paused(vessel, 1)).stable.pods).toBe(3);
    await berth.client.resume(vessel.target, { by: 'ann' });
    expect((await paused(vessel, 2)).stable.pods).toBe(2);
    await command(vessel);
    expect((await vessel.ends()).outcome).toBe(outcome);
    if (outcome === 'promoted') await vessel.expectPromoted('v1.1.0');
    else await vessel.expectRestored();
    const { serving, pods: most } = pods.close();
    expect({ enough: serving >= 4, few: most <= 5 }, `${serving} to ${most} pods`).toEqual({
      enough: true,
      few: true,
    });
  });
});

test('right after kill -9 of the worker, status knows the open gate or says that nobody answers', async () => {
  const vessel = await berth.vessel();
  await vessel.launch('v1.1.0', [{ weight: 25 }, gate('half')]);
  const { gate: open } = await vessel.reaches('awaiting-approval');
  await berth.worker.kill();
  const asked = () => berth.client.status(vessel.namespace, vessel.target.name);
  const { status, source, note } = await asked();
  if (source === 'index') expect(note).toContain('no worker answered');
  else expect(status.gate).toEqual(open);
  await expect.poll(async () => (await asked()).source, { timeout: 60_000 }).toBe('worker');
  expect((await asked()).status).toMatchObject({ phase: 'awaiting-approval', gate: open });
  await vessel.abort();
  expect((await vessel.ends()).outcome).toBe('aborted');
});

describe('abort with nothing in progress', () => {
  test('on a workload that was never released says so and changes nothing', async () => {
    const vessel = await berth.vessel();
    const before = await vessel.read();
    await expect(vessel.abort()).rejects.toThrow(NoRelease);
    expect((await vessel.read()).metadata.resourceVersion).toBe(before.metadata.resourceVersion);
  });

  test('after a release that is over says so and changes nothing', async () => {
    const vessel = await berth.vessel();
    await vessel.launch('v1.1.0', [{ weight: 50 }]);
    expect((await vessel.ends()).outcome).toBe('promoted');
    const before = await vessel.until(
      'still',
      ({ status, metadata }) => status?.observedGeneration === metadata.generation,
    );
    await expect(vessel.abort()).rejects.toThrow(NoRelease);
    const after = await vessel.read();
    expect(after.spec).toEqual(before.spec);
    expect(after.metadata.generation).toBe(before.metadata.generation);
    await vessel.expectPromoted('v1.1.0');
  });
});
