import { randomUUID } from 'node:crypto';
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SlipwayClient } from '../../src/client.ts';
import { type Gateway, startGateway } from '../../src/gateway.ts';
import { createLogger } from '../../src/observability/logging.ts';
import { freshName, releaseInput } from './support/inputs.ts';
import { startStubWorker } from './support/stub-worker.ts';
import { TemporalServer } from './support/temporal-server.ts';

const TOKEN = 'a-token-of-the-test-0123';
let server: TemporalServer;
let worker: Awaited<ReturnType<typeof startStubWorker>>;
let client: SlipwayClient;
let gateway: Gateway;
const logged: string[] = [];

beforeAll(async () => {
  server = await TemporalServer.start();
  client = await SlipwayClient.connect({ env: {}, address: server.address });
  await client.setup();
  worker = await startStubWorker(server.address);
  gateway = await startGateway({ env: gatewayEnv(), logger, bodyWithinMs: 500 });
});

afterAll(async () => {
  await gateway?.close();
  await worker?.stop();
  await client?.close();
  await server?.stop();
});

const logger = createLogger({
  component: 'gateway',
  env: {},
  destination: { write: (line: string) => void logged.push(line) },
});
const gatewayEnv = () => ({
  TEMPORAL_ADDRESS: server.address,
  SLIPWAY_GATEWAY_TOKEN: TOKEN,
  SLIPWAY_GATEWAY_ADDRESS: '127.0.0.1:0',
});

interface TestAlert {
  status?: string;
  labels: Record<string, string>;
  fingerprint?: string;
  startsAt?: string;
}

function body(alerts: TestAlert[], more: object = {}): string {
  const full = alerts.map((alert) => ({
    status: 'firing',
    annotations: {},
    startsAt: '2026-11-23T09:00:00Z',
    fingerprint: randomUUID(),
    ...alert,
  }));
  return JSON.stringify({
    version: '4',
    groupKey: '{}',
    receiver: 'slipway',
    status: 'firing',
    alerts: full,
    ...more,
  });
}

async function post(
  text: string,
  headers: Record<string, string> = {},
  url = gateway.url,
): Promise<{ status: number; body: Record<string, unknown>; headers: Headers }> {
  const response = await fetch(`${url}/v1/alerts`, {
    method: 'POST',
    body: text,
    headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json', ...headers },
  });
  return {
    status: response.status,
    body: (await response.json()) as Record<string, unknown>,
    headers: response.headers,
  };
}

const start = (name: string, namespace = 'ecommerce') =>
  client.startRelease({ input: releaseInput(name, { namespace }), onConflict: 'fail' });
const alertsOf = async (name: string, namespace = 'ecommerce') =>
  (await client.status(namespace, name)).status.alerts;
const labels = (name: string, more: Record<string, string> = {}) => ({
  alertname: 'HighErrorRate',
  severity: 'warning',
  namespace: 'ecommerce',
  deployment: name,
  ...more,
});

