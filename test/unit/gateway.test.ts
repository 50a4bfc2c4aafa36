import { mkdtempSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import type { AlertNotice } from '../../src/domain/release/types.ts';
import { Delivery, DeliveryTimeout } from '../../src/gateway/delivery.ts';
import { LIMITS, parseWebhook } from '../../src/gateway/payload.ts';
import { gatewaySettings } from '../../src/gateway/settings.ts';
import { targetOf } from '../../src/gateway/targets.ts';
import { tokensFrom } from '../../src/gateway/tokens.ts';

const alert = (more: object = {}) => ({
  status: 'firing',
  labels: { alertname: 'HighErrorRate', namespace: 'ecommerce', deployment: 'product-service' },
  annotations: { summary: 'too many errors' },
  startsAt: '2026-11-23T09:00:00.123+01:00',
  endsAt: '0001-01-01T00:00:00Z',
  generatorURL: 'http://prometheus/graph',
  fingerprint: 'f00d',
  ...more,
});
const webhook = (alerts: unknown[], more: object = {}) =>
  JSON.stringify({
    version: '4',
    groupKey: '{}:{}',
    receiver: 'web\\.hook',
    status: 'firing',
    alerts,
    ...more,
  });

describe('a webhook', () => {
  test('of Alertmanager 0.34 is understood, fields it does not know are ignored', () => {
    const { alerts, truncated } = parseWebhook(
      webhook([alert({ notification_reason: 'x' })], { truncatedAlerts: 3, routeLabels: {} }),
    );
    expect(truncated).toBe(3);
    expect(alerts).toEqual([
      {
        fingerprint: 'f00d',
        status: 'firing',
        labels: { alertname: 'HighErrorRate', namespace: 'ecommerce', deployment: 'product-service' },
        annotations: { summary: 'too many errors' },
        startsAt: '2026-11-23T09:00:00.123+01:00',
      },
    ]);
  });

  test('without fingerprints gives the same label set the same one, in any order', () => {
    const a = parseWebhook(webhook([alert({ fingerprint: undefined, labels: { a: '1', b: '2' } })]));
    const b = parseWebhook(webhook([alert({ fingerprint: undefined, labels: { b: '2', a: '1' } })]));
    const c = parseWebhook(webhook([alert({ fingerprint: undefined, labels: { b: '2', a: '3' } })]));
    expect(a.alerts[0]?.fingerprint).toBe(b.alerts[0]?.fingerprint);
    expect(a.alerts[0]?.fingerprint).not.toBe(c.alerts[0]?.fingerprint);
  });

  test.each([
    ['', /not JSON/],
    ['{"version":"4","alerts":[', /not JSON/],
    ['[]', /the body: .*expected object/],
    ['null', /the body: .*expected object/],
    ['"4"', /the body: .*expected object/],
    [webhook([], { version: '3' }), /^version: must be "4"/],
    [JSON.stringify({ version: '4' }), /^alerts: .*expected array/],
    [webhook([alert({ status: 'on' })]), /^alerts\[0\]\.status: /],
    [
      webhook([alert(), alert({ labels: { a: 1 } })]),
      /^alerts\[1\]\.labels\.a: .*expected string, received number/,
    ],
    [webhook([alert({ labels: null })]), /^alerts\[0\]\.labels: /],
    [webhook([alert({ startsAt: 'now' })]), /^alerts\[0\]\.startsAt: /],
    [webhook([alert({ labels: { a: 'x'.repeat(2_000) } })]), /^alerts\[0\]\.labels\.a: Too big/],
    [
      webhook([alert({ labels: Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`l${i}`, ''])) })]),
      /^alerts\[0\]\.labels: has more than 64 entries/,
    ],
    [webhook(Array.from({ length: LIMITS.alerts + 1 }, () => alert())), /^alerts: Too big/],
  ])('that is wrong is refused with the field: %#', (body, message) => {
    expect(() => parseWebhook(body)).toThrow(message);
  });

  test('nested half a million deep is refused or ignored, and does not exhaust the stack', () => {
    const deep = '['.repeat(500_000) + ']'.repeat(500_000);
    expect(() => parseWebhook(deep)).toThrow();
    expect(() => parseWebhook(`{"version":"4","alerts":${deep}}`)).toThrow(/alerts\[0\]/);
    expect(parseWebhook(`{"version":"4","alerts":[],"commonLabels":${deep}}`).alerts).toEqual([]);
  });

  test('a label named __proto__ is a label like any other', () => {
    const { alerts } = parseWebhook(
      `{"version":"4","alerts":[{"status":"firing","startsAt":"2026-11-23T09:00:00Z","fingerprint":"f","labels":{"__proto__":"x","a":"b"}}]}`,
    );
    expect(alerts[0]?.labels['a']).toBe('b');
    expect(({} as Record<string, unknown>)['x']).toBeUndefined();
  });

  test('long annotations are cut, since they are stored with every release they reach', () => {
    const { alerts } = parseWebhook(webhook([alert({ annotations: { description: 'x'.repeat(100_000) } })]));
    expect(alerts[0]?.annotations['description']).toHaveLength(LIMITS.annotation);
  });
});

