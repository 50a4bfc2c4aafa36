/**
 * `kill -9` of the worker inside each activity of a release and at each boundary between its steps: a new worker goes on,
 * the release ends as it should, nothing of it is left on the object, and at no moment too few pods serve.
 */
import { afterAll, beforeAll, describe, expect, test, type TestContext } from 'vitest';
import { createQueueActivities } from '../../src/activities/release/queue.ts';
import { createReleaseActivities } from '../../src/activities/release/release.ts';
import { type Berth, Harbourage } from './support/berth.ts';
import { BOUNDARIES, COURSES, DEATHS } from './support/courses.ts';
import { PodWatch } from './support/pod-watch.ts';
import type { Vessel } from './support/vessel.ts';

/** Releases side by side: vitest runs no more tests at once. */
const BERTHS = 5;
const REPLICAS = 4;
const SURGE = 1;

let harbourage: Harbourage;
const free: Berth[] = [];

beforeAll(async () => {
  harbourage = await Harbourage.open();
  free.push(...(await Promise.all(Array.from({ length: BERTHS }, () => harbourage.berth()))));
});
afterAll(async () => await harbourage?.close());

/** A berth of this test alone. */
function berth({ onTestFinished }: TestContext): Berth {
  const own = free.pop();
  if (!own) throw new Error('more tests at once than berths');
  onTestFinished(({ task }) => {
    if (task.result?.state === 'fail') process.stderr.write(`${own.worker.output.slice(-4_000)}\n`);
    free.push(own);
  });
  return own;
}

/** Runs `sail` on a new vessel and proves how it ends. */
async function prove(
  own: Berth,
  course: keyof typeof COURSES,
  sail: (vessel: Vessel) => Promise<void>,
): Promise<void> {
  const before = own.deaths.length;
  const vessel = await own.vessel(REPLICAS);
  const pods = await PodWatch.open(own.cluster.connection, vessel.namespace);
  await sail(vessel);
  const { outcome, reason, finishedAt } = await vessel.ends();
  const deaths = own.deaths.slice(before);
  expect({ outcome, deaths: deaths.length }, reason ?? '').toEqual({
    outcome: COURSES[course].outcome,
    deaths: 1,
  });
  expect(deaths[0], 'died while the release was under way').toBeLessThan(Date.parse(finishedAt ?? ''));
  if (outcome === 'promoted') await vessel.expectPromoted('v1.1.0');
  else await vessel.expectRestored();
  const { serving, pods: most } = pods.close();
  const { replicas } = (await vessel.read()).spec;
  expect(serving).toBeGreaterThanOrEqual(REPLICAS);
  expect(most).toBeLessThanOrEqual(replicas + SURGE);
}

test('no activity is without a death of its own', () => {
  const all = { ...createReleaseActivities({ kube: null as never }), ...createQueueActivities() };
  expect(Object.keys(DEATHS).toSorted()).toEqual(Object.keys(all).toSorted());
});

describe.concurrent('a release survives kill -9 of its worker', () => {
  const deaths = Object.entries(DEATHS).flatMap(([activity, list]) =>
    list.map((death) => ({ activity, ...death })),
  );
  test.for(deaths)('inside $activity, $moment ($course)', async (death, context) => {
    const { activity, moment, course, where, becalmed } = death;
    const own = berth(context);
    await prove(own, course, async (vessel) => {
      const arm = async (): Promise<void> => {
        if (becalmed) await vessel.refusePods();
        own.order({ do: 'die', activity, moment, ...(where && { where }) });
      };
      await COURSES[course].sail({ vessel, berth: own, arm, at: async () => {} });
      await own.untilObeyed();
      if (becalmed) await vessel.admitPods();
    });
  });

  test.for(BOUNDARIES)('at the boundary: $title', async (boundary, context) => {
    const own = berth(context);
    const { course, title } = boundary;
    const passing = 'next' in boundary ? boundary : null;
    await prove(own, course, async (vessel) => {
      const at = async (place: string): Promise<void> => {
        if (place === title) await own.worker.kill();
      };
      const arm = async (): Promise<void> => {
        if (passing) own.order({ do: 'stand-still', activity: passing.next, moment: 'begun' });
      };
      await COURSES[course].sail({ vessel, berth: own, arm, at });
      if (!passing) return;
      await own.untilObeyed();
      await vessel.sees(({ timeline }) => timeline.some(({ text }) => text.startsWith(passing.says)));
      await own.worker.kill();
    });
  });
});
