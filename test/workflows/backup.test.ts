import { Context } from '@temporalio/activity';
import { WorkflowFailedError, type WorkflowHandle } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { Worker } from '@temporalio/worker';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { RestoreInput, RestoreStatus } from '../../src/domain/backup/restore.types.ts';
import type { BackupInput } from '../../src/domain/backup/types.ts';
import * as messages from '../../src/workflows/backup/messages.ts';
import type { backup, drill, restoreData } from '../../src/workflows/index.ts';
import { restoreOf } from '../restore-input.ts';
import { type Fakes, fakes, planOf, policyNamed } from './backup.fakes.ts';
import { skippedTime, workflowBundle } from './skipped-time.ts';

let env: TestWorkflowEnvironment;

beforeAll(async () => {
  env = await skippedTime();
});
afterAll(() => env?.teardown());

/** A worker with these activities, for as long as the test runs. */
async function work(given: Fakes): Promise<string> {
  const taskQueue = `backup-${crypto.randomUUID()}`;
  const worker = await Worker.create({
    connection: env.nativeConnection,
    taskQueue,
    workflowBundle: await workflowBundle,
    activities: { ...given.activities },
    shutdownForceTime: '1s',
    // Cancellation reaches an activity with its next heartbeat; the default holds those back for many seconds.
    maxHeartbeatThrottleInterval: '100ms',
    // A bug must fail the test that meets it, not hang it.
    workflowFailureErrorTypes: { '*': ['Error'] },
  });
  const running = worker.run();
  onTestFinished(async () => {
    worker.shutdown();
    await running;
  });
  return taskQueue;
}

const unique = (name: string) => `${name}-${crypto.randomUUID().slice(0, 8)}`;

async function startBackup(taskQueue: string, change: Partial<BackupInput> = {}, spec = '') {
  const name = unique('shop');
  const input: BackupInput = {
    policy: policyNamed(name, spec),
    trigger: 'manual',
    starter: 'ann',
    locked: false,
    ...change,
  };
  return await env.client.workflow.start<typeof backup>('backup', {
    taskQueue,
    workflowId: `backup.${name}`,
    args: [input],
  });
}

async function startRestore(taskQueue: string, change: Partial<RestoreInput> = {}) {
  const name = unique('shop');
  const policy = policyNamed(name);
  const input = restoreOf(policy, { backupBefore: policy, approvalExpires: '24h', ...change });
  return await env.client.workflow.start<typeof restoreData>('restoreData', {
    taskQueue,
    workflowId: `restore.${name}`,
    args: [input],
  });
}

async function failure(
  handle: WorkflowHandle<never> | { result(): Promise<unknown> },
): Promise<ApplicationFailure> {
  try {
    await handle.result();
  } catch (error) {
    if (error instanceof WorkflowFailedError && error.cause instanceof ApplicationFailure) return error.cause;
    throw error;
  }
  throw new Error('it did not fail');
}

async function refusal(update: Promise<unknown>): Promise<string> {
  try {
    await update;
  } catch (error) {
    return ((error as Error).cause as Error).message;
  }
  throw new Error('the update was accepted');
}

async function eventually<T>(read: () => Promise<T>, holds: (value: T) => boolean): Promise<T> {
  for (let i = 0; i < 200; i++) {
    const value = await read();
    if (holds(value)) return value;
    await env.sleep('1s');
  }
  throw new Error(`never: ${JSON.stringify(await read())}`);
}

/** Runs until its workflow is cancelled. */
async function untilCancelled(): Promise<never> {
  const context = Context.current();
  const beat = setInterval(() => context.heartbeat(), 100);
  try {
    return await context.cancelled;
  } finally {
    clearInterval(beat);
  }
}

// First: the test server never skips time again after an activity was cancelled.
describe('a restore that nobody decides on', () => {
  test('ends after its time, touches nothing and lets go of its archive', async () => {
    const given = fakes(unique('server'), { inspectRestore: async () => planOf(2) });
    const handle = await startRestore(await work(given));
    expect(await handle.result()).toMatchObject({
      outcome: 'rejected',
      reason: 'nobody approved it within 24h',
    });
    expect(given.calls).toEqual(['inspectRestore', 'holdArchive', 'releaseArchive']);
  });
});

