import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Client, Connection } from '@temporalio/client';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { allocatePorts } from '../../lab/ports.ts';
import { TASK_QUEUE } from '../../src/domain/names.ts';
import { basics } from './support/processes.ts';
import { TemporalServer } from './support/temporal-server.ts';

const FIXTURE = fileURLToPath(new URL('./support/worker-process.ts', import.meta.url));
const WORKER = fileURLToPath(new URL('../../src/worker.ts', import.meta.url));
const READY = { timeout: 180_000, interval: 200 };

let server: TemporalServer;
let temporal: Client;
const processes: WorkerProcess[] = [];

beforeAll(async () => {
  server = await TemporalServer.start();
  temporal = new Client({ connection: await Connection.connect({ address: server.address }) });
});

afterEach(async () => {
  await Promise.all(processes.splice(0).map((each) => each.kill()));
});

afterAll(async () => {
  await temporal?.connection.close();
  await server?.stop();
});

class WorkerProcess {
  readonly child: ChildProcess;
  readonly url: string;
  output = '';

  private constructor(file: string, port: number, env: Record<string, string>) {
    this.url = `http://127.0.0.1:${port}`;
    this.child = spawn(process.execPath, [file], {
      env: {
        ...basics(),
        TEMPORAL_ADDRESS: server.address,
        SLIPWAY_METRICS_ADDRESS: `127.0.0.1:${port}`,
        ...env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.output += text;
      });
    }
    processes.push(this);
  }

