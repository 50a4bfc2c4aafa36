/** product-service as a process, against a real mongod. Each version is released in the demo and the end-to-end tests for what it does here. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { Agent, request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { generateTraffic } from '../../examples/traffic/generate.ts';
import { allocatePorts } from '../../lab/ports.ts';
import { provision } from '../../lab/provision.ts';
import { eventually, listening } from '../../lab/wait.ts';

const SERVER = new URL('../../examples/product-service/app/server.js', import.meta.url).pathname;
const START_LIMIT_MS = 20_000;
const PROVISION_LIMIT_MS = 300_000;

interface Instance {
  url: string;
  process: ChildProcess;
  /** Everything that it logged, by now. */
  log: { level: string; message: string }[];
  exited: Promise<number | null>;
}

const scratch = mkdtempSync(join(tmpdir(), 'slipway-products-'));
const started: ChildProcess[] = [];
let mongod: ChildProcess;
let mongoUri: string;

beforeAll(async () => {
  const program = (await provision(['mongod']))['mongod']?.path ?? '';
  const port = (await allocatePorts(['mongod'], {}))['mongod'] ?? 0;
  mongoUri = `mongodb://127.0.0.1:${port}/`;
  const options = ['--dbpath', scratch, '--bind_ip', '127.0.0.1', '--port', String(port), '--nounixsocket'];
  mongod = spawn(program, [...options, '--wiredTigerCacheSizeGB', '0.25'], { stdio: 'ignore' });
  const up = await eventually(() => listening(port), { timeoutMs: START_LIMIT_MS });
  if (!up) throw new Error(`mongod did not listen on port ${port} within ${START_LIMIT_MS / 1000} s`);
}, PROVISION_LIMIT_MS);

afterEach(() => {
  for (const process of started.splice(0)) process.kill('SIGKILL');
});
afterAll(async () => {
  const gone = once(mongod, 'exit');
  mongod.kill('SIGKILL');
  await gone;
  rmSync(scratch, { recursive: true, force: true });
});

function run(version: string, env: Record<string, string> = {}) {
  const child = spawn(process.execPath, [SERVER], {
    env: {
      SLIPWAY_TEST_RUN: process.env['SLIPWAY_TEST_RUN'],
      APP_VERSION: version,
      HOST: '127.0.0.1',
      PORT: '0',
      POD_NAME: 'pod-1',
      MONGODB_URI: mongoUri,
      ...env,
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  started.push(child);
  const log: Instance['log'] = [];
  const lines = createInterface({ input: child.stdout });
  const port = new Promise<number>((resolve) => {
    lines.on('line', (line) => {
      const entry = JSON.parse(line) as { level: string; message: string; port?: number };
      log.push(entry);
      if (entry.message === 'listening' && entry.port !== undefined) resolve(entry.port);
    });
  });
  const exited = once(child, 'exit').then(([code]) => code as number | null);
  return { process: child, log, exited, port };
}

async function start(version: string, env: Record<string, string> = {}): Promise<Instance> {
  const { port, ...instance } = run(version, env);
  return { ...instance, url: `http://127.0.0.1:${await port}` };
}

async function startReady(version: string, env?: Record<string, string>): Promise<Instance> {
  const instance = await start(version, env);
  const ready = await eventually(async () => (await fetch(`${instance.url}/ready`)).ok, {
    timeoutMs: START_LIMIT_MS,
  });
  expect(ready, `${version} gets ready`).toBe(true);
  return instance;
}

const json = async (url: string): Promise<Record<string, unknown>> =>
  (await (await fetch(url)).json()) as Record<string, unknown>;

/** Values of /metrics by series, as written. */
async function metrics(instance: Instance): Promise<Map<string, number>> {
  const text = await (await fetch(`${instance.url}/metrics`)).text();
  const samples = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    samples.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]),
  );
}

const counter = (route: string, status: number) =>
  `http_requests_total{method="GET",route="${route}",status_code="${status}"}`;