describe('a backup', () => {
  test('ends verified after dump, proof, retention and a due drill', async () => {
    const given = fakes(unique('server'));
    const handle = await startBackup(await work(given), {}, '  drill: { every: 1d }');
    const status = await handle.result();
    expect(status).toMatchObject({
      phase: 'verified',
      outcome: 'verified',
      problems: [],
      drill: { phase: 'passed', restoreMs: 7 },
    });
    expect(status.result?.id).toMatch(/^dump-\d{8}-\d{6}$/);
    expect(given.calls).toEqual([
      'identifySource',
      'prepareBackup',
      'takeBackup',
      'pruneBackups',
      'restoreDrill',
      'cleanDrill',
      'recordDrill',
      'recordBackup',
    ]);
  });

  test('that could not be proven fails with the reason, prunes nothing and sweeps up', async () => {
    const given = fakes(unique('server'), {
      takeBackup: async () => {
        throw ApplicationFailure.nonRetryable('the disk is full', 'DestinationFull');
      },
    });
    const error = await failure(await startBackup(await work(given)));
    expect(error).toMatchObject({ type: 'BackupFailed', message: 'the disk is full' });
    expect(given.calls).toEqual([
      'identifySource',
      'prepareBackup',
      'takeBackup',
      'sweepBackups',
      'recordBackup',
    ]);
  });

  test('waits out a server that is away, and gives up in the end', async () => {
    let attempts = 0;
    const given = fakes(unique('server'), {
      takeBackup: async () => {
        attempts++;
        throw new Error('no server answers');
      },
    });
    const error = await failure(await startBackup(await work(given)));
    expect(error.message).toBe('no server answers');
    expect(attempts).toBe(12);
  });

  test('stays verified when retention or the drill fail, and says so', async () => {
    const given = fakes(unique('server'), {
      pruneBackups: async () => {
        throw ApplicationFailure.nonRetryable('may not delete');
      },
      restoreDrill: async () => ({
        into: 'scratch',
        restoreMs: 1,
        namespaces: 2,
        documents: 9,
        bytes: 1,
        differences: ['shop.a: 9 documents instead of 10'],
      }),
    });
    const handle = await startBackup(await work(given), {}, '  drill: { every: 1d }');
    const status = await handle.result();
    expect(status.outcome).toBe('verified');
    expect(status.problems).toEqual([
      'retention could not be applied: may not delete',
      'the drill failed: 1 differences from the manifest',
    ]);
    expect(given.calls).toContain('cleanDrill');
  });

  test('is throttled while it runs; a senseless limit is refused with a sentence', async () => {
    const given = fakes(unique('server'), { takeBackup: untilCancelled });
    const handle = await startBackup(await work(given), {}, '  throttle: { mbPerSecond: 20 }');
    await eventually(
      () => handle.query(messages.backupStatus),
      ({ phase }) => phase === 'dumping',
    );
    expect(await handle.query(messages.throttled)).toEqual({ mbPerSecond: 20, by: 'policy' });
    await handle.executeUpdate(messages.throttle, { args: [{ mbPerSecond: 5, by: 'ann' }] });
    expect(await handle.query(messages.throttled)).toEqual({ mbPerSecond: 5, by: 'ann' });
    const wrong = { mbPerSecond: -1, by: 'ann' };
    expect(await refusal(handle.executeUpdate(messages.throttle, { args: [wrong] }))).toContain(
      'mbPerSecond: found -1; allowed: a number above 0',
    );
    expect(await refusal(handle.executeUpdate('throttle', { args: [] as never }))).toContain(
      '"by" is missing',
    );
    await handle.cancel();
    await expect(handle.result()).rejects.toThrow();
  });

  test('that is cancelled removes what is unfinished and frees the source', async () => {
    const server = unique('server');
    const given = fakes(server, { takeBackup: untilCancelled });
    const queue = await work(given);
    const handle = await startBackup(queue);
    await eventually(
      () => handle.query(messages.backupStatus),
      ({ phase }) => phase === 'dumping',
    );
    await handle.cancel();
    await expect(handle.result()).rejects.toThrow(/cancel/i);
    expect(given.calls.at(-1)).toBe('sweepBackups');
    expect((await (await startBackup(await work(fakes(server)))).result()).outcome).toBe('verified');
  });
});

