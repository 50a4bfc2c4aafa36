/** The workflow that stores slices, in skipped time: it keeps its beat, rests, follows its policy, and never gives up. */
import { ApplicationFailure } from '@temporalio/common';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { Worker } from '@temporalio/worker';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { BackupActivities } from '../../src/activities/backup/types.ts';
import type { SliceReport, SlicesInput } from '../../src/domain/point-in-time/types.ts';
import type { BackupPolicy } from '../../src/specs/backup.types.ts';
import * as messages from '../../src/workflows/backup/messages.ts';
import type { oplogSlices } from '../../src/workflows/index.ts';
import { fakes, policyNamed } from './backup.fakes.ts';
import { skippedTime, workflowBundle } from './skipped-time.ts';

let env: TestWorkflowEnvironment;

beforeAll(async () => {
  env = await skippedTime();
});
afterAll(() => env?.teardown());

const EVERY = '  pointInTime: { sliceEvery: 1m }';
const stored = (t: number, change: Partial<SliceReport> = {}): SliceReport => ({
  reached: { t, i: 1 },
  more: false,
  slice: { chain: 1, from: { t: t - 60, i: 1 }, entries: 10, bytes: 1_000, size: 100, gap: null },
  ...change,
});

/** Starts one with this activity; it ends with the test. `calls` has the virtual time of each slice, in seconds. */
async function slices(
  activity: (call: number, policy: BackupPolicy) => Promise<SliceReport> | SliceReport,
  change: Partial<SlicesInput> = {},
) {
  const calls: number[] = [];
  const sliceOplog: BackupActivities['sliceOplog'] = async ({ policy }) => {
    calls.push(Math.round((await env.currentTimeMs()) / 1_000));
    return await activity(calls.length, policy);
  };
  const taskQueue = `slices-${crypto.randomUUID()}`;
  const worker = await Worker.create({
    connection: env.nativeConnection,
    taskQueue,
    workflowBundle: await workflowBundle,
    activities: { ...fakes('server', { sliceOplog }).activities },
    shutdownForceTime: '1s',
    workflowFailureErrorTypes: { '*': ['Error'] },
  });
  const running = worker.run();
  const policy = policyNamed(`shop-${crypto.randomUUID().slice(0, 8)}`, EVERY);
  const handle = await env.client.workflow.start<typeof oplogSlices>('oplogSlices', {
    taskQueue,
    workflowId: `oplog.${policy.metadata.name}`,
    args: [{ policy, paused: null, carried: null, ...change }],
  });
  onTestFinished(async () => {
    await env.client.workflow
      .getHandle(handle.workflowId)
      .terminate()
      .catch(() => undefined);
    worker.shutdown();
    await running;
  });
  // Of whichever run is the last.
  const last = env.client.workflow.getHandle<typeof oplogSlices>(handle.workflowId);
  return { handle: last, calls, policy, status: () => last.query(messages.slicesStatus) };
}

describe('slices of the oplog', () => {
  test('are stored at the beat of the policy, and at once as long as there is more', async () => {
    const { calls, status } = await slices((call) => stored(call * 60, { more: call < 3 }));
    await env.sleep('5m');
    const beats = calls.map((time) => time - (calls[0] ?? 0));
    expect(beats.slice(0, 3).every((time) => time <= 1)).toBe(true);
    expect(beats.slice(3, 6).map((time) => Math.round(time / 60))).toEqual([1, 2, 3]);
    expect(await status()).toMatchObject({
      phase: 'running',
      every: '1m',
      problem: null,
      gaps: [],
      chain: 1,
    });
  });

  test('go on after whatever has failed, and tell what it was for as long as it lasts', async () => {
    let away = true;
    const { status, calls } = await slices((call) => {
      if (away) throw ApplicationFailure.nonRetryable('no space left', 'DestinationFull');
      return stored(call * 60);
    });
    await env.sleep('10m');
    expect(await status()).toMatchObject({ phase: 'failing', problem: { text: 'no space left' }, stored: 0 });
    expect(calls.length).toBeGreaterThan(5);
    expect((await status()).timeline.length).toBeLessThan(5);
    away = false;
    await env.sleep('2m');
    expect(await status()).toMatchObject({ phase: 'running', problem: null });
  });

  test('store once more when they are paused, then rest until they are resumed', async () => {
    const { handle, calls, status } = await slices((call) => stored(call * 60));
    await env.sleep('90s');
    await handle.signal(messages.pauseSlices, { by: 'ann', why: 'incident' });
    const before = calls.length;
    await env.sleep('1h');
    expect(calls.length - before).toBeLessThanOrEqual(1);
    expect(await status()).toMatchObject({ phase: 'paused', paused: { by: 'ann', why: 'incident' } });
    const resting = calls.length;
    await handle.signal(messages.resumeSlices, { by: 'ben' });
    await env.sleep('30s');
    expect(calls.length).toBe(resting + 1);
    expect(await status()).toMatchObject({ phase: 'running', paused: null });
  });

  test('of a paused policy begin at rest', async () => {
    const { calls, status } = await slices(() => stored(60), { paused: { by: 'ann', why: 'not yet' } });
    await env.sleep('1h');
    expect(calls).toEqual([]);
    expect(await status()).toMatchObject({ phase: 'paused' });
  });

  test('follow their policy when it is applied anew, and end when it no longer wants them', async () => {
    const seen: string[] = [];
    const { handle, policy, calls } = await slices((call, given) => {
      seen.push(given.spec.pointInTime?.sliceEvery ?? 'never');
      return stored(call * 60);
    });
    await env.sleep('10s');
    const changed = {
      ...policy,
      spec: { ...policy.spec, pointInTime: { sliceEvery: '10s', keepFor: null } },
    };
    await handle.signal(messages.applySlices, { policy: changed });
    const before = calls.length;
    await env.sleep('1m');
    expect(calls.length - before).toBeGreaterThanOrEqual(5);
    expect(seen.at(-1)).toBe('10s');
    await handle.signal(messages.stopSlices, { by: 'ann' });
    expect(await handle.result()).toMatchObject({ phase: 'stopped' });
  });

  test('show a gap, with its reason, and remember it beyond the end of a history', async () => {
    const gap = { after: { t: 100, i: 1 }, reason: 'the oplog no longer reached back' };
    const { handle, status } = await slices((call) =>
      stored(
        call * 60,
        call === 2 ? { slice: { chain: 2, from: { t: 500, i: 1 }, entries: 0, bytes: 0, size: 0, gap } } : {},
      ),
    );
    const { runId } = await handle.describe();
    await env.sleep('6h');
    const { runId: later } = await handle.describe();
    expect(later).not.toBe(runId);
    const { gaps, stored: count, timeline } = await status();
    expect(gaps).toEqual([expect.objectContaining({ ...gap, until: { t: 500, i: 1 } })]);
    expect(count).toBeGreaterThan(300);
    expect(timeline.map(({ text }) => text).join()).toContain(
      'a gap: 1970-01-01T00:01:40Z to 1970-01-01T00:08:20Z',
    );
    const history = await env.client.workflow.getHandle(handle.workflowId, runId).fetchHistory();
    expect(history.events?.length).toBeLessThan(6_000);
  });
});