describe('delivery', () => {
  test('200 means that the running release has the alert, whole', async () => {
    const name = freshName();
    await start(name);
    const reply = await post(body([{ labels: labels(name), fingerprint: 'f1' }]));
    expect(reply).toMatchObject({ status: 200, body: { alerts: 1, delivered: 1, unmatched: 0 } });
    expect(await alertsOf(name)).toEqual([
      {
        fingerprint: 'f1',
        status: 'firing',
        labels: labels(name),
        annotations: {},
        startsAt: '2026-11-23T09:00:00Z',
      },
    ]);
  });

  test('a critical alert hauls the release back', async () => {
    const name = freshName();
    const ref = await start(name);
    await post(body([{ labels: labels(name, { severity: 'critical' }) }]));
    expect(await client.waitForOutcome(ref)).toMatchObject({ status: { outcome: 'rolled-back' } });
  });

  test('copies of HA peers in one request are told once; repeats and resolutions are handed on', async () => {
    const name = freshName();
    await start(name);
    const one = { labels: labels(name), fingerprint: 'same' };
    await post(body([one, one]));
    await post(body([one], { externalURL: 'http://peer-2' }));
    await post(body([{ ...one, status: 'resolved' }]));
    expect((await alertsOf(name)).map((each) => each.status)).toEqual(['firing', 'firing', 'resolved']);
  });

  test('an alert about a workload without a release, or about none, is accepted and counted', async () => {
    expect(
      await post(body([{ labels: labels(freshName()) }, { labels: { alertname: 'Watchdog' } }])),
    ).toMatchObject({
      status: 200,
      body: { delivered: 0, unmatched: 2 },
    });
    expect(await post(body([]))).toMatchObject({ status: 200, body: { alerts: 0 } });
  });

  test('an alert about a namespace reaches all its running releases and no other', async () => {
    const namespace = `ns-${process.pid}`;
    const [a, b, elsewhere] = [freshName(), freshName(), freshName()];
    await Promise.all([start(a, namespace), start(b, namespace), start(elsewhere)]);
    await expect.poll(() => client.runningReleases({ namespace })).toHaveLength(2);
    const reply = await post(body([{ labels: { alertname: 'NodeDown', namespace } }]));
    expect(reply.body).toMatchObject({ delivered: 2 });
    expect(
      await Promise.all([alertsOf(a, namespace), alertsOf(b, namespace), alertsOf(elsewhere)]),
    ).toMatchObject([[{}], [{}], []]);
  });

  test('a thousand alerts in one request are all acknowledged', async () => {
    const name = freshName();
    await start(name);
    const many = Array.from({ length: 1_000 }, (_, i) => ({
      labels: labels(i % 100 === 0 ? name : `other-${i}`),
    }));
    // How many a second is the machine's business.
    const patient = await startGateway({
      env: { ...gatewayEnv(), SLIPWAY_GATEWAY_DELIVER_WITHIN: '30s' },
      logger,
    });
    try {
      const reply = await post(body(many), {}, patient.url);
      expect(reply).toMatchObject({ status: 200, body: { alerts: 1_000, delivered: 10 } });
    } finally {
      await patient.close();
    }
  });
});

describe('refusals', () => {
  test.each([
    ['no token', { authorization: '' }, 401],
    ['a wrong token', { authorization: 'Bearer wrong-wrong-wrong-wrong' }, 401],
    ['form data', { 'content-type': 'application/x-www-form-urlencoded' }, 415],
    ['a compressed body', { 'content-encoding': 'gzip' }, 415],
  ])('%s', async (_, headers, status) => {
    const reply = await post(body([]), headers);
    expect(reply.status).toBe(status);
    expect(reply.body['error']).toEqual(expect.any(String));
  });

  test.each([
    ['not JSON', 'hello', /not JSON/],
    ['empty', '', /not JSON/],
    ['another version', JSON.stringify({ version: '5', alerts: [] }), /version: must be "4"/],
    ['wrong types', body([{ labels: { a: 1 as never } }]), /alerts\[0\]\.labels\.a/],
    ['deep', '['.repeat(300_000) + ']'.repeat(300_000), /the body/],
    ['too many', body(Array.from({ length: 1_001 }, () => ({ labels: {} }))), /alerts: /],
    ['huge', `"${'x'.repeat(2_000_000)}"`, /larger than 1048576 bytes/],
  ])('a body that is %s', async (_, text, message) => {
    const reply = await post(text);
    expect(reply.status).toBe(400);
    expect(reply.body['error']).toMatch(message);
  });

  test('a body that dribbles in is cut off', async () => {
    const answer = await raw(
      `POST /v1/alerts HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${TOKEN}\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{`,
    );
    expect(answer).toMatch(/^HTTP\/1\.1 400 [^]*the body did not arrive within 0\.5 s/);
  });

  test('an unbounded chunked body is cut off at the limit', async () => {
    const chunk = `10000\r\n${'x'.repeat(65_536)}\r\n`.repeat(32);
    const answer = await raw(
      `POST /v1/alerts HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${TOKEN}\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n${chunk}`,
    );
    expect(answer).toMatch(/^HTTP\/1\.1 400 [^]*larger than/);
  });

  test('other methods and paths', async () => {
    const get = await fetch(`${gateway.url}/v1/alerts`);
    expect([get.status, get.headers.get('allow')]).toEqual([405, 'POST']);
    for (const path of ['/', '/v1/alerts/', '/constructor', '/__proto__']) {
      expect((await fetch(`${gateway.url}${path}`, { method: 'POST' })).status).toBe(404);
    }
  });

  test('nothing secret and no label values are logged', () => {
    const text = logged.join('');
    expect(text).toContain('webhook refused');
    expect(text).not.toContain(TOKEN);
    expect(text).not.toContain('"deployment"');
  });
});