  static async start(file: string, env: Record<string, string> = {}): Promise<WorkerProcess> {
    const { http = 0 } = await allocatePorts(['http'], {});
    return new WorkerProcess(file, http, env);
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  async get(path: string): Promise<{ status: number; text: string }> {
    const response = await fetch(`${this.url}${path}`).catch(() => null);
    return { status: response?.status ?? 0, text: (await response?.text()) ?? '' };
  }

  async untilReady(): Promise<void> {
    await expect.poll(async () => (await this.get('/readyz')).status, READY).toBe(200);
  }

  /** Exit code. */
  async ends(): Promise<number | null> {
    if (this.child.exitCode === null && this.child.signalCode === null) await once(this.child, 'exit');
    return this.child.exitCode;
  }

  async kill(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.ends();
  }

  lines(): Record<string, unknown>[] {
    return this.output
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  }
}

const run = (type: 'acting' | 'actingOn' | 'watching' | 'buggy', id = `${type}-${crypto.randomUUID()}`) =>
  temporal.workflow.start<() => Promise<string>>(type, { taskQueue: TASK_QUEUE, workflowId: id });

describe('a worker', () => {
  test('waits for a Temporal server that is not there yet, and says so', async () => {
    await server.kill();
    const worker = await WorkerProcess.start(FIXTURE);
    await expect
      .poll(async () => (await worker.get('/readyz')).text, READY)
      .toContain('waiting for Temporal at');
    expect((await worker.get('/healthz')).status).toBe(200);
    await server.up();
    await worker.untilReady();
    expect(await (await run('acting')).result()).toBe(`done by ${worker.pid}, attempt 1`);
  });

  test('stops at once while it waits for the server', async () => {
    const worker = await WorkerProcess.start(FIXTURE, { TEMPORAL_ADDRESS: '127.0.0.1:1' });
    await expect.poll(() => worker.output, READY).toContain('Temporal cannot be reached yet');
    worker.child.kill('SIGTERM');
    expect(await worker.ends()).toBe(0);
  });

  test('sets the namespace up', async () => {
    const worker = await WorkerProcess.start(FIXTURE);
    await worker.untilReady();
    const { customAttributes } = await temporal.connection.operatorService.listSearchAttributes({
      namespace: 'default',
    });
    expect(customAttributes).toMatchObject({ SlipwayPhase: 2, SlipwayKey: 2 });
  });

  test("shows its own metrics and those of Temporal's core on one page, in one format", async () => {
    const worker = await WorkerProcess.start(FIXTURE);
    await worker.untilReady();
    const { text } = await worker.get('/metrics');
    expect(text).toContain('slipway_worker_running{task_queue="slipway"} 1');
    expect(text).toContain('slipway_worker_running{task_queue="slipway-watch"} 1');
    expect(text).toMatch(/temporal_num_pollers\{[^}]*task_queue="slipway-watch"/);
    expect(text).toMatch(/^process_resident_memory_bytes \d/m);
    for (const line of text.split('\n'))
      expect(line).toMatch(/^$|^# |^[a-z_:][\w:]*(\{.*\})? [-+\d.eInfNa]+$/i);
  });

  test('told to stop, finishes what acts and hands over what watches', async () => {
    const first = await WorkerProcess.start(FIXTURE);
    await first.untilReady();
    const [acting, watching] = [await run('actingOn'), await run('watching')];
    await expect
      .poll(async () => (await first.get('/metrics')).text, READY)
      .toMatch(
        /slipway_worker_activities\{task_queue="slipway"\} 1[^]*slipway_worker_activities\{task_queue="slipway-watch"\} 1/,
      );
    first.child.kill('SIGTERM');
    expect(await first.ends()).toBe(0);
    const second = await WorkerProcess.start(FIXTURE);
    expect(await acting.result()).toBe(`done by ${first.pid}, attempt 1`);
    expect(await watching.result()).toBe(`seen by ${second.pid}`);
  });

  test('killed, leaves nothing undone once another is there', async () => {
    const first = await WorkerProcess.start(FIXTURE);
    await first.untilReady();
    const watching = await run('watching');
    await expect
      .poll(async () => (await first.get('/metrics')).text, READY)
      .toMatch(/slipway_worker_activities\{task_queue="slipway-watch"\} 1/);
    await first.kill();
    const second = await WorkerProcess.start(FIXTURE);
    expect(await watching.result()).toBe(`seen by ${second.pid}`);
  });

  test('with failOnBugs, a bug in a workflow fails it loudly', async () => {
    await (await WorkerProcess.start(FIXTURE)).untilReady();
    await expect((await run('buggy')).result()).rejects.toMatchObject({ cause: { message: 'a bug' } });
  });

  test('logs JSON lines with a component and a time, without payloads', async () => {
    const worker = await WorkerProcess.start(FIXTURE, { SLIPWAY_LOG_LEVEL: 'debug' });
    await worker.untilReady();
    await (await run('acting')).result();
    const lines = worker.lines();
    expect(lines.length).toBe(worker.output.trim().split('\n').length);
    for (const line of lines)
      expect(line).toMatchObject({
        component: 'worker',
        time: expect.any(String),
        level: expect.any(String),
      });
    expect(
      lines.filter((line) => line['activityType'] === 'act' && line['workflowType'] === 'acting'),
    ).not.toEqual([]);
  });
});

describe('settings that cannot be used end the process with code 2 and one line', () => {
  test.each([
    [
      'SLIPWAY_METRICS_ADDRESS',
      'nonsense',
      /SLIPWAY_METRICS_ADDRESS: found "nonsense", allowed is host:port/,
    ],
    ['SLIPWAY_SHUTDOWN_GRACE', '1 day', /SLIPWAY_SHUTDOWN_GRACE: found "1 day"/],
    [
      'SLIPWAY_MAX_CACHED_WORKFLOWS',
      '-1',
      /SLIPWAY_MAX_CACHED_WORKFLOWS: found "-1", allowed is a whole number from 1/,
    ],
    ['SLIPWAY_LOG_LEVEL', 'loud', /SLIPWAY_LOG_LEVEL: found "loud", allowed are trace, debug/],
    ['TEMPORAL_PROFILE', 'nobody', /Profile 'nobody' not found/],
    ['TEMPORAL_NAMESPACE', 'nowhere', /no namespace "nowhere" \(TEMPORAL_NAMESPACE/],
    ['KUBECONFIG', '/does/not/exist', /KUBECONFIG/],
  ])('%s=%s', async (name, value, message) => {
    const worker = await WorkerProcess.start(WORKER, {
      SLIPWAY_KUBERNETES: name === 'KUBECONFIG' ? 'on' : 'off',
      [name]: value,
    });
    expect(await worker.ends()).toBe(2);
    const line = worker.output.split('\n').filter((each) => each !== '' && !each.startsWith('{'));
    expect(line).toHaveLength(1);
    expect(line[0]).toMatch(message);
  });
});
