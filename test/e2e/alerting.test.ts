/** The whole way of a real alert: pods under load, Prometheus, Alertmanager, gateway, release. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { generateTraffic, type Traffic } from '../../examples/traffic/generate.ts';
import { eventually } from '../../lab/wait.ts';
import { Dockyard, possible } from './support/dockyard.ts';
import type { Vessel } from './support/vessel.ts';
import { Watchtower } from './support/watchtower.ts';

/** Answers a share of its requests with its own fault. Of all versions only 503 is expected, when MongoDB is slow. */
const BAD = 'v1.2.0';
const FAULT = '500';
const STEPS = [{ weight: 25 }, { bake: '100s' }];
/** Alerts decide here: pods may take their time on a busy machine. */
const GUARDS = {
  alerts: { match: { severity: ['warning', 'critical'] } },
  pods: { readyWithin: '5m', restarts: 0 },
  deadline: '10m',
};
const WITHIN = { timeoutMs: 90_000, pauseMs: 200 };

let yard: Dockyard;
let tower: Watchtower;

describe.runIf(possible)('an alert of a real Prometheus, through a real Alertmanager', () => {
  beforeAll(async () => {
    yard = await Dockyard.open();
    tower = await Watchtower.open({ url: yard.gateway.url, token: yard.token });
  });
  afterEach(({ task }) => {
    if (task.result?.state !== 'fail') return;
    const outputs = [yard.worker.output, yard.gateway.output, tower.output].map((text) => text.slice(-4_000));
    process.stderr.write(`${outputs.join('\n')}\n`);
  });
  afterAll(async () => {
    await tower?.close();
    await yard?.close();
  });

  test('hauls a bad version back during its bake, and lets the repair after it go up', async () => {
    const vessel = await yard.vessel();
    await using traffic = await load(vessel);
    await vessel.launch(BAD, STEPS, { guards: GUARDS });
    const end = await vessel.ends();
    expect(end).toMatchObject({
      outcome: 'rolled-back',
      reason: expect.stringMatching(/^alert High(Pod)?ErrorRate \(warning\) fired: .* with an error$/),
    });
    expect(end.timeline.map(({ text }) => text)).toContain('bake 100s');
    expect(end.alerts[0]?.labels).toMatchObject({ namespace: vessel.namespace, workload: 'product-service' });
    await vessel.expectRestored();

    // The alert may still fire for the pods that are gone.
    await vessel.launch('v1.1.0', [{ weight: 50 }, { bake: '15s' }], { guards: GUARDS });
    const { outcome, reason, alerts } = await vessel.ends();
    expect({ outcome, reason, alerts }).toMatchObject({ outcome: 'promoted', alerts: [] });

    const faults = (await traffic.stop()).failures.filter(({ message }) => message === FAULT);
    expect(new Set(faults.map(({ version }) => version))).toEqual(new Set([BAD]));
  });

  test('that fires while Temporal is away is sent again by Alertmanager until the release has it', async () => {
    const vessel = await yard.vessel();
    await using _ = await load(vessel);
    await vessel.launch(BAD, STEPS, { guards: GUARDS });
    await vessel.reaches('baking');
    await yard.temporal.kill();
    // More than one refusal: it does try again.
    expect(await eventually(async () => (await refusals()) > 1, WITHIN)).toBe(true);
    const firing = (await tower.firing(vessel.namespace)).map(({ fingerprint }) => fingerprint);
    expect(firing).not.toEqual([]);

    const back = new Date();
    await yard.temporal.up();
    await vessel.reaches('rolled-back');
    const { alerts } = await vessel.ends();
    expect(firing).toContain(alerts[0]?.fingerprint);
    expect(new Date(alerts[0]?.startsAt ?? 0).getTime()).toBeLessThan(back.getTime());
    await vessel.expectRestored();
  });
});

async function load(vessel: Vessel): Promise<Traffic> {
  return generateTraffic({ urls: [`${await vessel.url()}/products`], rps: 25, timeoutMs: 15_000 });
}

/** How many webhooks the gateway has answered with 503. */
async function refusals(): Promise<number> {
  const text = await (await fetch(`${yard.gateway.url}/metrics`)).text();
  const found = /^slipway_gateway_requests_total\{path="\/v1\/alerts",code="503"\} (\d+)$/m.exec(text);
  return Number(found?.[1] ?? 0);
}
