import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { inspect } from 'node:util';
import { KubeClient, type RequestRecord } from '../../src/kubernetes/client.ts';
import type { KubeError } from '../../src/kubernetes/errors.ts';
import { DEPLOYMENTS, PODS, pathOf } from '../../src/kubernetes/paths.ts';
import type { KubeObject } from '../../src/domain/workload/objects.types.ts';
import { FakeServer, fails, hangs, json, listOf, ok, pod, resets } from './kubernetes.fake-server.ts';

let server: FakeServer;
let client: KubeClient;
let records: RequestRecord[];
beforeEach(async () => {
  server = await FakeServer.start();
  records = [];
  client = new KubeClient({
    connection: server.connection,
    version: '1.2.3',
    onRequest: (record) => records.push(record),
  });
});
afterEach(() => server.stop());

async function errorFrom(work: Promise<unknown>): Promise<KubeError> {
  return work.then(
    () => {
      throw new Error('it did not fail');
    },
    (error: KubeError) => error,
  );
}

const current = pod('web', 7) as KubeObject;

describe('reading', () => {
  it('gives back exactly what the server sent, fields it does not know included', async () => {
    const object = { ...pod('web', 7), spec: { containers: [], from: [{ x: 1 }], future: { a: null } } };
    server.next(ok(object));
    expect(await client.get(PODS, 'shop', 'web')).toEqual(object);
    expect(server.seen[0]?.url.pathname).toBe('/api/v1/namespaces/shop/pods/web');
    expect(server.seen[0]?.headers['user-agent']).toBe('slipway/1.2.3');
  });

  it('reads long lists in pages', async () => {
    server.next(ok(listOf(5, [pod('a', 1)], 'page-2')), ok(listOf(5, [pod('b', 2)])));
    const { items, resourceVersion } = await client.list(PODS, 'shop', {
      labelSelector: 'app=web',
      limit: 1,
    });
    expect(items.map(({ metadata }) => metadata.name)).toEqual(['a', 'b']);
    expect(resourceVersion).toBe('5');
    expect(server.seen.map(({ url }) => url.search)).toEqual([
      '?limit=1&labelSelector=app%3Dweb',
      '?limit=1&labelSelector=app%3Dweb&continue=page-2',
    ]);
  });

  it('uses one connection for one request after the other', async () => {
    server.fallback = ok(pod('web', 7));
    for (let count = 0; count < 5; count++) await client.get(PODS, 'shop', 'web');
    expect(server.connections).toBe(1);
  });

  it('cannot be led out of its path by a name', () => {
    expect(pathOf(PODS, 'a/../b', '../secrets')).toBe('api/v1/namespaces/a%2F..%2Fb/pods/..%2Fsecrets');
  });
});

describe('patching', () => {
  it('asks for the very version and object that was read, under our field manager', async () => {
    server.next(ok(pod('web', 8)));
    await client.patch(DEPLOYMENTS, current, { spec: { minReadySeconds: 5 } });
    const { method, url, headers, body } = server.seen[0] ?? {};
    expect(method).toBe('PATCH');
    expect(url?.searchParams.get('fieldManager')).toBe('slipway');
    expect(headers?.['content-type']).toBe('application/strategic-merge-patch+json');
    expect(JSON.parse(body ?? '')).toEqual({
      metadata: { uid: 'uid-web', resourceVersion: '7' },
      spec: { minReadySeconds: 5 },
    });
  });

  it('does not repeat a conflict, whose answer is to read again', async () => {
    server.next(fails(409, 'Conflict', 'the object has been modified'));
    const error = await errorFrom(client.patch(DEPLOYMENTS, current, {}));
    expect(error).toMatchObject({ status: 409, reason: 'Conflict', retryable: true });
    expect(server.seen).toHaveLength(1);
  });

  it('is repeated after a reset: with the version as precondition it cannot count twice', async () => {
    server.next(resets, ok(pod('web', 8)));
    await client.patch(DEPLOYMENTS, current, {});
    expect(server.seen).toHaveLength(2);
  });

  it('is awaited once it is on its way, however loudly it is cancelled', async () => {
    const cancel = new AbortController();
    server.next((_, response) => {
      cancel.abort();
      setTimeout(() => json(response, 200, pod('web', 8)), 30);
    });
    await expect(client.patch(DEPLOYMENTS, current, {}, { signal: cancel.signal })).resolves.toEqual(
      pod('web', 8),
    );
  });
});

