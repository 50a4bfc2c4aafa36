/** The API server or Temporal away in the middle of a release, on simulated nodes of a lab of this test's own. */
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../../lab/wait.ts';
import { type Berth, Harbourage } from './support/berth.ts';
import { gate, type Vessel } from './support/vessel.ts';

/** Much longer than any pause between tries, and than what an API server needs to be restarted. */
const OUTAGE_MS = 30_000;
const API = 'kube-apiserver';

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

const dark = (vessel: Vessel): Promise<void> =>
  vessel.sees(({ timeline }) => timeline.at(-1)?.text.startsWith('nothing moves') ?? false);

describe('an API server that is away for half a minute', () => {
  let baking: Vessel;
  let moving: Vessel;
  let alerted: Vessel;
  const phases: Record<string, string> = {};
  const next: Record<string, string | null> = {};

  beforeAll(async () => {
    [baking, moving, alerted] = await Promise.all([berth.vessel(), berth.vessel(), berth.vessel()]);
    await alerted.launch('v1.1.0', [{ weight: 50 }, { bake: '10m' }]);
    await baking.launch('v1.1.0', [{ weight: 25 }, { bake: '20s' }, { weight: 50 }], {
      after: { guard: '1s' },
    });
    await Promise.all([alerted.reaches('baking'), baking.reaches('baking')]);
    // Its clock stands until all three are where the API server is to leave them.
    await berth.client.pause(baking.target, { by: 'ann', why: 'not before the others are there' });
    berth.order({ do: 'stand-still', activity: 'adjust', moment: 'before-write' });
    await moving.launch('v1.1.0', [{ weight: 50 }], { after: { guard: '1s' } });
    await berth.untilObeyed();
    await berth.client.resume(baking.target, { by: 'ann' });
    await harbourage.lab.kill(API);
    try {
      berth.letGo();
      await Promise.all([baking, moving, alerted].map(dark));
      expect(await alerted.alert()).toBe(200);
      await delay(OUTAGE_MS);
      for (const [name, vessel] of Object.entries({ baking, moving, alerted })) {
        const status = await vessel.status();
        phases[name] = status.phase;
        next[name] = status.next;
      }
    } finally {
      await harbourage.lab.start(API);
    }
  });

  test('rolls nothing back and promotes nothing; only the alert is heard', () => {
    expect(phases).toEqual({ baking: 'baking', moving: 'progressing', alerted: 'rolling-back' });
  });

  test('during a bake: the clock of the bake stands still, the rest is baked, and the release is promoted', async () => {
    expect(next['baking']).toContain('deadline');
    expect(await baking.ends()).toMatchObject({ outcome: 'promoted' });
    await baking.expectPromoted('v1.1.0');
  });

  test('while a step is being applied: the step is decided anew and applied once it is there', async () => {
    expect(await moving.ends()).toMatchObject({ outcome: 'promoted' });
    await moving.expectPromoted('v1.1.0');
  });

  test('an alert meanwhile hauls the release back as soon as the API server is there', async () => {
    expect(await alerted.ends()).toMatchObject({
      outcome: 'rolled-back',
      reason: 'alert HighErrorRate (warning) fired: too many errors',
    });
    await alerted.expectRestored();
  });
});

describe('Temporal killed and restarted', () => {
  test('in the middle of a release: the release goes on where it was and is promoted', async () => {
    const vessel = await berth.vessel();
    await vessel.launch('v1.1.0', [{ weight: 25 }, gate('half'), { weight: 50 }], { after: { guard: '1s' } });
    await vessel.reaches('awaiting-approval');
    await harbourage.temporal.kill();
    await delay(2_000);
    await harbourage.temporal.up();
    const approved = async () => {
      await vessel.approve();
      return true;
    };
    expect(await eventually(approved, { timeoutMs: 120_000, pauseMs: 500 })).toBe(true);
    expect(await vessel.ends()).toMatchObject({ outcome: 'promoted' });
    await vessel.expectPromoted('v1.1.0');
  });

  test('while a step is being applied: the write is not done twice, and the release is promoted', async () => {
    const vessel = await berth.vessel();
    berth.order({ do: 'stand-still', activity: 'adjust', moment: 'after-write' });
    await vessel.launch('v1.1.0', [{ weight: 50 }], { after: { guard: '1s' } });
    await berth.untilObeyed();
    await harbourage.temporal.kill();
    berth.letGo();
    await delay(2_000);
    await harbourage.temporal.up();
    const ended = await eventually(async () => (await vessel.ends()).outcome, { timeoutMs: 180_000 });
    expect(ended).toBe('promoted');
    await vessel.expectPromoted('v1.1.0');
  });
});