describe('good versions', () => {
  test.each(['v1.0.0', 'v1.1.0'])('%s seeds, lists, finds and searches products', async (version) => {
    const { url } = await startReady(version);
    const { products } = (await json(`${url}/products`)) as { products: { _id: string }[] };
    expect(products.length).toBeGreaterThan(3);
    const id = products[0]?._id ?? '';
    expect(await json(`${url}/products/${id}`)).toMatchObject({ _id: id, priceCents: expect.any(Number) });
    const found = (await json(`${url}/products?q=anchor`)) as { products: { _id: string }[] };
    expect(found.products.map((product) => product._id).sort()).toEqual(['anchor-15kg', 'lantern-led']);
  });

  test('several pods that start at once seed the products once', async () => {
    const pods = await Promise.all(
      ['a', 'b', 'c'].map((pod) => startReady('v1.1.0', { POD_NAME: pod, MONGODB_DATABASE: 'together' })),
    );
    const lists = await Promise.all(
      pods.map(async ({ url }) => (await json(`${url}/products`))['products'] as object[]),
    );
    expect(lists.map((list) => list.length)).toEqual([6, 6, 6]);
    for (const { log } of pods) expect(log.filter((entry) => entry.level !== 'info')).toEqual([]);
  });

  test('every answer says which version and which pod gave it', async () => {
    const { url } = await startReady('v1.1.0');
    const { headers } = await fetch(`${url}/products`);
    expect([headers.get('x-version'), headers.get('x-pod')]).toEqual(['v1.1.0', 'pod-1']);
  });

  test.each([
    ['/products?limit=0', 400, 'limit: found "0", allowed is a whole number from 1 to 100'],
    ['/products?limit=many', 400, 'limit: found "many", allowed is a whole number from 1 to 100'],
    ['/products?q=%20', 400, 'q: found 1 characters, allowed are 1 to 200, not only blanks'],
    ['/products/none', 404, 'no product with id "none"'],
    ['/nowhere', 404, 'no such path; try /products or /products/{id}'],
  ])('GET %s is refused with a reason', async (path, status, error) => {
    const { url } = await startReady('v1.1.0');
    const response = await fetch(`${url}${path}`);
    expect([response.status, await response.json()]).toEqual([status, { error }]);
  });
});