describe('the target of an alert', () => {
  const names = { namespace: 'namespace', workload: ['workload', 'deployment', 'app', 'service'] };
  const target = (labels: Record<string, string>) => targetOf({ labels }, names);

  test('is the first label present, in the order configured', () => {
    expect(target({ namespace: 'a', service: 's', app: 'b' })).toEqual({
      kind: 'workload',
      namespace: 'a',
      name: 'b',
    });
    expect(target({ namespace: 'a', workload: '', app: 'b' })).toMatchObject({ name: 'b' });
  });

  test('is the namespace when no workload is named, and nothing without a namespace', () => {
    expect(target({ namespace: 'a', pod: 'x' })).toEqual({ kind: 'namespace', namespace: 'a' });
    expect(target({ app: 'b' })).toEqual({ kind: 'none' });
  });

  test.each([
    { namespace: 'A', app: 'b' },
    { namespace: 'a.b', app: 'b' },
    { namespace: 'a', app: '../b' },
    { namespace: 'a', app: 'b c' },
    { namespace: 'a', app: 'b'.repeat(254) },
  ])('is nothing for what no Kubernetes object can be named: %j', (labels) => {
    expect(target(labels)).toEqual({ kind: 'none' });
  });
});

describe('tokens', () => {
  const OLD = 'old-token-0123456789';
  const NEW = 'new-token-0123456789';
  const ignore = () => undefined;

  test('two are good at a time, everything else is not', () => {
    const tokens = tokensFrom({ SLIPWAY_GATEWAY_TOKEN: `${OLD},${NEW}` }, ignore);
    for (const good of [`Bearer ${OLD}`, `bearer ${NEW}`]) expect(tokens.accept(good)).toBe(true);
    for (const bad of [
      undefined,
      '',
      'Bearer',
      OLD,
      `Basic ${OLD}`,
      `Bearer ${OLD}x`,
      `Bearer ${OLD},${NEW}`,
      'Bearer  ',
    ]) {
      expect(tokens.accept(bad)).toBe(false);
    }
  });

  test('a changed file is good without a restart, and one that vanishes keeps the known tokens', () => {
    vi.useFakeTimers();
    try {
      const file = join(mkdtempSync(join(tmpdir(), 'slipway-token-')), 'token');
      writeFileSync(file, `${OLD}\n`);
      const errors: unknown[] = [];
      const tokens = tokensFrom({ SLIPWAY_GATEWAY_TOKEN_FILE: file }, (error) => errors.push(error));
      writeFileSync(file, `${NEW}\n`);
      utimesSync(file, 1, 1);
      vi.advanceTimersByTime(3_000);
      expect([tokens.accept(`Bearer ${NEW}`), tokens.accept(`Bearer ${OLD}`)]).toEqual([true, false]);
      writeFileSync(file, '');
      vi.advanceTimersByTime(3_000);
      expect(tokens.accept(`Bearer ${NEW}`)).toBe(true);
      expect(errors).toHaveLength(1);
    } finally {
      vi.useRealTimers();
    }
  });

  test.each([
    [{}, /SLIPWAY_GATEWAY_TOKEN is not set/],
    [{ SLIPWAY_GATEWAY_TOKEN: 'short' }, /fewer than 16 characters/],
    [{ SLIPWAY_GATEWAY_TOKEN: `${OLD},${NEW},${OLD}3` }, /found 3 tokens, allowed are 1 or 2/],
    [{ SLIPWAY_GATEWAY_TOKEN: OLD, SLIPWAY_GATEWAY_TOKEN_FILE: '/x' }, /both set/],
    [{ SLIPWAY_GATEWAY_TOKEN_FILE: '/does/not/exist' }, /\/does\/not\/exist cannot be read \(ENOENT\)/],
  ])('that cannot be used are refused without being shown: %#', (env, message) => {
    const error = (() => {
      try {
        tokensFrom(env, ignore);
        return null;
      } catch (thrown) {
        return thrown as Error;
      }
    })();
    expect(error?.message).toMatch(message);
    expect(error?.message).not.toMatch(/old-token|new-token|short/);
  });
});

