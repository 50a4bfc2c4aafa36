/** Whatever dies in the middle of a release: it goes on where it was, and nothing is done twice or left behind. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../../lab/wait.ts';
import { Dockyard, possible } from './support/dockyard.ts';
import { gate } from './support/vessel.ts';

let yard: Dockyard;
const steps = [{ weight: 25 }, gate('half'), { weight: 50 }];

describe.runIf(possible)('a release survives', () => {
  beforeAll(async () => {
    yard = await Dockyard.open();
  });
  afterEach(({ task }) => {
    if (task.result?.state === 'fail') process.stderr.write(`${yard.worker.output.slice(-4_000)}\n`);
  });
  afterAll(async () => await yard?.close());

  test('kill -9 of the gateway: the next webhook is delivered by the new one', async () => {
    const vessel = await yard.shared();
    await vessel.launch('v1.1.0', steps);
    await vessel.reaches('awaiting-approval');
    await yard.gateway.kill();
    await expect(vessel.alert()).rejects.toThrow();
    await yard.gateway.start();
    expect(await vessel.alert()).toBe(200);
    expect((await vessel.ends()).outcome).toBe('rolled-back');
    await vessel.expectRestored();
  });

  test('kill -9 of Temporal: webhooks get 503 meanwhile, then the alert arrives and stable is back', async () => {
    const vessel = await yard.shared();
    await vessel.launch('v1.1.0', steps);
    await vessel.reaches('awaiting-approval');
    await yard.temporal.kill();
    expect(await vessel.alert()).toBe(503);
    await yard.temporal.up();
    const delivered = await eventually(async () => (await vessel.alert()) === 200, { timeoutMs: 120_000 });
    expect(delivered).toBe(true);
    expect((await vessel.ends()).outcome).toBe('rolled-back');
    await vessel.expectRestored();
  });

  test('kill -9 of the worker, at a gate and while a weight is applied', async () => {
    const vessel = await yard.shared();
    const seen = vessel.observe();
    await vessel.launch('v1.1.0', steps);
    await vessel.reaches('awaiting-approval');
    await yard.worker.kill();
    await yard.worker.start();
    await vessel.approve();
    await vessel.until('moved', ({ status }) => (status?.updatedReplicas ?? 0) > 1);
    await yard.worker.kill();
    await yard.worker.start();
    expect((await vessel.ends()).outcome).toBe('promoted');
    await vessel.expectPromoted('v1.1.0');
    expect((await seen.stop()).serving).toBeGreaterThanOrEqual(4);
  });
});
