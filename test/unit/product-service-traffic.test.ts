/** The traffic generator's account must be right, or "no failed request" means nothing. */
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { type Failure, generateTraffic } from '../../examples/traffic/generate.ts';
import { Latencies } from '../../examples/traffic/latency.ts';
import { eventually } from '../../lab/wait.ts';

const LIMIT_MS = 10_000;
const servers: Server[] = [];

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

afterEach(() => {
  for (const server of servers.splice(0)) {
    server.close();
    server.closeAllConnections();
  }
});

async function run(
  url: string,
  requests: number,
  options: { timeoutMs?: number; maxInFlight?: number } = {},
) {
  const reported: Failure[] = [];
  await using traffic = generateTraffic({
    urls: [url],
    rps: 200,
    // A machine that stands still for a second asks for all of it at once; what is never sent is a test of its own.
    maxInFlight: 10_000,
    onFailure: (failure) => reported.push(failure),
    ...options,
  });
  const done = () => traffic.snapshot().ok + traffic.snapshot().failed >= requests;
  await eventually(done, { timeoutMs: LIMIT_MS, pauseMs: 10 });
  return { final: await traffic.stop(), reported };
}

describe('every request is accounted for', () => {
  test('answered ones by the version and pod that answered', async () => {
    let asked = 0;
    const url = await serve((_, response) => {
      asked += 1;
      response
        .setHeader('x-version', asked % 4 === 0 ? 'v2' : 'v1')
        .setHeader('x-pod', 'a')
        .end('ok');
    });
    const { final } = await run(url, 40);
    expect(final.ok + final.failed).toBe(asked);
    expect(final.byPod).toEqual({ a: { ok: asked, failed: 0 } });
    expect(final.byVersion['v2']).toEqual({ ok: Math.floor(asked / 4), failed: 0 });
    expect(final.p99).toBeGreaterThanOrEqual(final.p50 ?? Number.NaN);
    expect(final.inFlight).toBe(0);
  });

  test('500 and more are failures, 4xx are answers', async () => {
    let asked = 0;
    const url = await serve((_, response) => {
      asked += 1;
      response.writeHead([200, 404, 503][asked % 3] ?? 200, { 'x-version': 'v1', 'x-pod': 'b' }).end();
    });
    const { final, reported } = await run(url, 30);
    expect(final.failed).toBe(final.byStatus['503']);
    expect(final.ok).toBe((final.byStatus['200'] ?? 0) + (final.byStatus['404'] ?? 0));
    expect(final.byStatus['503']).toBeGreaterThanOrEqual(Math.floor(asked / 3));
    expect(reported).toEqual(final.failures);
    expect(reported[0]).toMatchObject({ kind: 'status', message: '503', version: 'v1', pod: 'b', url });
  });

  test('a connection that is cut in the middle of the answer', async () => {
    const url = await serve((_, response) => {
      response.writeHead(200, { 'content-length': 100 });
      response.write('half', () => response.destroy());
    });
    const { final } = await run(url, 10);
    expect(final.ok).toBe(0);
    expect(new Set(final.failures.map((failure) => failure.kind))).toEqual(new Set(['connection']));
  });

  test('a refused connection', async () => {
    const url = await serve((_, response) => response.end());
    await new Promise((resolve) => servers.pop()?.close(resolve));
    const { final } = await run(url, 10);
    expect(final.failures[0]).toMatchObject({
      kind: 'connection',
      message: expect.stringContaining('ECONNREFUSED'),
    });
  });

  test('an answer that does not come, also when its beginning did', async () => {
    const url = await serve((_, response) => response.writeHead(200).write('…'));
    const { final } = await run(url, 5, { timeoutMs: 50 });
    expect(final.ok).toBe(0);
    expect(final.failures[0]).toMatchObject({ kind: 'timeout', message: 'no answer within 50 ms' });
  });

  test('one that could not be sent, because the service is too slow for the rate', async () => {
    const url = await serve(() => {});
    const { final } = await run(url, 10, { maxInFlight: 3, timeoutMs: 300 });
    expect(final.failures.filter((failure) => failure.kind === 'not-sent').length).toBeGreaterThan(0);
    expect(final.byStatus['timeout']).toBeGreaterThanOrEqual(3);
  });
});

test('half of the requests use kept connections, and none of these is used for ever', async () => {
  const perConnection = new Map<unknown, number>();
  const url = await serve((request, response) => {
    perConnection.set(request.socket, (perConnection.get(request.socket) ?? 0) + 1);
    response.end();
  });
  const { final } = await run(url, 200);
  const used = [...perConnection.values()];
  const kept = used.filter((requests) => requests > 1).reduce((sum, requests) => sum + requests, 0);
  expect(kept).toBeGreaterThan(final.ok * 0.3);
  expect(used.filter((requests) => requests === 1).length).toBeGreaterThan(final.ok * 0.4);
  expect(Math.max(...used)).toBeLessThanOrEqual(100);
});

test.each([
  [{ urls: [], rps: 1 }, 'urls: found none, at least one is needed'],
  [{ urls: ['http://a/'], rps: 0 }, 'rps: found 0, allowed is above 0 and up to 100000'],
  [{ urls: ['https://a/'], rps: 1 }, 'urls: found "https://a/", allowed is http://host:port/path'],
])('options that cannot work are refused: %j', (options, message) => {
  expect(() => generateTraffic(options)).toThrow(message);
});

test('percentiles are right within two per cent', () => {
  const latencies = new Latencies();
  expect(latencies.percentile(0.5)).toBeUndefined();
  for (let ms = 1; ms <= 1000; ms += 1) latencies.add(ms);
  expect(Math.abs((latencies.percentile(0.5) ?? 0) / 500 - 1)).toBeLessThan(0.02);
  expect(Math.abs((latencies.percentile(0.99) ?? 0) / 990 - 1)).toBeLessThan(0.02);
});
