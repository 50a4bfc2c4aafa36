import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Pod } from '../../src/domain/workload/objects.types.ts';
import { KubeClient } from '../../src/kubernetes/client.ts';
import type { KubeError } from '../../src/kubernetes/errors.ts';
import { compareVersions, ListWatch, type ListWatchTiming } from '../../src/kubernetes/list-watch.ts';
import { PODS } from '../../src/kubernetes/paths.ts';
import {
  bookmark,
  event,
  fails,
  FakeServer,
  hangs,
  listOf,
  ok,
  pod,
  resets,
  statusOf,
  streams,
} from './kubernetes.fake-server.ts';

let server: FakeServer;
let watch: ListWatch<Pod> | undefined;
let changes: string[];
let errors: KubeError[];
beforeEach(async () => {
  server = await FakeServer.start();
  changes = [];
  errors = [];
});
afterEach(async () => {
  watch?.stop();
  await server.stop();
});

function start(timing: Partial<ListWatchTiming> = {}): ListWatch<Pod> {
  const client = new KubeClient({ connection: server.connection });
  watch = new ListWatch<Pod>({
    client,
    resource: PODS,
    namespace: 'shop',
    timing: { minBackoffMs: 5, maxBackoffMs: 20, ...timing },
    onChange: ({ metadata }, gone) =>
      changes.push(`${gone ? '-' : '+'}${metadata.name}@${metadata.resourceVersion}`),
    onError: (error) => errors.push(error),
  });
  return watch;
}

