/** What hauls a release back, and what becomes of it when something fails. */
import { WorkflowFailedError } from '@temporalio/client';
import { ApplicationFailure, CancelledFailure } from '@temporalio/common';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import * as messages from '../../src/workflows/messages.ts';
import { FakeCluster } from './fake-cluster.ts';
import { Harbour, type Voyager } from './harbour.ts';
import { alertOf, expectRestored, failureOf, person } from './release.support.ts';

let harbour: Harbour;
beforeEach(async () => {
  harbour = await Harbour.open();
});
afterEach(async () => await harbour.close());

describe('guards', () => {
  const moments: [string, (release: Voyager) => Promise<unknown>][] = [
    ['a bake', (release) => release.until('baking')],
    ['an approval wait', (release) => release.until('awaiting-approval')],
    [
      'a pause',
      async (release) => {
        await release.until('baking');
        await release.handle.executeUpdate(messages.pause, { args: [person] });
      },
    ],
    [
      'the guard period after 100 %',
      async (release) => {
        await release.until('awaiting-approval');
        await release.approve();
        await release.until('guarding');
      },
    ],
  ];
  test.each(moments)('an alert during %s still rolls back', async (_, reach) => {
    const cluster = new FakeCluster();
    const release = await harbour.launch(cluster);
    await reach(release);
    await release.handle.signal(messages.alert, alertOf());
    expect(await release.result()).toMatchObject({
      outcome: 'rolled-back',
      reason: 'alert HighErrorRate (warning) fired: too many errors',
    });
    expectRestored(cluster);
    expect(cluster.writes.filter((write) => write === 'rollBack')).toHaveLength(1);
  });

  test('a release beside an alert that it ignores is hauled back before it can hear no more of them', async () => {
    const cluster = new FakeCluster();
    const release = await harbour.launch(cluster);
    await release.until('awaiting-approval');
    const ignored = alertOf({ severity: 'none' });
    for (let sent = 0; sent < 9_001; sent += 250)
      await Promise.all(Array.from({ length: 250 }, () => release.handle.signal(messages.alert, ignored)));
    const { outcome, reason } = await release.result();
    expect({ outcome, reason }).toEqual({
      outcome: 'rolled-back',
      reason: expect.stringMatching(/^more happened than one release can hold: .*look for an alert/),
    });
    expectRestored(cluster);
  });

  test('an alert while a step is being applied waits for that write and then undoes it', async () => {
    const cluster = new FakeCluster();
    let release: Voyager | undefined;
    cluster.before = async (activity) => {
      if (activity !== 'adjust') return;
      await release?.handle.signal(messages.alert, alertOf());
      await new Promise((resolve) => setTimeout(resolve, 300));
    };
    release = await harbour.launch(cluster, {
      strategy: { canary: { steps: [{ weight: 50 }, { bake: '1h' }] } },
    });
    expect((await release.result()).outcome).toBe('rolled-back');
    expect(cluster.writes.slice(-2)).toEqual([expect.stringContaining('adjust'), 'rollBack']);
    expectRestored(cluster);
  });

  test('an alert before the first write ends the release with nothing touched', async () => {
    const cluster = new FakeCluster();
    let release: Voyager | undefined;
    cluster.before = async (activity) => {
      if (activity === 'preflight') await new Promise((resolve) => setTimeout(resolve, 500));
    };
    release = await harbour.launch(cluster);
    await release.handle.signal(messages.alert, alertOf());
    expect(await release.result()).toMatchObject({
      outcome: 'rolled-back',
      reason: expect.stringContaining('nothing had been changed'),
    });
    expect(cluster.writes).toEqual([]);
  });

  test('alerts of others, resolved ones and malformed ones change nothing', async () => {
    const cluster = new FakeCluster();
    const release = await harbour.launch(cluster, { after: { guard: '0s' } });
    await release.until('baking');
    await release.handle.signal(messages.alert, alertOf({ severity: 'info' }));
    await release.handle.signal(messages.alert, alertOf({}, { status: 'resolved' }));
    await release.handle.signal('alert');
    await release.handle.signal('alert', { labels: 7 });
    await release.handle.signal('alert', { fingerprint: 'f', labels: null });
    await release.handle.signal('alert', { fingerprint: 'f', labels: { severity: null } });
    await release.until('awaiting-approval');
    await release.approve();
    expect((await release.result()).outcome).toBe('promoted');
  });

  test('an alert that a person sends with its labels alone rolls back', async () => {
    const cluster = new FakeCluster();
    const release = await harbour.launch(cluster);
    await release.until('baking');
    await release.handle.signal('alert', { fingerprint: 'by hand', labels: { severity: 'warning' } });
    expect(await release.result()).toMatchObject({
      outcome: 'rolled-back',
      reason: 'alert without a name (warning) fired',
    });
    expectRestored(cluster);
  });

  test('a failing pod rolls back with the container’s own reason', async () => {
    const cluster = new FakeCluster();
    const release = await harbour.launch(cluster);
    await release.until('awaiting-approval');
    cluster.problems = [
      { pod: 'app-1', container: 'app', reason: 'CrashLoopBackOff', message: 'exit code 1' },
    ];
    expect(await release.result()).toMatchObject({
      outcome: 'rolled-back',
      reason: 'container app of pod app-1: CrashLoopBackOff: exit code 1',
    });
    expectRestored(cluster);
  });

  test('a canary that never gets ready runs into the deadline and is hauled back', async () => {
    const cluster = new FakeCluster();
    cluster.ready = () => 0;
    const release = await harbour.launch(cluster, {});
    expect(await release.result()).toMatchObject({
      outcome: 'rolled-back',
      reason: 'not at 100 % after 15m: 0 of 1 new pods are ready',
    });
    expectRestored(cluster);
  });

  test('waiting for people does not count against the deadline', async () => {
    const cluster = new FakeCluster();
    const release = await harbour.launch(cluster, { after: { guard: '0s' } });
    await release.until('awaiting-approval');
    await release.pass('50m');
    await release.approve();
    expect((await release.result()).outcome).toBe('promoted');
  });

  test('another hand’s change pauses the release and names the hand; resume accepts it', async () => {
    const cluster = new FakeCluster();
    const release = await harbour.launch(cluster, { after: { guard: '0s' } });
    await release.until('awaiting-approval');
    cluster.drift = [
      { id: 'd1', field: 'spec.template', manager: 'kubectl-edit', found: 'b', expected: 'a' },
    ];
    const paused = await release.until('paused');
    expect(paused.paused).toMatchObject({
      by: 'slipway',
      why: expect.stringContaining('kubectl-edit changed spec.template'),
    });
    await release.approve();
    await release.handle.executeUpdate(messages.resume, { args: [person] });
    expect((await release.result()).outcome).toBe('promoted');
  });

  test('an API server that is away stops the bake; back again, the rest of it is baked before anything moves', async () => {
    const cluster = new FakeCluster();
    const release = await harbour.launch(cluster, { after: { guard: '0s' } });
    await release.until('baking');
    cluster.away = true;
    await release.when(
      ({ deadline, next }) => deadline !== null && (next ?? '').includes('deadline'),
      'blind',
    );
    await release.pass('2m');
    expect((await release.status()).phase).toBe('baking');
    cluster.away = false;
    await release.until('awaiting-approval');
    await release.approve();
    expect((await release.result()).outcome).toBe('promoted');
  });

  test('a move that did not get through is given up and decided anew once the workload is seen again', async () => {
    const cluster = new FakeCluster();
    cluster.before = (activity) => {
      if (activity === 'promote') cluster.away = true;
    };
    const release = await harbour.launch(cluster, {
      strategy: { canary: { steps: [{ weight: 50 }] } },
      after: { guard: '0s' },
    });
    await release.when(
      ({ timeline }) => timeline.some(({ text }) => text.includes('nothing moves')),
      'blind',
    );
    await release.pass('30s');
    expect(cluster.writes).not.toContain('promote');
    // What is seen then is what counts: a canary that broke in the dark is hauled back, not promoted.
    cluster.problems = [
      { pod: 'app-1', container: 'app', reason: 'CrashLoopBackOff', message: 'exit code 1' },
    ];
    cluster.away = false;
    expect((await release.result()).outcome).toBe('rolled-back');
    expect(cluster.writes).not.toContain('promote');
    expectRestored(cluster);
  });

  test('an alert while the API server is away rolls back as soon as it is there', async () => {
    const cluster = new FakeCluster();
    const release = await harbour.launch(cluster);
    await release.until('baking');
    cluster.away = true;
    await release.pass('10s');
    await release.handle.signal(messages.alert, alertOf());
    await release.pass('40s');
    expect((await release.status()).phase).toBe('rolling-back');
    cluster.away = false;
    expect((await release.result()).outcome).toBe('rolled-back');
    expectRestored(cluster);
  });

  test('a workload that is deleted under the release needs a person', async () => {
    const cluster = new FakeCluster();
    const release = await harbour.launch(cluster);
    await release.until('awaiting-approval');
    cluster.missing = true;
    expect((await failureOf(release)).message).toContain('deleted or replaced');
  });
});

