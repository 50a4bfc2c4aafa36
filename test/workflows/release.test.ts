import { WorkflowFailedError } from '@temporalio/client';
import { ApplicationFailure, CancelledFailure } from '@temporalio/common';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { TASK_QUEUE } from '../../src/domain/names.ts';
import { describeStep } from '../../src/domain/release/plan.ts';
import type { AlertNotice } from '../../src/domain/release/types.ts';
import * as messages from '../../src/workflows/messages.ts';
import { CANARY, FakeCluster } from './fake-cluster.ts';
import { Harbour, type Voyager } from './harbour.ts';

let harbour: Harbour;
beforeEach(async () => {
  harbour = await Harbour.open();
});
afterEach(async () => await harbour.close());

const person = { by: 'ann', why: 'I say so' };

function alertOf(labels: Record<string, string> = {}, more: Partial<AlertNotice> = {}): AlertNotice {
  return {
    fingerprint: 'f00',
    status: 'firing',
    labels: { alertname: 'HighErrorRate', severity: 'warning', ...labels },
    annotations: { summary: 'too many errors' },
    startsAt: '2026-01-01T00:00:00Z',
    ...more,
  };
}

function expectRestored(cluster: FakeCluster): void {
  expect(cluster).toMatchObject({
    canary: 0,
    stable: cluster.replicas,
    held: false,
    record: null,
    strategy: cluster.own,
  });
  expect(cluster.images).toEqual({ app: 'shop/app:v1' });
}

