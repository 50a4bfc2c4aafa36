import { setTimeout as delay } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  AnotherReleaseRunning,
  BadSetting,
  NoAnswer,
  NoRelease,
  type Progress,
  Refused,
  SlipwayClient,
  SlipwayError,
} from '../../src/client.ts';
import { releaseId } from '../../src/domain/names.ts';
import { alertNotice, freshName, releaseInput } from './support/inputs.ts';
import { eventually } from './support/eventually.ts';
import { startStubWorker } from './support/stub-worker.ts';
import { TemporalServer } from './support/temporal-server.ts';

let server: TemporalServer;
let worker: Awaited<ReturnType<typeof startStubWorker>>;
let client: SlipwayClient;
let temporal: Client;

beforeAll(async () => {
  server = await TemporalServer.start();
  client = await SlipwayClient.connect({
    env: { TEMPORAL_ADDRESS: server.address, TEMPORAL_UI_URL: 'http://127.0.0.1:1/' },
  });
  await client.setup();
  worker = await startStubWorker(server.address);
  temporal = new Client({ connection: await Connection.connect({ address: server.address }) });
});

afterAll(async () => {
  await worker?.stop();
  await client?.close();
  await temporal?.connection.close();
  await server?.stop();
});

const ns = 'ecommerce';
const target = (name: string) => ({ namespace: ns, name });
const start = (
  name: string,
  more: Parameters<typeof releaseInput>[1] = {},
  onConflict: 'fail' | 'queue' | 'supersede' = 'fail',
) => client.startRelease({ input: releaseInput(name, more), onConflict });

/** A new namespace; every part of the server learns of it a little later, from its own copy. */
async function register(namespace: string): Promise<void> {
  await temporal.workflowService.registerNamespace({
    namespace,
    workflowExecutionRetentionPeriod: { seconds: 86_400 as never },
  });
  const list = () => temporal.workflowService.listWorkflowExecutions({ namespace, pageSize: 1 });
  await eventually(`namespace ${namespace} is there`, () => list().then(Boolean));
  await delay(1_000);
}