describe('a restore', () => {
  test('into nothing needs no approval and no backup before', async () => {
    const given = fakes(unique('server'));
    const status = await (await startRestore(await work(given))).result();
    expect(status).toMatchObject({
      outcome: 'restored',
      result: { documents: 3 },
      approval: null,
      backupBefore: null,
    });
    expect(given.calls).toEqual([
      'inspectRestore',
      'holdArchive',
      'identifySource',
      'restore',
      'releaseArchive',
    ]);
  });

  test('that would replace data waits for an approval of exactly its plan, and backs up before', async () => {
    const given = fakes(unique('server'), { inspectRestore: async () => planOf(2) });
    const handle = await startRestore(await work(given));
    await eventually(
      () => handle.query(messages.restoreStatus),
      ({ phase }) => phase === 'awaiting-approval',
    );
    expect(given.calls).not.toContain('restore');
    const approve = (plan: string, by = 'bob') =>
      handle.executeUpdate(messages.approveRestore, { args: [{ plan, by, why: 'the orders are gone' }] });
    expect(await refusal(approve('plan-7'))).toContain(
      'plan: found "plan-7", but the plan that waits is plan-2',
    );
    expect(await refusal(approve('plan-2', ' '))).toContain('"by" is empty; send {"plan": "plan-2"');
    await approve('plan-2');
    const status = await handle.result();
    expect(status).toMatchObject({ outcome: 'restored', approval: { by: 'bob' } });
    expect(status.backupBefore).toMatch(/^dump-/);
    expect(given.calls.indexOf('takeBackup')).toBeLessThan(given.calls.indexOf('restore'));
    expect(given.calls).not.toContain('pruneBackups');
  });

  test('that is rejected touches nothing and lets go of its archive', async () => {
    const given = fakes(unique('server'), { inspectRestore: async () => planOf(2) });
    const handle = await startRestore(await work(given));
    await eventually(
      () => handle.query(messages.restoreStatus),
      ({ phase }) => phase === 'awaiting-approval',
    );
    await handle.executeUpdate(messages.rejectRestore, {
      args: [{ plan: 'plan-2', by: 'bob', why: 'not today' }],
    });
    expect(await handle.result()).toMatchObject({
      outcome: 'rejected',
      reason: 'bob rejected it: not today',
    });
    expect(given.calls).toEqual(['inspectRestore', 'holdArchive', 'releaseArchive']);
  });

  test('does not replace anything when the backup before it fails', async () => {
    const given = fakes(unique('server'), {
      inspectRestore: async () => planOf(2),
      takeBackup: async () => {
        throw ApplicationFailure.nonRetryable('the disk is full');
      },
    });
    const error = await failure(await startRestore(await work(given), { approved: true }));
    expect(error).toMatchObject({ type: 'RestoreFailed', message: 'the disk is full' });
    expect(given.calls).not.toContain('restore');
    expect(given.calls.at(-1)).toBe('releaseArchive');
  });

  test('of which one document fails has failed, with the list', async () => {
    const refused = ['shop.orders: {"_id": 7}: Document failed validation'];
    const given = fakes(unique('server'), {
      restore: async () => {
        throw ApplicationFailure.nonRetryable('1 document was refused', 'RestoreDiffers', refused);
      },
    });
    const error = await failure(await startRestore(await work(given)));
    const [status] = error.details as [RestoreStatus];
    expect(error.message).toBe('1 document was refused');
    expect(status).toMatchObject({ outcome: 'failed', failures: refused });
    expect(given.calls).toContain('discardRestore');
  });

  test('and a backup of one server exclude each other', async () => {
    const server = unique('server');
    const restoring = await startRestore(await work(fakes(server, { restore: untilCancelled })));
    await eventually(
      () => restoring.query(messages.restoreStatus),
      ({ phase }) => phase === 'restoring',
    );
    const given = fakes(server);
    const waiting = await startBackup(await work(given));
    await eventually(
      () => waiting.query(messages.backupStatus),
      ({ phase }) => phase === 'waiting',
    );
    expect(given.calls).not.toContain('takeBackup');
    await restoring.cancel();
    expect((await waiting.result()).outcome).toBe('verified');
  });

  test('as a dry run says what it would do and touches nothing', async () => {
    const given = fakes(unique('server'), { inspectRestore: async () => planOf(2) });
    const status = await (await startRestore(await work(given), { dryRun: true })).result();
    expect(status).toMatchObject({ outcome: 'planned', plan: { replaced: 2 } });
    expect(given.calls).toEqual(['inspectRestore']);
  });
});