describe('when things fail', () => {
  test('preflight errors end the release before anything is touched', async () => {
    const cluster = new FakeCluster();
    cluster.findings = [{ check: 'paused', level: 'error', message: 'the Deployment is paused' }];
    const failure = await failureOf(await harbour.launch(cluster));
    expect(failure).toMatchObject({
      type: 'PreflightRefused',
      message: 'preflight refused: the Deployment is paused',
    });
    expect(cluster.writes).toEqual([]);
  });

  test('a step that cannot be written is undone', async () => {
    const cluster = new FakeCluster();
    cluster.before = (activity) => {
      if (activity === 'adjust') throw ApplicationFailure.nonRetryable('quota exceeded', 'WorkloadRejected');
    };
    const release = await harbour.launch(cluster, { strategy: { canary: { steps: [{ weight: 50 }] } } });
    expect(await release.result()).toMatchObject({ outcome: 'rolled-back', reason: 'quota exceeded' });
    expectRestored(cluster);
  });

  test('a first write of which nobody heard back is undone', async () => {
    const cluster = new FakeCluster();
    const { activities } = cluster;
    const begin = activities.begin.bind(activities);
    cluster.activities.begin = async (input) => {
      await begin(input);
      throw ApplicationFailure.nonRetryable('the answer got lost', 'WorkloadRejected');
    };
    const release = await harbour.launch(cluster);
    expect((await release.result()).outcome).toBe('rolled-back');
    expectRestored(cluster);
  });

  test('a rollback that cannot be written calls a person and says what to do', async () => {
    const cluster = new FakeCluster();
    cluster.before = (activity) => {
      if (activity === 'rollBack') throw ApplicationFailure.nonRetryable('forbidden', 'Forbidden');
    };
    const release = await harbour.launch(cluster);
    await release.until('awaiting-approval');
    await release.handle.signal(messages.alert, alertOf());
    const failure = await failureOf(release);
    expect(failure.type).toBe('NeedsPerson');
    expect(failure.message).toContain(`slipway restore deployment shop/${release.name}`);
  });

  test('an alert while the record is taken off still rolls back: the release is not over before its last write', async () => {
    const cluster = new FakeCluster();
    let release: Voyager | undefined;
    cluster.before = async (activity) => {
      if (activity !== 'finish') return;
      await release?.handle.signal(messages.alert, alertOf());
      await new Promise((resolve) => setTimeout(resolve, 300));
    };
    release = await harbour.launch(cluster, {
      strategy: { canary: { steps: [{ weight: 50 }] } },
      after: { guard: '0s' },
    });
    expect((await release.result()).outcome).toBe('rolled-back');
    expectRestored(cluster);
  });

  test('a workflow that is cancelled while a write is on its way lets it land, restores stable and ends as cancelled', async () => {
    const cluster = new FakeCluster();
    let release: Voyager | undefined;
    cluster.before = async (activity) => {
      if (activity !== 'adjust') return;
      await release?.handle.cancel();
      await new Promise((resolve) => setTimeout(resolve, 300));
    };
    release = await harbour.launch(cluster, { strategy: { canary: { steps: [{ weight: 50 }] } } });
    const error = (await release.result().catch((thrown: unknown) => thrown)) as WorkflowFailedError;
    expect(error.cause).toBeInstanceOf(CancelledFailure);
    expectRestored(cluster);
  });

  test('a record that cannot be taken off does not undo a good release', async () => {
    const cluster = new FakeCluster();
    cluster.before = (activity) => {
      if (activity === 'finish') throw ApplicationFailure.nonRetryable('forbidden', 'Forbidden');
    };
    const release = await harbour.launch(cluster, {
      strategy: { canary: { steps: [{ weight: 50 }] } },
      after: { guard: '0s' },
    });
    expect(await release.result()).toMatchObject({
      outcome: 'promoted',
      reason: expect.stringContaining('forbidden'),
    });
  });
});
