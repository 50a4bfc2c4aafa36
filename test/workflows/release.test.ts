import { WorkflowFailedError } from '@temporalio/client';
import { CancelledFailure } from '@temporalio/common';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { TASK_QUEUE } from '../../src/domain/names.ts';
import { describeStep } from '../../src/domain/release/plan.ts';
import * as messages from '../../src/workflows/messages.ts';
import { CANARY, FakeCluster } from './fake-cluster.ts';
import { Harbour } from './harbour.ts';
import { expectRestored, person } from './release.support.ts';

let harbour: Harbour;
beforeEach(async () => {
  harbour = await Harbour.open();
});
afterEach(async () => await harbour.close());

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