describe('operation', () => {
  test('metrics count requests by code and alerts by what became of them', async () => {
    const text = await (await fetch(`${gateway.url}/metrics`)).text();
    expect(text).toMatch(/slipway_gateway_requests_total\{path="\/v1\/alerts",code="401"\} [1-9]/);
    expect(text).toMatch(/slipway_gateway_alerts_delivered_total [1-9]/);
    expect(text).toMatch(/slipway_gateway_alerts_unmatched_total [1-9]/);
    expect(text).toMatch(/slipway_gateway_delivery_seconds_count\{result="acknowledged"\} [1-9]/);
    expect(text).toMatch(/slipway_gateway_requests_in_flight 0/);
  });

  test('while Temporal is away alerts get 503, and the same request succeeds when it is back', async () => {
    const name = freshName();
    await start(name);
    const text = body([{ labels: labels(name), fingerprint: 'kept' }]);
    await server.kill();
    const away = await post(text);
    expect([away.status, away.headers.get('retry-after')]).toEqual([503, '1']);
    expect((await fetch(`${gateway.url}/healthz`)).status).toBe(200);
    await expect
      .poll(async () => (await fetch(`${gateway.url}/readyz`)).status, { timeout: 60_000 })
      .toBe(503);
    await server.up();
    await expect.poll(async () => (await post(text)).status, { timeout: 60_000, interval: 500 }).toBe(200);
    await expect
      .poll(async () => (await fetch(`${gateway.url}/readyz`)).status, { timeout: 60_000 })
      .toBe(200);
    const fingerprints = await expect
      .poll(() => alertsOf(name), { timeout: 60_000 })
      .not.toHaveLength(0)
      .then(() => alertsOf(name));
    expect(new Set(fingerprints.map((each) => each.fingerprint))).toEqual(new Set(['kept']));
  });

  test('a gateway that stops finishes what is in flight and refuses what is new', async () => {
    const acknowledge = Promise.withResolvers<boolean>();
    const asked = Promise.withResolvers<void>();
    const slow = await startGateway({
      env: gatewayEnv(),
      logger,
      client: {
        ping: async () => undefined,
        runningReleases: async () => [],
        runningRun: async () => null,
        signalAlert: (target) => {
          if (target.name === 'UP') return Promise.resolve(false);
          asked.resolve();
          return acknowledge.promise;
        },
      },
    });
    const flying = fetch(`${slow.url}/v1/alerts`, {
      method: 'POST',
      body: body([{ labels: labels('x') }]),
      headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
    });
    await asked.promise;
    const closed = slow.close();
    await expect
      .poll(() =>
        fetch(`${slow.url}/healthz`).then(
          () => 'served',
          () => 'refused',
        ),
      )
      .toBe('refused');
    acknowledge.resolve(true);
    expect((await flying).status).toBe(200);
    await closed;
  });

  test('an address that is taken is refused with its setting', async () => {
    await expect(
      startGateway({
        env: { ...gatewayEnv(), SLIPWAY_GATEWAY_ADDRESS: `127.0.0.1:${gateway.port}` },
        logger,
      }),
    ).rejects.toThrow(/SLIPWAY_GATEWAY_ADDRESS: cannot listen on 127\.0\.0\.1:\d+ \(EADDRINUSE\)/);
  });
});

/** Bytes as they are, and what comes back until the server closes. */
async function raw(text: string): Promise<string> {
  const socket = connect(gateway.port, '127.0.0.1');
  let answer = '';
  socket.setEncoding('utf8');
  socket.on('data', (chunk: string) => {
    answer += chunk;
  });
  socket.on('error', () => undefined);
  socket.write(text);
  const closed = new Promise((resolve) => socket.once('close', resolve));
  await Promise.race([closed, delay(5_000)]);
  socket.destroy();
  return answer;
}