async function until(fits: () => boolean): Promise<void> {
  for (let tries = 0; tries < 1_000; tries++) {
    if (fits()) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error(`it did not happen; changes ${changes.join(' ')}, errors ${errors.map(String).join('; ')}`);
}

const watches = () => server.seen.filter(({ url }) => url.searchParams.has('watch'));
const lists = () => server.seen.filter(({ url }) => !url.searchParams.has('watch'));

describe('a local copy', () => {
  it('starts with a list and follows every event, wherever the bytes are cut', async () => {
    const umlaut = pod('mühle', 11, 'uid-m');
    server.next(
      ok(listOf(10, [pod('a', 9), pod('b', 8)])),
      streams([event('ADDED', umlaut), event('MODIFIED', pod('a', 12)), event('DELETED', pod('b', 13))], {
        stay: true,
        cut: 3,
      }),
    );
    const copy = start();
    await until(() => changes.length === 5);
    expect(changes).toEqual(['+a@9', '+b@8', '+mühle@11', '+a@12', '-b@13']);
    expect([...copy.items.keys()]).toEqual(['uid-a', 'uid-m']);
    expect(watches()[0]?.url.searchParams.get('resourceVersion')).toBe('10');
    expect(watches()[0]?.url.searchParams.get('allowWatchBookmarks')).toBe('true');
  });

  it('takes an object that was deleted and made again for another', async () => {
    server.next(
      ok(listOf(10, [pod('a', 9, 'first')])),
      streams([event('DELETED', pod('a', 11, 'first')), event('ADDED', pod('a', 12, 'second'))], {
        stay: true,
      }),
    );
    const copy = start();
    await until(() => changes.length === 3);
    expect([...copy.items.keys()]).toEqual(['second']);
  });
});

describe('a stream that ends', () => {
  it('cleanly, is opened again where it ended, without a list', async () => {
    server.next(
      ok(listOf(10, [pod('a', 9)])),
      streams([event('MODIFIED', pod('a', 12)), bookmark(20)]),
      streams([event('MODIFIED', pod('a', 21))], { stay: true }),
    );
    start();
    await until(() => changes.includes('+a@21'));
    expect(lists()).toHaveLength(1);
    expect(watches().map(({ url }) => url.searchParams.get('resourceVersion'))).toEqual(['10', '20']);
  });

  it('by a reset, is opened again where it ended', async () => {
    server.next(
      ok(listOf(10, [])),
      (_, response) => {
        response.writeHead(200);
        response.write(`${JSON.stringify(event('ADDED', pod('a', 15)))}\n{"type":"MOD`);
        setTimeout(() => response.destroy(), 10);
      },
      resets,
      fails(500, 'InternalError'),
      streams([event('ADDED', pod('b', 16))], { stay: true }),
    );
    start();
    await until(() => changes.includes('+b@16'));
    expect(changes).toEqual(['+a@15', '+b@16']);
    expect(lists()).toHaveLength(1);
    expect(watches().at(-1)?.url.searchParams.get('resourceVersion')).toBe('15');
  });

  it('by silence of a half-open connection, is noticed and opened again', async () => {
    server.next(
      ok(listOf(10, [])),
      streams([bookmark(11)], { stay: true }),
      streams([event('ADDED', pod('a', 12))], { stay: true }),
    );
    start({ idleMs: 60 });
    await until(() => changes.includes('+a@12'));
    expect(errors[0]).toMatchObject({ reason: 'Idle' });
    expect(watches()[1]?.url.searchParams.get('resourceVersion')).toBe('11');
  });
});

describe('an expired version', () => {
  it.each([
    ['as an event', streams([event('ERROR', statusOf(410, 'Expired', 'too old resource version'))])],
    ['as an answer', fails(410, 'Expired', 'too old resource version')],
  ])('%s leads to one new list, and what went meanwhile is told', async (_, expired) => {
    server.next(
      ok(listOf(10, [pod('a', 9), pod('b', 8)])),
      expired,
      ok(listOf(30, [pod('a', 9), pod('c', 29)])),
      streams([], { stay: true }),
    );
    const copy = start();
    await until(() => changes.length === 4);
    expect(changes).toEqual(['+a@9', '+b@8', '-b@8', '+c@29']);
    expect([...copy.items.keys()]).toEqual(['uid-a', 'uid-c']);
    expect(lists()).toHaveLength(2);
  });

  it('again and again does not become a storm of lists', async () => {
    server.fallback = (request, response) => {
      const isWatch = request.url?.includes('watch=true') ?? false;
      const answer = isWatch
        ? streams([event('ERROR', statusOf(410, 'Expired', 'too old'))])
        : ok(listOf(10, []));
      void answer(request, response, '');
    };
    start({ minBackoffMs: 50, maxBackoffMs: 10_000 });
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    expect(lists().length).toBeLessThanOrEqual(7);
  });
});

describe('the first list', () => {
  it('is tried until the API server is there', async () => {
    server.next(resets, resets, resets, resets, resets, ok(listOf(10, [pod('a', 9)])), hangs);
    const copy = start();
    await copy.synced;
    expect(copy.items.size).toBe(1);
  });

  it('that is forbidden tells those who wait, and heals when it is allowed', async () => {
    server.next(fails(403, 'Forbidden', 'pods is forbidden'));
    server.fallback = (request, response) => {
      const isWatch = request.url?.includes('watch=true') ?? false;
      void (isWatch ? streams([], { stay: true }) : ok(listOf(10, [])))(request, response, '');
    };
    const copy = start({ minBackoffMs: 50 });
    await expect(copy.synced).rejects.toMatchObject({ status: 403 });
    await expect(copy.synced).resolves.toBeUndefined();
  });

  it('is given up when stopped', async () => {
    server.fallback = hangs;
    const copy = start();
    const waiting = expect(copy.synced).rejects.toMatchObject({ reason: 'Stopped' });
    copy.stop();
    await waiting;
  });
});

describe('an API server that is away', () => {
  it('is asked with growing pauses, once each, and from where the stream was: no list, no storm', async () => {
    server.next(ok(listOf(10, [pod('a', 9)])), streams([bookmark(20)]));
    server.fallback = resets;
    start({ minBackoffMs: 20, maxBackoffMs: 500 });
    await until(() => errors.length >= 7);
    expect(lists()).toHaveLength(1);
    expect(
      watches()
        .slice(1)
        .every(({ url }) => url.searchParams.get('resourceVersion') === '20'),
    ).toBe(true);
    const times = watches().map(({ at }) => at);
    const pauses = times.slice(3).map((at, index) => at - (times[index + 2] ?? 0));
    // 20, 40, 80 … ms, each between half and the whole of it, and whatever this machine adds.
    pauses.slice(0, 4).forEach((pause, index) => expect(pause).toBeGreaterThanOrEqual(10 * 2 ** index - 2));
    expect(errors.length).toBe(watches().length - 1);
  });

  it('is known to be away until a stream is there again', async () => {
    server.next(ok(listOf(10, [])), streams([bookmark(11)]), resets, streams([bookmark(12)], { stay: true }));
    const sights: boolean[] = [];
    const client = new KubeClient({ connection: server.connection });
    watch = new ListWatch<Pod>({
      client,
      resource: PODS,
      namespace: 'shop',
      timing: { minBackoffMs: 5, maxBackoffMs: 20 },
      onChange: () => {},
      onSight: () => sights.push(watch?.lostSince === null),
    });
    expect(watch.lostSince).not.toBeNull();
    await until(() => sights.length === 3);
    // There, lost, there again; that the first stream ended in the normal way was no loss.
    expect(sights).toEqual([true, false, true]);
  });

  it('is asked at once when somebody else got an answer', async () => {
    server.next(ok(listOf(10, [])), resets);
    server.fallback = (request, response) =>
      void streams([bookmark(13)], { stay: true })(request, response, '');
    const copy = start({ minBackoffMs: 60_000, maxBackoffMs: 60_000 });
    await until(() => errors.length === 1);
    expect(copy.lostWhy).toContain('no answer from the API server');
    copy.nudge();
    await until(() => copy.lostSince === null);
    expect(watches()).toHaveLength(2);
  });
});

describe('an object offered from elsewhere', () => {
  it('counts when it is newer than the copy, never when it is older or long deleted', async () => {
    server.next(
      ok(listOf(10, [pod('a', 9)])),
      streams([event('MODIFIED', pod('a', 12)), event('DELETED', pod('b', 14))], { stay: true }),
    );
    const copy = start();
    await until(() => changes.includes('+a@12'));
    await until(() => changes.length >= 2);
    copy.offer(pod('a', 11) as Pod);
    copy.offer(pod('b', 13) as Pod);
    expect(
      [...copy.items.values()].map(({ metadata }) => `${metadata.name}@${metadata.resourceVersion}`),
    ).toEqual(['a@12']);
    copy.offer(pod('a', 20) as Pod);
    expect(changes.at(-1)).toBe('+a@20');
  });
});

describe('versions', () => {
  it.each([
    ['9', '10', -1],
    ['10', '9', 1],
    ['7', '7', 0],
    ['99999999999999999999', '100000000000000000000', -1],
  ])('%s against %s', (a, b, sign) => {
    expect(Math.sign(compareVersions(a, b))).toBe(sign);
  });
});