describe('trying again', () => {
  it('waits as long as the server asks', async () => {
    server.next(fails(429, 'TooManyRequests', 'slow down', { 'retry-after': '1' }), ok(pod('web', 7)));
    await client.get(PODS, 'shop', 'web');
    const [first, second] = server.seen;
    expect((second?.at ?? 0) - (first?.at ?? 0)).toBeGreaterThanOrEqual(990);
  });

  it('passes a long wish of the server on to the caller', async () => {
    server.next(fails(503, 'ServiceUnavailable', 'away', { 'retry-after': '600' }));
    const error = await errorFrom(client.get(PODS, 'shop', 'web'));
    expect(error).toMatchObject({ retryable: true, retryAfterMs: 600_000 });
    expect(server.seen).toHaveLength(1);
  });

  it('survives resets and errors of the server, a bounded number of times', async () => {
    server.next(resets, fails(500, 'InternalError'), fails(503, 'ServiceUnavailable'), ok(pod('web', 7)));
    await client.get(PODS, 'shop', 'web');
    server.fallback = fails(500, 'InternalError', 'etcd is gone');
    expect(await errorFrom(client.get(PODS, 'shop', 'web'))).toMatchObject({ status: 500, retryable: true });
    expect(server.seen).toHaveLength(8);
    expect(records.map(({ status }) => status)).toEqual([0, 500, 503, 200, 500, 500, 500, 500]);
    expect(records[0]).toMatchObject({ verb: 'get', resource: 'pods' });
  });

  it.each([
    [400, 'BadRequest'],
    [403, 'Forbidden'],
    [404, 'NotFound'],
    [422, 'Invalid'],
  ])('gives up at once on %i %s', async (code, reason) => {
    server.next(fails(code, reason, 'the server says why'));
    const error = await errorFrom(client.get(PODS, 'shop', 'web'));
    expect(error).toMatchObject({ status: code, reason, message: 'the server says why', retryable: false });
    expect(server.seen).toHaveLength(1);
  });

  it('asks for new credentials once when its own are refused', async () => {
    server.next(fails(401, 'Unauthorized'), ok(pod('web', 7)));
    await client.get(PODS, 'shop', 'web');
    expect(server.seen.map(({ headers }) => headers.authorization)).toEqual([
      'Bearer secret-token-1',
      'Bearer secret-token-2',
    ]);
    server.fallback = fails(401, 'Unauthorized');
    expect(await errorFrom(client.get(PODS, 'shop', 'web'))).toMatchObject({ status: 401, retryable: false });
    expect(server.renewals).toBe(2);
  });
});

describe('bounds', () => {
  it('gives up on a server that does not answer', async () => {
    server.fallback = hangs;
    const error = await errorFrom(client.get(PODS, 'shop', 'web', { timeoutMs: 80 }));
    expect(error).toMatchObject({ status: 0, reason: 'ETIMEDOUT', retryable: true });
  });

  it('ends a read at once when cancelled', async () => {
    server.fallback = hangs;
    const cancel = new AbortController();
    const reading = client.get(PODS, 'shop', 'web', { signal: cancel.signal });
    setTimeout(() => cancel.abort(new Error('enough')), 20);
    await expect(reading).rejects.toThrow('enough');
  });

  it('knows an answer that was cut off from a whole one', async () => {
    const half = (_: unknown, response: import('node:http').ServerResponse): void => {
      response.writeHead(200, { 'content-length': '1000' });
      response.write('{"metadata":');
      setTimeout(() => response.destroy(), 5);
    };
    server.next(half, ok(pod('web', 7)));
    await expect(client.get(PODS, 'shop', 'web')).resolves.toEqual(pod('web', 7));
  });

  it('says so when something else than an API server answers', async () => {
    server.fallback = (_, response) => {
      response.writeHead(200, { 'content-type': 'text/html' });
      response.end('<html>login</html>');
    };
    expect((await errorFrom(client.get(PODS, 'shop', 'web'))).message).toContain(
      'is this a Kubernetes API server?',
    );
  });
});

describe('discretion', () => {
  it('keeps tokens and headers out of errors, however they are printed', async () => {
    server.next(fails(403, 'Forbidden', 'pods is forbidden'));
    const refused = await errorFrom(client.get(PODS, 'shop', 'web'));
    server.fallback = resets;
    const broken = await errorFrom(client.get(PODS, 'shop', 'web'));
    for (const error of [refused, broken]) {
      const texts = [
        error.message,
        String(error.stack),
        JSON.stringify(error),
        inspect(error, { depth: 9, showHidden: true }),
      ];
      expect(texts.join('\n')).not.toMatch(/secret-token|authorization|Bearer/i);
    }
  });
});

describe('the clock', () => {
  it('is the one of the server when they differ by more than its header can tell', async () => {
    const ahead = new Date(Date.now() + 3_600_000).toUTCString();
    server.next((_, response) => json(response, 200, pod('web', 7), { date: ahead }));
    await client.get(PODS, 'shop', 'web');
    expect(client.now() - Date.now()).toBeGreaterThan(3_590_000);
    server.next(ok(pod('web', 7)));
    await client.get(PODS, 'shop', 'web');
    expect(Math.abs(client.now() - Date.now())).toBeLessThan(1_000);
  });
});