async function failureOf(release: Voyager): Promise<ApplicationFailure> {
  const error: unknown = await release.result().then(
    () => new Error('the workflow did not fail'),
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(WorkflowFailedError);
  return (error as WorkflowFailedError).cause as ApplicationFailure;
}

describe('the way up', () => {
  test('a good release goes up by weights, bakes and an approval, is guarded and promoted', async () => {
    const cluster = new FakeCluster();
    const release = await harbour.launch(cluster);
    await release.until('awaiting-approval');
    await release.approve();
    const end = await release.result();
    expect(end).toMatchObject({ phase: 'promoted', outcome: 'promoted', gate: null, deadline: null });
    expect(cluster).toMatchObject({ canary: 4, stable: 0, held: false, record: null, strategy: cluster.own });
    expect(cluster.extremes).toEqual({ serving: 4, pods: 5 });
    expect(cluster.writes.length).toBeLessThanOrEqual(15);
  });

  test('promote skips what remains, also a gate', async () => {
    const cluster = new FakeCluster();
    const release = await harbour.launch(cluster, { after: { guard: '0s' } });
    await release.until('awaiting-approval');
    await release.handle.executeUpdate(messages.promote, { args: [person] });
    expect((await release.result()).outcome).toBe('promoted');
    expect(cluster.writes).toEqual([expect.stringContaining('begin'), 'promote', 'finish']);
  });

  test('a rolling release waits at its shares until it is resumed', async () => {
    const cluster = new FakeCluster();
    const rolling = { maxSurge: 1, maxUnavailable: 1, pauseAt: ['25%', '50%'] };
    const release = await harbour.launch(cluster, { strategy: { rolling }, after: { guard: '0s' } });
    const { canary, plan } = await release.until('paused');
    expect(canary).toMatchObject({ pods: 1, ready: 1 });
    expect(plan?.steps.map(describeStep)).toEqual([
      'hold at 25% (1 new, 3 old)',
      'hold at 50% (2 new, 2 old)',
      'promote to 100 %',
    ]);
    await release.handle.executeUpdate(messages.resume, { args: [{ by: 'ann' }] });
    await release.when(({ canary, phase }) => phase === 'paused' && canary.pods === 2, 'at 50 %');
    await release.handle.executeUpdate(messages.resume, { args: [{ by: 'ann' }] });
    expect((await release.result()).outcome).toBe('promoted');
    expect(cluster.strategy).toEqual(cluster.own);
  });

  test('a rolling release without pauses is left to Kubernetes and gives the strategy back', async () => {
    const cluster = new FakeCluster();
    const rolling = { maxSurge: 2, maxUnavailable: 0, pauseAt: [] };
    const release = await harbour.launch(cluster, { strategy: { rolling }, after: { guard: '0s' } });
    expect((await release.result()).outcome).toBe('promoted');
    expect(cluster.writes).toEqual(['begin null', 'promote', 'finish']);
    expect(cluster.strategy).toEqual(cluster.own);
  });

  test('a gate before the first weight moves nothing before it is approved', async () => {
    const cluster = new FakeCluster();
    const gate = { name: 'first', approvals: 1, expires: '1h', fourEyes: false };
    const release = await harbour.launch(cluster, {
      strategy: { canary: { steps: [{ gate }, { weight: 50 }] } },
      after: { guard: '0s' },
    });
    expect((await release.until('awaiting-approval')).gate?.revision).toBe('v2');
    expect(cluster.writes).toEqual([]);
    await release.approve('ann', 'first');
    expect((await release.result()).outcome).toBe('promoted');
  });

  test('scaling 4 to 10 to 6 during a step moves the plan along and keeps the weight', async () => {
    const cluster = new FakeCluster();
    cluster.own = cluster.strategy = { maxSurge: '25%', maxUnavailable: '25%' };
    const steps = [{ weight: 50 }, { bake: '10m' }];
    const release = await harbour.launch(cluster, {
      strategy: { canary: { steps } },
      after: { guard: '0s' },
    });
    await release.until('baking');
    for (const replicas of [10, 6]) {
      cluster.scale(replicas);
      const status = await release.when(({ plan }) => plan?.replicas === replicas, `planned for ${replicas}`);
      await release.pass('5s');
      expect(cluster.canary / (cluster.canary + cluster.stable)).toBeCloseTo(0.5, 1);
      expect(status.plan?.steps[0]).toMatchObject({ real: 50 });
    }
    expect(cluster.extremes.serving).toBeGreaterThanOrEqual(5);
    expect((await release.result()).outcome).toBe('promoted');
  });

  test('a replica count that changes between preflight and the first write is read again', async () => {
    const cluster = new FakeCluster();
    cluster.before = (activity) => {
      if (activity === 'begin' && cluster.replicas === 4) cluster.scale(8);
    };
    const release = await harbour.launch(cluster, {
      strategy: { canary: { steps: [{ weight: 50 }] } },
      after: { guard: '0s' },
    });
    expect((await release.result()).outcome).toBe('promoted');
    expect(cluster.canary).toBe(8);
  });

  test('a dry run plans and touches nothing', async () => {
    const cluster = new FakeCluster();
    const release = await harbour.launch(cluster, {}, { dryRun: true });
    const status = await release.result();
    expect(status.plan?.steps[0]).toEqual({ kind: 'weight', weight: 25, canary: 1, stable: 4, real: 20 });
    expect(cluster.writes).toEqual([]);
  });
});

test('something else than a release, started from the Temporal UI, ends with a sentence', async () => {
  for (const sent of [undefined, null, 'release', {}, { release: { spec: { strategy: {} } } }]) {
    const start = harbour.env.client.workflow.execute('release', {
      taskQueue: TASK_QUEUE,
      workflowId: `release.shop.${crypto.randomUUID()}`,
      args: [sent],
    });
    await expect(start).rejects.toMatchObject({
      cause: {
        type: 'NotARelease',
        message: expect.stringContaining('slipway release start -f release.yaml'),
      },
    });
  }
});

describe('people at a gate', () => {
  test('an approval is bound to the gate and the revision, and says who and why', async () => {
    const cluster = new FakeCluster();
    const release = await harbour.launch(cluster);
    const send = (command: object) =>
      release.refusal(release.handle.executeUpdate(messages.approve, { args: [command as never] }));
    const good = { gate: 'half', revision: CANARY, by: 'ann', why: 'fine' };
    expect(await send(good)).toContain('no gate is open');
    await release.until('awaiting-approval');
    expect(await send({ ...good, gate: 'first' })).toContain('open is gate "half" of revision 7f6d8c9b5');
    expect(await send({ ...good, revision: 'old' })).toContain('that is 7f6d8c9b5');
    expect(await send({ ...good, why: ' ' })).toContain('"why" is empty');
    expect(await send({ ...good, by: undefined })).toContain('"by" is missing');
    expect(await release.refusal(release.handle.executeUpdate('approve'))).toContain(
      'approve needs an object',
    );
    expect((await release.status()).phase).toBe('awaiting-approval');
  });

  test('two approvals mean two people, and with four eyes the starter is not enough', async () => {
    const gate = { name: 'half', approvals: 2, expires: '1h', fourEyes: true };
    const cluster = new FakeCluster();
    const release = await harbour.launch(
      cluster,
      { strategy: { canary: { steps: [{ weight: 50 }, { gate }] } }, after: { guard: '0s' } },
      { starter: 'Ann' },
    );
    await release.until('awaiting-approval');
    await release.approve('ann');
    expect(await release.refusal(release.approve('ANN '))).toContain('1 more by others needed');
    expect((await release.approve('bob')).gate?.approvals).toHaveLength(2);
    expect((await release.result()).outcome).toBe('promoted');
  });

  test('where the spec says so, the starter may not approve alone', async () => {
    const gate = { name: 'half', approvals: 1, expires: '1h', fourEyes: true };
    const release = await harbour.launch(new FakeCluster(), {
      strategy: { canary: { steps: [{ weight: 50 }, { gate }] } },
      after: { guard: '0s' },
    });
    await release.until('awaiting-approval');
    await release.approve('ci');
    await release.pass('5s');
    expect((await release.status()).phase).toBe('awaiting-approval');
    await release.approve('bob');
    expect((await release.result()).outcome).toBe('promoted');
  });

  test('a rejection rolls back and is the outcome', async () => {
    const cluster = new FakeCluster();
    const release = await harbour.launch(cluster);
    await release.until('awaiting-approval');
    const command = { gate: 'half', revision: CANARY, by: 'bob', why: 'not today' };
    await release.handle.executeUpdate(messages.reject, { args: [command] });
    expect(await release.result()).toMatchObject({
      outcome: 'rejected',
      reason: 'bob rejected gate half: not today',
    });
    expectRestored(cluster);
  });

  test('a gate that nobody opens expires and rolls back, not counting a pause', async () => {
    const cluster = new FakeCluster();
    const release = await harbour.launch(cluster);
    const opened = Date.parse((await release.until('awaiting-approval')).timeline.at(-1)?.at ?? '');
    await release.handle.executeUpdate(messages.pause, { args: [person] });
    await release.pass('2h');
    expect((await release.status()).phase).toBe('paused');
    await release.handle.executeUpdate(messages.resume, { args: [person] });
    const end = await release.result();
    expect(end).toMatchObject({
      outcome: 'rolled-back',
      reason: 'gate half expired after 1h with 0 of 1 approvals',
    });
    expect(Date.parse(end.finishedAt ?? '') - opened).toBeGreaterThanOrEqual(3 * 3_600_000);
    expectRestored(cluster);
  });
});

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

describe('pause, resume and the ways out', () => {
  test('pause stops the bake, and resume owes the rest of it', async () => {
    const cluster = new FakeCluster();
    const release = await harbour.launch(cluster);
    await release.until('baking');
    await release.pass('10s');
    const { deadline } = await release.handle.executeUpdate(messages.pause, { args: [person] });
    expect(deadline).toBeNull();
    await release.pass('1h');
    const resumed = await release.handle.executeUpdate(messages.resume, { args: [person] });
    const owed = Date.parse(resumed.deadline ?? '') - (await harbour.env.currentTimeMs());
    expect(owed).toBeGreaterThan(5_000);
    expect(owed).toBeLessThanOrEqual(21_000);
    await release.until('awaiting-approval');
  });

  test('of two resumes at once exactly one is taken', async () => {
    const release = await harbour.launch(new FakeCluster());
    await release.until('baking');
    await release.handle.executeUpdate(messages.pause, { args: [person] });
    const answers = await Promise.allSettled(
      ['ann', 'bob'].map((by) => release.handle.executeUpdate(messages.resume, { args: [{ by }] })),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
  });

  test('abort beats pause', async () => {
    const cluster = new FakeCluster();
    const release = await harbour.launch(cluster);
    await release.until('awaiting-approval');
    await release.handle.executeUpdate(messages.pause, { args: [person] });
    await release.handle.executeUpdate(messages.abort, { args: [person] });
    expect(await release.result()).toMatchObject({
      outcome: 'aborted',
      reason: 'ann aborted: I say so',
      paused: null,
    });
    expectRestored(cluster);
  });

  test('a command after the decision is refused with what is going on', async () => {
    const cluster = new FakeCluster();
    cluster.before = async (activity) => {
      if (activity === 'rollBack') await new Promise((resolve) => setTimeout(resolve, 1_000));
    };
    const release = await harbour.launch(cluster);
    await release.until('awaiting-approval');
    await release.handle.executeUpdate(messages.abort, { args: [person] });
    const sentence = await release.refusal(release.handle.executeUpdate(messages.pause, { args: [person] }));
    expect(sentence).toBe('the release is being rolled back: ann aborted: I say so');
    await release.result();
  });

  test('cancelling the workflow restores stable and ends as cancelled', async () => {
    const cluster = new FakeCluster();
    const release = await harbour.launch(cluster);
    await release.until('awaiting-approval');
    await release.handle.cancel();
    const error = (await release.result().catch((thrown: unknown) => thrown)) as WorkflowFailedError;
    expect(error.cause).toBeInstanceOf(CancelledFailure);
    expectRestored(cluster);
  });

  test('a release that is superseded is hauled back first', async () => {
    const cluster = new FakeCluster();
    const release = await harbour.launch(cluster);
    await release.until('baking');
    await release.handle.signal(messages.supersede, { by: 'ci', why: 'v3 is there' });
    expect((await release.result()).outcome).toBe('superseded');
    expectRestored(cluster);
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