describe('settings', () => {
  test('have defaults, and every one can be set', () => {
    expect(gatewaySettings({})).toEqual({
      listen: { host: '127.0.0.1', port: 8090 },
      labels: { namespace: 'namespace', workload: ['workload', 'deployment', 'app', 'service'] },
      parallel: 32,
      deliverWithinMs: 5_000,
    });
    expect(
      gatewaySettings({
        SLIPWAY_GATEWAY_ADDRESS: '[::1]:0',
        SLIPWAY_GATEWAY_WORKLOAD_LABELS: 'x, y',
        SLIPWAY_GATEWAY_NAMESPACE_LABEL: 'exported_namespace',
        SLIPWAY_GATEWAY_DELIVER_WITHIN: '2s',
      }),
    ).toMatchObject({
      listen: { host: '::1', port: 0 },
      labels: { namespace: 'exported_namespace', workload: ['x', 'y'] },
      deliverWithinMs: 2_000,
    });
    expect(gatewaySettings({ SLIPWAY_GATEWAY_ADDRESS: ':9000' }).listen).toEqual({
      host: '0.0.0.0',
      port: 9_000,
    });
  });

  test.each([
    [
      { SLIPWAY_GATEWAY_ADDRESS: 'localhost' },
      /SLIPWAY_GATEWAY_ADDRESS: found "localhost", allowed is host:port/,
    ],
    [{ SLIPWAY_GATEWAY_ADDRESS: ':70000' }, /SLIPWAY_GATEWAY_ADDRESS: found ":70000"/],
    [{ SLIPWAY_GATEWAY_ADDRESS: 'off' }, /makes no sense/],
    [{ SLIPWAY_GATEWAY_WORKLOAD_LABELS: 'a,,b' }, /SLIPWAY_GATEWAY_WORKLOAD_LABELS: found "a,,b"/],
    [{ SLIPWAY_GATEWAY_NAMESPACE_LABEL: 'a,b' }, /allowed is one label name/],
    [
      { SLIPWAY_GATEWAY_PARALLEL: '0' },
      /SLIPWAY_GATEWAY_PARALLEL: found "0", allowed is a whole number from 1 to 1000/,
    ],
    [{ SLIPWAY_GATEWAY_DELIVER_WITHIN: '2' }, /SLIPWAY_GATEWAY_DELIVER_WITHIN: found "2"/],
    [{ SLIPWAY_GATEWAY_DELIVER_WITHIN: '1h' }, /at most 30s/],
  ])('that are wrong are refused with name, value and what is allowed: %#', (env, message) => {
    expect(() => gatewaySettings(env)).toThrow(message);
  });
});

