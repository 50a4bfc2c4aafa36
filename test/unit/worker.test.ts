import { describe, expect, test } from 'vitest';
import { createLogger } from '../../src/observability/logging.ts';
import { stopRequest } from '../../src/observability/process.ts';
import { temporalLogger } from '../../src/worker/runtime.ts';
import { workerSettings } from '../../src/worker/settings.ts';

describe('settings of the worker', () => {
  test('have defaults, and every one can be set', () => {
    expect(workerSettings({})).toMatchObject({
      listen: { host: '127.0.0.1', port: 9_464 },
      listenIsDefault: true,
      graceMs: 10_000,
      cachedWorkflows: 200,
      watches: 1_000,
      retention: '30d',
    });
    expect(
      workerSettings({
        SLIPWAY_METRICS_ADDRESS: 'off',
        SLIPWAY_SHUTDOWN_GRACE: '1m',
        SLIPWAY_RETENTION: '90d',
        SLIPWAY_MAX_WATCHES: '5',
      }),
    ).toMatchObject({ listen: null, listenIsDefault: false, graceMs: 60_000, retention: '90d', watches: 5 });
  });

  test.each([
    ['SLIPWAY_RETENTION', 'long', /SLIPWAY_RETENTION: found "long"/],
    ['SLIPWAY_SHUTDOWN_GRACE', '11m', /SLIPWAY_SHUTDOWN_GRACE: found "11m", .* at most 10m/],
    [
      'SLIPWAY_MAX_WATCHES',
      '1e3',
      /SLIPWAY_MAX_WATCHES: found "1e3", allowed is a whole number from 1 to 10000/,
    ],
  ])('%s=%s is refused with what is allowed', (name, value, message) => {
    expect(() => workerSettings({ [name]: value })).toThrow(message);
  });
});

describe('log lines', () => {
  const logged = (level: string) => {
    const lines: Record<string, unknown>[] = [];
    const logger = createLogger({
      component: 'worker',
      env: { SLIPWAY_LOG_LEVEL: level },
      destination: { write: (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>) },
    });
    return { logger, lines };
  };

  test('of the SDK keep their ids and say where they are from', () => {
    const { logger, lines } = logged('info');
    temporalLogger(logger).info('gate opened', {
      sdkComponent: 'workflow',
      workflowId: 'release.a.b',
      runId: 'r',
    });
    expect(lines).toMatchObject([
      {
        level: 'info',
        component: 'worker',
        source: 'workflow',
        workflowId: 'release.a.b',
        message: 'gate opened',
      },
    ]);
  });

  test('of the SDK about its own routine are for debugging only', () => {
    const { logger, lines } = logged('info');
    temporalLogger(logger).info('Worker state changed', { sdkComponent: 'worker' });
    temporalLogger(logger).warn('No workflows registered, not polling for workflow tasks', {
      sdkComponent: 'worker',
    });
    temporalLogger(logger).warn('Failed to poll', { sdkComponent: 'worker' });
    expect(lines.map((line) => line['message'])).toEqual(['Failed to poll']);
  });

  test('never show tokens, and show errors with their stack', () => {
    const { logger, lines } = logged('info');
    logger.error({ token: 'abc', settings: { apiKey: 'def' }, error: new TypeError('oops') }, 'failed');
    expect(JSON.stringify(lines)).not.toMatch(/abc|def/);
    expect(lines[0]?.['error']).toMatchObject({
      type: 'TypeError',
      message: 'oops',
      stack: expect.stringContaining('worker.test.ts'),
    });
  });
});

describe('being told to stop', () => {
  test('an aborted signal is such a request, also one that was aborted before', async () => {
    const stop = new AbortController();
    const request = stopRequest(stop.signal);
    stop.abort();
    expect(await request.asked).toBe('request');
    expect(await stopRequest(AbortSignal.abort()).asked).toBe('request');
  });

  test('a signal is heard once; afterwards, and after disposal, signals do what they always do', async () => {
    const before = process.listenerCount('SIGTERM');
    const request = stopRequest();
    expect(process.listenerCount('SIGTERM')).toBe(before + 1);
    process.emit('SIGTERM');
    expect(await request.asked).toBe('SIGTERM');
    expect(process.listenerCount('SIGTERM')).toBe(before);
    stopRequest().dispose();
    expect(process.listenerCount('SIGINT')).toBe(process.listenerCount('SIGTERM'));
  });
});