describe('a drill', () => {
  test('that is cancelled leaves no scratch database behind', async () => {
    const given = fakes(unique('server'), { restoreDrill: untilCancelled });
    const policy = policyNamed(unique('shop'));
    const args: Parameters<typeof drill> = [{ policy, backup: 'dump-20261123-010000', starter: 'ann' }];
    const handle = await env.client.workflow.start<typeof drill>('drill', {
      taskQueue: await work(given),
      workflowId: unique('drill'),
      args,
    });
    await eventually(
      async () => given.calls,
      (calls) => calls.includes('restoreDrill'),
    );
    await handle.cancel();
    await expect(handle.result()).rejects.toThrow(/cancel/i);
    expect(given.calls.at(-1)).toBe('cleanDrill');
  });
});

describe('a backup by a Job of the cluster', () => {
  const inCluster = (name: string) => {
    const policy = policyNamed(name);
    policy.spec.source.uriFrom = {
      secret: { namespace: 'e', name: 's', key: 'k', host: 'db', username: 'u' },
    };
    policy.spec.destination = {
      job: {
        namespace: 'e',
        image: 'mongo:6.0',
        pvc: 'p',
        mountPath: '/backup',
        serviceAccount: null,
        backoffLimit: 2,
        deadline: '6h',
        ttl: '7d',
        history: { successful: 3, failed: 3 },
        resources: { requests: {}, limits: {} },
      },
    };
    return policy;
  };
  const dumps = (handle: Awaited<ReturnType<typeof startBackup>>) =>
    eventually(
      () => handle.query(messages.backupStatus),
      ({ phase }) => phase === 'dumping',
    );

  test('holds every name of its source, so that neither its address nor its server is worked on twice', async () => {
    const [address, server] = [unique('address'), unique('server')];
    const identifyJobSource = async () => ({ keys: [address, server] });
    const given = fakes(server, { identifyJobSource, takeBackup: untilCancelled });
    const first = await startBackup(await work(given), { policy: inCluster('first') });
    await dumps(first);
    expect(given.calls).not.toContain('identifySource');
    const others = [
      await startBackup(await work(fakes(server))),
      await startBackup(await work(fakes('?', { identifyJobSource: async () => ({ keys: [address] }) })), {
        policy: inCluster('second'),
      }),
    ];
    for (const other of others) {
      await eventually(
        () => other.query(messages.backupStatus),
        ({ phase }) => phase === 'waiting',
      );
    }
    await first.cancel();
    await expect(first.result()).rejects.toThrow(/cancel/i);
    for (const other of others) expect((await other.result()).outcome).toBe('verified');
  });

  test('that is cancelled waits until nobody makes its Job any more, then has it removed, by its own name', async () => {
    const order: string[] = [];
    let swept: unknown;
    const given = fakes(unique('server'), {
      takeBackup: async () => {
        try {
          return await untilCancelled();
        } finally {
          order.push('nobody watches the Job');
        }
      },
      sweepBackups: async ({ workflow }) => {
        order.push('sweep');
        swept = workflow;
      },
    });
    const handle = await startBackup(await work(given), { policy: inCluster('cancelled') });
    await dumps(handle);
    await handle.cancel();
    await expect(handle.result()).rejects.toThrow(/cancel/i);
    expect(order).toEqual(['nobody watches the Job', 'sweep']);
    expect(swept).toEqual({ id: handle.workflowId, run: handle.firstExecutionRunId });
  });

  test('cannot be throttled, and says what to do instead', async () => {
    const given = fakes(unique('server'), { takeBackup: untilCancelled });
    const handle = await startBackup(await work(given), { policy: inCluster('throttled') });
    await dumps(handle);
    const command = { mbPerSecond: 5, by: 'ann' };
    expect(await refusal(handle.executeUpdate(messages.throttle, { args: [command] }))).toContain(
      'smaller CPU limit',
    );
    await handle.cancel();
    await expect(handle.result()).rejects.toThrow();
  });
});