describe('delivery', () => {
  const notice = (labels: Record<string, string>, more: Partial<AlertNotice> = {}): AlertNotice => ({
    fingerprint: JSON.stringify(labels),
    status: 'firing',
    labels,
    annotations: {},
    startsAt: '2026-11-23T09:00:00Z',
    ...more,
  });
  const labels = { namespace: 'namespace', workload: ['app'] };
  const options = { labels, parallel: 2, withinMs: 1_000 };
  const running = (...workloads: string[]) => workloads.map((workload) => ({ workload })) as never;
  const nothing = { runningReleases: async () => [], runningRun: async () => null };

  test('copies of one alert in a request are told once, its resolution separately', async () => {
    const signalAlert = vi.fn(async () => true);
    const delivery = new Delivery({ ...nothing, signalAlert }, options);
    const firing = notice({ namespace: 'a', app: 'b' });
    const result = await delivery.deliver([firing, { ...firing }, { ...firing, status: 'resolved' }]);
    expect(signalAlert).toHaveBeenCalledTimes(2);
    expect(result).toEqual({ delivered: 2, unmatched: 0 });
  });

  test('what a release has is not told again with every repeat, and the next release hears of it', async () => {
    let run: string | null = 'first';
    const told: (string | null)[] = [];
    const delivery = new Delivery(
      {
        ...nothing,
        runningRun: async () => run,
        signalAlert: async () => {
          told.push(run);
          return run !== null;
        },
      },
      options,
    );
    const repeat = () => delivery.deliver([notice({ namespace: 'a', app: 'b' })]);
    for (let times = 0; times < 5; times++) expect(await repeat()).toEqual({ delivered: 1, unmatched: 0 });
    // The first time nobody was asked which run it is.
    expect(told).toEqual(['first', 'first']);
    run = 'second';
    for (let times = 0; times < 3; times++) await repeat();
    expect(told).toEqual(['first', 'first', 'second']);
    run = null;
    expect(await repeat()).toEqual({ delivered: 0, unmatched: 1 });
    run = 'third';
    await repeat();
    expect(told.at(-1)).toBe('third');
    await delivery.deliver([notice({ namespace: 'a', app: 'b' }, { startsAt: '2026-11-23T10:00:00Z' })]);
    expect(told).toHaveLength(6);
  });

  test('a repeat whose telling fails is told again', async () => {
    const tell = vi.fn(async () => true);
    const delivery = new Delivery({ ...nothing, runningRun: async () => 'run', signalAlert: tell }, options);
    const alert = notice({ namespace: 'a', app: 'b' });
    await delivery.deliver([alert]);
    tell.mockRejectedValueOnce(new Error('away'));
    await expect(delivery.deliver([alert])).rejects.toThrow('away');
    await delivery.deliver([alert]);
    expect(tell).toHaveBeenCalledTimes(3);
  });

  test('an alert without a workload reaches every running release of its namespace, listed once', async () => {
    const signalAlert = vi.fn(async (_target: { name: string }) => true);
    const runningReleases = vi.fn(async () => running('b', 'c'));
    const delivery = new Delivery({ ...nothing, signalAlert, runningReleases }, options);
    const result = await delivery.deliver([notice({ namespace: 'a' }), notice({ namespace: 'a', x: 'y' })]);
    expect(runningReleases).toHaveBeenCalledTimes(1);
    expect(
      signalAlert.mock.calls.map(([target]) => target.name).toSorted((a, b) => a.localeCompare(b)),
    ).toEqual(['b', 'b', 'c', 'c']);
    expect(result).toEqual({ delivered: 4, unmatched: 0 });
  });

  test('no more signals than allowed are under way at once', async () => {
    let now = 0;
    let most = 0;
    const signalAlert = async () => {
      most = Math.max(most, ++now);
      await Promise.resolve();
      now -= 1;
      return false;
    };
    const delivery = new Delivery({ ...nothing, signalAlert }, options);
    const alerts = Array.from({ length: 20 }, (_, i) => notice({ namespace: 'a', app: `b${i}` }));
    expect(await delivery.deliver(alerts)).toEqual({ delivered: 0, unmatched: 20 });
    expect(most).toBe(2);
  });

  test('one signal that fails fails the request, after the others were tried', async () => {
    const told: string[] = [];
    const signalAlert = async ({ name }: { name: string }) => {
      if (name === 'b') throw new Error('away');
      told.push(name);
      return true;
    };
    const delivery = new Delivery({ ...nothing, signalAlert }, options);
    await expect(
      delivery.deliver([notice({ namespace: 'a', app: 'b' }), notice({ namespace: 'a', app: 'c' })]),
    ).rejects.toThrow('away');
    expect(told).toEqual(['c']);
  });

  test('a request that takes too long is given up, and does not go on behind our back', async () => {
    let calls = 0;
    const release = Promise.withResolvers<boolean>();
    const signalAlert = () => {
      calls += 1;
      return release.promise;
    };
    const delivery = new Delivery({ ...nothing, signalAlert }, { ...options, withinMs: 20 });
    const alerts = Array.from({ length: 10 }, (_, i) => notice({ namespace: 'a', app: `b${i}` }));
    await expect(delivery.deliver(alerts)).rejects.toBeInstanceOf(DeliveryTimeout);
    release.resolve(true);
    await new Promise((resolve) => setImmediate(resolve));
    expect(calls).toBe(2);
  });

  test('of a request that always takes too long every alert is told by one repeat or another', async () => {
    const told = new Set<string>();
    let quick = 0;
    const slow: (() => void)[] = [];
    const signalAlert = ({ name }: { name: string }): Promise<boolean> => {
      if (--quick < 0) return new Promise((resolve) => slow.push(() => resolve(false)));
      told.add(name);
      return Promise.resolve(true);
    };
    const delivery = new Delivery({ ...nothing, signalAlert }, { ...options, withinMs: 5 });
    const alerts = Array.from({ length: 12 }, (_, i) => notice({ namespace: 'a', app: `b${i}` }));
    for (let repeats = 0; repeats < 500 && told.size < alerts.length; repeats++) {
      quick = 4;
      await expect(delivery.deliver(alerts)).rejects.toBeInstanceOf(DeliveryTimeout);
      for (const end of slow.splice(0)) end();
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(told.size).toBe(alerts.length);
  });
});