describe('metrics', () => {
  test('count customers’ requests by method, route and status, and not probes', async () => {
    const instance = await startReady('v1.1.0');
    expect((await metrics(instance)).get(counter('/products', 500)), 'visible before the first error').toBe(
      0,
    );
    for (const path of ['/products', '/products', '/products/none', '/health', '/ready'])
      await fetch(instance.url + path);
    const values = await metrics(instance);
    expect(values.get(counter('/products', 200))).toBe(2);
    expect(values.get(counter('/products/:id', 404))).toBe(1);
    expect([...values.keys()].filter((series) => /health|ready|metrics"/.test(series))).toEqual([]);
    expect(values.get('app_info{version="v1.1.0"}')).toBe(1);
  });

  test('have a histogram whose buckets only grow and end with all requests', async () => {
    const instance = await startReady('v1.1.0');
    for (let i = 0; i < 5; i += 1) await fetch(`${instance.url}/products`);
    const values = await metrics(instance);
    const name = 'http_request_duration_seconds';
    const buckets = [...values]
      .filter(([series]) => series.startsWith(`${name}_bucket`))
      .map(([, value]) => value);
    expect(buckets).toEqual(buckets.toSorted((a, b) => a - b));
    expect(buckets.at(-1)).toBe(5);
    expect(values.get(`${name}_count{method="GET",route="/products"}`)).toBe(5);
  });
});

describe('bad versions', () => {
  test('v1.2.0 answers exactly 30 of 100 requests with 500, and is ready all the while', async () => {
    const instance = await startReady('v1.2.0');
    const statuses = await Promise.all(
      Array.from({ length: 100 }, async () => (await fetch(`${instance.url}/products`)).status),
    );
    expect(statuses.filter((status) => status === 500)).toHaveLength(30);
    expect(statuses.filter((status) => status === 200)).toHaveLength(70);
    expect((await metrics(instance)).get(counter('/products', 500))).toBe(30);
    expect((await fetch(`${instance.url}/ready`)).status).toBe(200);
  });

  test('v1.3.0 says what it lacks and exits with 1', async () => {
    const { exited, log } = run('v1.3.0');
    expect(await exited).toBe(1);
    expect(log).toEqual([
      expect.objectContaining({
        level: 'fatal',
        message: expect.stringMatching(/cannot start: .*ENOENT.*synonyms/),
      }),
    ]);
  });

  test('v1.4.0 is alive, but never ready, and says why', async () => {
    const { url } = await start('v1.4.0');
    const reason = await eventually(
      async () => {
        const response = await fetch(`${url}/ready`);
        const body = (await response.json()) as { reason: string };
        return response.status === 503 && body.reason.includes('search_v2') && body.reason;
      },
      { timeoutMs: START_LIMIT_MS },
    );
    expect(reason).toBe('index search_v2 is missing in the products collection');
    expect((await fetch(`${url}/health`)).status).toBe(200);
  });
});

describe('without MongoDB', () => {
  test('the service lives, says why it is not ready, and answers products with 503', async () => {
    const { url } = await start('v1.1.0', { MONGODB_URI: 'mongodb://127.0.0.1:1/' });
    expect((await fetch(`${url}/health`)).status).toBe(200);
    const ready = await fetch(`${url}/ready`);
    expect(ready.status).toBe(503);
    expect(await ready.json()).toMatchObject({
      status: 'not ready',
      reason: expect.stringContaining('MongoDB'),
    });
    expect((await fetch(`${url}/products`)).status).toBe(503);
  });

  test('no password of the environment gets into log or answers', async () => {
    const secret = 'sesame-open-7';
    const env = { MONGODB_URI: 'mongodb://127.0.0.1:1/', DB_USERNAME: 'shop', DB_PASSWORD: secret };
    const { url, log } = await start('v1.1.0', env);
    const bodies = await Promise.all(
      ['/ready', '/products', '/metrics'].map(async (path) => (await fetch(url + path)).text()),
    );
    await eventually(() => log.some((entry) => entry.level === 'warn'), { timeoutMs: START_LIMIT_MS });
    expect(JSON.stringify([bodies, log])).not.toContain(secret);
    expect(log.some((entry) => entry.level === 'warn')).toBe(true);
  });
});

describe('at SIGTERM', () => {
  test('kept connections are told to close, readiness is refused, and the process ends with 0', async () => {
    const { url, process: child, exited } = await startReady('v1.1.0');
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    expect((await ask(`${url}/products`, agent)).connection).toBe('keep-alive');
    child.kill('SIGTERM');
    const ready = await eventually(async () => (await fetch(`${url}/ready`)).status === 503, {
      timeoutMs: 3000,
    });
    expect(ready).toBe(true);
    expect(await ask(`${url}/products`, agent)).toEqual({ status: 200, connection: 'close' });
    expect(await exited).toBe(0);
    agent.destroy();
  });

  test('no request is lost while traffic moves to another pod', async () => {
    const [old, fresh] = await Promise.all([startReady('v1.0.0'), startReady('v1.1.0')]);
    await using leaving = generateTraffic({ urls: [`${old.url}/products`], rps: 100 });
    await eventually(() => leaving.snapshot().ok > 50, { timeoutMs: START_LIMIT_MS });
    old.process.kill('SIGTERM');
    await using arriving = generateTraffic({ urls: [`${fresh.url}/products`], rps: 100 });
    // Stands for the endpoint's removal, which reaches the nodes a while after the signal.
    await eventually(() => arriving.snapshot().ok > 150, { timeoutMs: START_LIMIT_MS });
    const before = await leaving.stop();
    expect(await old.exited).toBe(0);
    const after = await arriving.stop();
    expect([before.failures, after.failures]).toEqual([[], []]);
    expect(before.byVersion['v1.0.0']?.ok).toBeGreaterThan(150);
    expect(after.byVersion['v1.1.0']?.ok).toBeGreaterThan(150);
  });
});

function ask(
  url: string,
  agent: Agent,
): Promise<{ status: number | undefined; connection: string | undefined }> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(url, { agent }, (response) => {
      response.resume();
      response.on('end', () =>
        resolve({ status: response.statusCode, connection: response.headers.connection }),
      );
    });
    request.on('error', reject).end();
  });
}