describe('setup', () => {
  test('a second setup changes nothing, and retention is raised but never lowered', async () => {
    expect(await client.setup()).toEqual({ added: [], retention: null });
    expect(await client.setup({ retention: '31d' })).toEqual({
      added: [],
      retention: { from: '30d', to: '31d' },
    });
    expect(await client.setup({ retention: '1d' })).toEqual({ added: [], retention: null });
  });

  test('a name taken by another type is refused with name, found and wanted type', async () => {
    const namespace = 'taken';
    await register(namespace);
    await temporal.connection.operatorService.addSearchAttributes({
      namespace,
      searchAttributes: { SlipwayPhase: 3 },
    });
    const other = await SlipwayClient.connect({ env: {}, address: server.address, namespace });
    await expect(other.setup()).rejects.toThrow(
      /SlipwayPhase exists in namespace "taken" with type Int, but must be Keyword/,
    );
    await other.close();
  });

  test('a start in a namespace that was not set up says what to run', async () => {
    const namespace = 'bare';
    await register(namespace);
    const other = await SlipwayClient.connect({ env: {}, address: server.address, namespace });
    const error = await other
      .startRelease({ input: releaseInput(freshName()), onConflict: 'fail' })
      .catch((e: unknown) => e);
    expect(error).toBeInstanceOf(SlipwayError);
    expect(error).toMatchObject({ code: 'not-set-up', message: expect.stringContaining('slipway setup') });
    await other.close();
  });

  test('a namespace that does not exist is named with its setting', async () => {
    const other = await SlipwayClient.connect({
      env: { TEMPORAL_ADDRESS: server.address, TEMPORAL_NAMESPACE: 'nowhere' },
    });
    const error = await other.list().catch((e: unknown) => e);
    expect(error).toBeInstanceOf(BadSetting);
    expect((error as Error).message).toMatch(/no namespace "nowhere" \(TEMPORAL_NAMESPACE/);
    await other.close();
  });
});

describe('start', () => {
  test('a release introduces itself on its page and in the index', async () => {
    const name = freshName();
    const { id, run } = await start(name, { key: "job'42\\x", reason: 'cheaper *search* | <b>' });
    const info = await temporal.workflow.getHandle(id, run ?? undefined).describe();
    expect(id).toBe(releaseId(ns, name));
    expect(await info.staticSummary()).toBe(`ecommerce/${name} to v1.1.0: cheaper *search* | <b>`);
    expect(await info.staticDetails()).toContain('cheaper \\*search\\* \\| \\<b\\>');
    await expect
      .poll(() => client.list({ namespace: ns, workload: name }))
      .toMatchObject([
        {
          id,
          run,
          image: 'ecommerce/product-service:v1.1.0',
          starter: "ci@o'brien",
          key: "job'42\\x",
          phase: 'awaiting-approval',
        },
      ]);
    expect(await client.list({ namespace: ns, workload: name, phase: 'promoted' })).toEqual([]);
  });

  test('a second release is refused and told image, starter and phase of the first', async () => {
    const name = freshName();
    const first = await start(name);
    const error = await start(name, { image: 'x:v2' }).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(AnotherReleaseRunning);
    expect((error as AnotherReleaseRunning).running).toMatchObject({
      run: first.run,
      image: 'ecommerce/product-service:v1.1.0',
      starter: "ci@o'brien",
    });
  });

  test('the same key finds the running release, also for two jobs at once', async () => {
    const name = freshName();
    const both = await Promise.all([start(name, { key: 'job-1' }), start(name, { key: 'job-1' })]);
    expect(new Set(both.map((each) => each.run)).size).toBe(1);
    expect(both.filter((each) => each.attached)).toHaveLength(1);
    expect(await start(name, { key: 'job-1' }, 'supersede')).toMatchObject({
      run: both[0]?.run,
      attached: true,
      queued: false,
    });
  });

  test('the same key finds a finished release, also when others came after it', async () => {
    const name = freshName();
    const first = await start(name, { key: "it's" });
    await client.promote(target(name), { by: 'ann' });
    await client.waitForOutcome(first);
    expect(await start(name, { key: "it's" })).toMatchObject({ run: first.run, attached: true });
    const second = await start(name, { key: 'other' });
    expect(second.attached).toBe(false);
    await expect.poll(async () => (await start(name, { key: "it's" })).run).toBe(first.run);
  });

  test('a key that belongs to another image is refused: no job is told that its release was promoted when another was', async () => {
    const name = freshName();
    const first = await start(name, { key: 'job-1' });
    const other = start(name, { key: 'job-1', image: 'x:v2' });
    await expect(other).rejects.toMatchObject({ code: 'key-taken' });
    await expect(other).rejects.toThrow(
      /^--id: "job-1" belongs to the release to .*:v1\.1\.0, and this one is to x:v2/,
    );
    await client.promote(target(name), { by: 'ann' });
    await client.waitForOutcome(first);
    await expect(start(name, { key: 'job-1', image: 'x:v2' })).rejects.toMatchObject({ code: 'key-taken' });
  });

  test('a dry run is not blocked by a running release and is not listed', async () => {
    const name = freshName();
    await start(name);
    const dry = await start(name, { dryRun: true });
    const view = await client.waitForOutcome(dry);
    expect(view).toMatchObject({ source: 'result', status: { plan: { replicas: 4 } } });
    await expect.poll(() => client.list({ workload: name, all: true })).toHaveLength(1);
  });

  test('a key that could not be found again is refused', async () => {
    await expect(start(freshName(), { key: 'k'.repeat(201) })).rejects.toThrow(
      /--id: must have 1 to 200 characters, found 201/,
    );
  });
});

describe('line', () => {
  test('a queued release waits for its turn, is found by its key, and is followed to its end', async () => {
    const name = freshName();
    const first = await start(name);
    const queued = await start(name, { image: 'x:v2', key: 'second' }, 'queue');
    expect(queued).toMatchObject({ run: null, attached: false, queued: true, key: 'second' });
    expect(await start(name, { image: 'x:v2', key: 'second' }, 'queue')).toMatchObject({
      attached: true,
      queued: true,
    });
    expect(await client.waiting(ns, name)).toMatchObject([{ image: 'x:v2', key: 'second' }]);
    expect(await client.waitForOutcome(queued, { timeoutMs: 300 })).toBeNull();

    const heard: Progress[] = [];
    const end = client.waitForOutcome(queued, {
      intervalMs: 100,
      onProgress: (progress) => heard.push(progress),
    });
    await client.abort(target(name), { by: 'ann' });
    expect(await client.waitForOutcome(first)).toMatchObject({ status: { outcome: 'aborted' } });
    await expect.poll(async () => (await client.status(ns, name)).status.key).toBe('second');
    await client.promote(target(name), { by: 'ann' });
    expect(await end).toMatchObject({ status: { outcome: 'promoted', key: 'second' } });
    expect(heard[0]).toEqual({ kind: 'queued', ahead: 0 });
  });

  test('a release that supersedes hauls the running one back and takes the place of those that wait', async () => {
    const name = freshName();
    const running = await start(name);
    const waiting = await start(name, { image: 'x:v2', key: 'waiting' }, 'queue');
    const replaced = client.waitForOutcome(waiting, { intervalMs: 200 });
    const newest = await start(name, { image: 'x:v3', key: 'newest' }, 'supersede');
    expect(await client.waitForOutcome(running)).toMatchObject({ status: { outcome: 'superseded' } });
    await expect.poll(async () => (await client.status(ns, name)).status.key).toBe('newest');
    const superseded = {
      source: 'result',
      status: {
        outcome: 'superseded',
        key: 'waiting',
        image: 'x:v2',
        reason: expect.stringMatching(
          /^superseded by .* while it stood in line: .*x:v3.*nothing had been changed$/,
        ),
      },
    };
    expect(await replaced).toMatchObject(superseded);
    await client.promote(target(name), { by: 'ann' });
    expect(await client.waitForOutcome(newest)).toMatchObject({ status: { outcome: 'promoted' } });
    // Long after the line is over, a CI job that is run again finds what became of its release, and starts no other.
    const again = await start(name, { image: 'x:v2', key: 'waiting' });
    expect(again).toMatchObject({ attached: true, run: null });
    expect(await client.waitForOutcome(again)).toMatchObject(superseded);
  });

  test('a waiting release is taken out of the line by its key, and whoever waits for it hears that', async () => {
    const name = freshName();
    const running = await start(name);
    const [second, third] = [
      await start(name, { image: 'x:v2', key: 'second' }, 'queue'),
      await start(name, { image: 'x:v3', key: 'third' }, 'queue'),
    ];
    const end = client.waitForOutcome(second, { intervalMs: 200 });
    const wrong = client.withdraw(target(name), { id: 'secnd', by: 'ann', why: 'typo' });
    await expect(wrong).rejects.toThrow(
      'no release with the id "secnd" stands in line; waiting: second, third',
    );
    const line = await client.withdraw(target(name), { id: 'second', by: 'ann', why: 'wrong image' });
    expect(line.waiting).toMatchObject([{ key: 'third' }]);
    expect(await end).toMatchObject({
      status: {
        outcome: 'aborted',
        key: 'second',
        reason: 'ann aborted it while it stood in line: wrong image; nothing had been changed',
      },
    });
    await client.abort(target(name), { by: 'ann' });
    expect(await client.waitForOutcome(running)).toMatchObject({ status: { outcome: 'aborted' } });
    await expect.poll(async () => (await client.status(ns, name)).status.key).toBe('third');
    await client.promote(target(name), { by: 'ann' });
    expect(await client.waitForOutcome(third)).toMatchObject({ status: { outcome: 'promoted' } });
  });

  test('repeating one request does not stand in line twice', async () => {
    const name = freshName();
    await start(name);
    const request = {
      input: releaseInput(name, { image: 'x:v2' }),
      onConflict: 'queue' as const,
      requestId: 'r1',
    };
    await client.startRelease(request);
    await client.startRelease(request);
    expect(await client.waiting(ns, name)).toHaveLength(1);
  });
});

describe('commands', () => {
  test('a refused command carries the sentence of the validator', async () => {
    const name = freshName();
    await start(name);
    const error = await client
      .approve(target(name), { gate: 'full', revision: 'x', by: 'ann', why: 'fine' })
      .catch((e: unknown) => e);
    expect(error).toBeInstanceOf(Refused);
    expect((error as Error).message).toBe('gate "full" is not open; "half" is');
  });

  test('an approval ends the wait with the outcome', async () => {
    const name = freshName();
    const ref = await start(name);
    const end = client.waitForOutcome(ref);
    await client.approve(target(name), { gate: 'half', revision: 'abc12', by: 'ann', why: 'looks good' });
    expect(await end).toMatchObject({
      source: 'result',
      execution: 'completed',
      status: { outcome: 'promoted', reason: 'looks good' },
    });
  });

  test('a command with the same update id is carried out once', async () => {
    const name = freshName();
    await start(name);
    const pause = (by: string) => client.pause(target(name), { by, why: 'lunch' }, { updateId: 'pause-1' });
    await pause('ann');
    expect((await pause('bob')).paused?.by).toBe('ann');
  });

  test.each(['pause', 'resume', 'promote', 'abort'] as const)(
    '%s without a release says so',
    async (command) => {
      const name = freshName();
      const error = await client[command](target(name), { by: 'ann' }).catch((e: unknown) => e);
      expect(error).toBeInstanceOf(NoRelease);
      expect((error as Error).message).toContain(`ecommerce/${name}`);
    },
  );

  test('a command to a finished release says that there is none', async () => {
    const name = freshName();
    const ref = await start(name);
    await client.abort(target(name), { by: 'ann' });
    await client.waitForOutcome(ref);
    await expect(client.abort(target(name), { by: 'ann' })).rejects.toBeInstanceOf(NoRelease);
    await expect(client.status(ns, freshName())).rejects.toBeInstanceOf(NoRelease);
  });

  test('an alert reaches the running release only', async () => {
    const name = freshName();
    expect(await client.signalAlert(target(name), alertNotice())).toBe(false);
    await start(name);
    expect(await client.signalAlert(target(name), alertNotice())).toBe(true);
    await expect.poll(async () => (await client.status(ns, name)).status.alerts).toHaveLength(1);
  });
});

describe('ends', () => {
  test('a timeout returns the release as it is', async () => {
    const ref = await start(freshName());
    expect(await client.waitForOutcome(ref, { timeoutMs: 300 })).toMatchObject({
      execution: 'running',
      status: { outcome: null, phase: 'awaiting-approval' },
    });
  });

  test('an aborted wait rejects with the reason given', async () => {
    const ref = await start(freshName());
    const stop = new AbortController();
    const end = client.waitForOutcome(ref, {
      signal: stop.signal,
      onProgress: () => stop.abort(new Error('ctrl-c')),
    });
    await expect(end).rejects.toThrow('ctrl-c');
  });

  test('a terminated release is reported as failed, with who can repair it', async () => {
    const ref = await start(freshName());
    const end = client.waitForOutcome(ref);
    await temporal.workflow.getHandle(ref.id).terminate('wrong button');
    expect(await end).toMatchObject({
      execution: 'terminated',
      status: {
        outcome: 'failed',
        phase: 'failed',
        reason: expect.stringMatching(/terminated in Temporal \(wrong button\).*slipway restore deployment/),
      },
    });
  });

  test('a cancelled release counts as aborted', async () => {
    const ref = await start(freshName());
    const end = client.waitForOutcome(ref);
    await temporal.workflow.getHandle(ref.id).cancel();
    expect(await end).toMatchObject({ execution: 'cancelled', status: { outcome: 'aborted' } });
  });

  test('a release that failed on purpose tells its own status', async () => {
    const ref = await start(freshName(), { reason: 'fails' });
    expect(await client.waitForOutcome(ref)).toMatchObject({
      execution: 'failed',
      source: 'result',
      status: { outcome: 'failed', reason: 'needs a person', plan: { replicas: 4 } },
    });
  });

  test('history tells who, what, why and how it ended, newest first', async () => {
    const name = freshName();
    const first = await start(name, { image: 'a:v1' });
    await client.abort(target(name), { by: 'ann', why: 'too slow' });
    await client.waitForOutcome(first);
    await start(name, { image: 'a:v2', reason: 'again' });
    await expect
      .poll(async () => (await client.history(ns, name)).map((each) => each.execution))
      .toEqual(['running', 'completed']);
    expect(await client.history(ns, name)).toMatchObject([
      { image: 'a:v2', releaseReason: 'again', outcome: null },
      {
        image: 'a:v1',
        starter: "ci@o'brien",
        releaseReason: 'cheaper search',
        outcome: 'aborted',
        reason: 'too slow',
        phase: 'aborted',
      },
    ]);
  });
});

describe('absence', () => {
  test('without a worker, status is from the index and says so, and a command says that nobody answers', async () => {
    const name = freshName();
    await start(name);
    await expect
      .poll(async () => (await client.list({ workload: name }))[0]?.phase)
      .toBe('awaiting-approval');
    await worker.stop();
    try {
      const view = await client.status(ns, name);
      expect(view).toMatchObject({
        source: 'index',
        execution: 'running',
        note: expect.stringContaining('slipway worker'),
        status: { phase: 'awaiting-approval', starter: "ci@o'brien" },
      });
      await expect(client.pause(target(name), { by: 'ann' })).rejects.toBeInstanceOf(NoAnswer);
    } finally {
      worker = await startStubWorker(server.address);
    }
  });

  test('a wait survives the death of the server and of the worker', async () => {
    const name = freshName();
    const ref = await start(name);
    const heard: Progress[] = [];
    const end = client.waitForOutcome(ref, {
      intervalMs: 200,
      onProgress: (progress) => heard.push(progress),
    });
    await expect.poll(() => heard.length).toBeGreaterThan(0);
    await server.kill();
    await expect.poll(() => heard.some((each) => each.kind === 'silent')).toBe(true);
    await expect(client.ping(500)).rejects.toMatchObject({ code: 'unreachable', address: server.address });
    await server.up();
    await expect
      .poll(
        () =>
          client.abort(target(name), { by: 'ann' }).then(
            () => true,
            () => false,
          ),
        { timeout: 30_000 },
      )
      .toBe(true);
    expect(await end).toMatchObject({ status: { outcome: 'aborted' } });
    const silences = heard.flatMap((each) => (each.kind === 'silent' ? [each.message] : []));
    expect(new Set(silences)).toEqual(new Set(['no answer from the worker or Temporal; still waiting']));
  });
});

test('links lead to the run and to the saved view', () => {
  expect(client.workflowUrl('release.a.b', 'r-1')).toBe(
    'http://127.0.0.1:1/namespaces/default/workflows/release.a.b/r-1/user-metadata',
  );
  const saved = new URL(client.savedViewUrl() ?? '');
  expect(saved.searchParams.get('query')).toContain("SlipwayPhase = 'awaiting-approval'");
});
