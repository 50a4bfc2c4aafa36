/** What the workflow tests of releases need: a time-skipping server, workers, and a workload in memory. */
import {
  ApplicationFailure,
  defineSearchAttributeKey,
  SearchAttributeType,
  TypedSearchAttributes,
} from '@temporalio/common';
import type { WorkflowHandleWithFirstExecutionRunId } from '@temporalio/client';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { Worker } from '@temporalio/worker';
import { onTestFinished } from 'vitest';
import type { ReleaseActivities } from '../../src/activities/release/types.ts';
import { releaseId, TASK_QUEUE, WATCH_TASK_QUEUE } from '../../src/domain/names.ts';
import type { Phase, ReleaseInput, ReleaseStatus } from '../../src/domain/release/types.ts';
import type { ReleaseBody, Step } from '../../src/specs/release.types.ts';
import type { release } from '../../src/workflows/index.ts';
import * as messages from '../../src/workflows/messages.ts';
import type { FakeCluster } from './fake-cluster.ts';
import { skippedTime, workflowBundle } from './skipped-time.ts';

export class Harbour {
  readonly env: TestWorkflowEnvironment;
  readonly #clusters = new Map<string, FakeCluster>();
  #stop: () => Promise<void> = async () => {};

  private constructor(env: TestWorkflowEnvironment) {
    this.env = env;
  }

  /**
   * Starts a server and workers, for one test: the server never skips time again once a workflow has ended while an
   * activity of it was still running, which the end of a watch regularly is.
   */
  static async open(): Promise<Harbour> {
    const env = await skippedTime();
    const harbour = new Harbour(env);
    await harbour.#work();
    return harbour;
  }

  async close(): Promise<void> {
    await this.#stop();
    await this.env.teardown();
  }

  /** Starts one release of a workload in memory; it ends with the test. */
  async launch(
    cluster: FakeCluster,
    body: Partial<ReleaseBody> = {},
    more: Partial<ReleaseInput> = {},
  ): Promise<Voyager> {
    const name = `app-${crypto.randomUUID().slice(0, 8)}`;
    this.#clusters.set(name, cluster);
    const input: ReleaseInput = {
      release: releaseOf(name, body),
      starter: 'ci',
      key: null,
      dryRun: false,
      ...more,
    };
    const handle = await this.start(input);
    onTestFinished(async () => {
      await handle.terminate().catch(() => {});
    });
    return new Voyager(this.env, handle, name);
  }

  async start(input: ReleaseInput): Promise<ReleaseHandle> {
    const { namespace, name } = input.release.metadata;
    return await this.env.client.workflow.start<typeof release>('release', {
      taskQueue: TASK_QUEUE,
      workflowId: releaseId(namespace, name),
      args: [input],
      typedSearchAttributes: new TypedSearchAttributes([
        { key: defineSearchAttributeKey('SlipwayPhase', SearchAttributeType.KEYWORD), value: 'preflight' },
      ]),
    });
  }

  async #work(): Promise<void> {
    const activities = {
      ...this.#activities(),
      awaitRelease: (input: { id: string }) => this.#awaitRelease(input.id),
    };
    const common = { connection: this.env.nativeConnection, activities, shutdownForceTime: '1s' };
    const workers = await Promise.all([
      Worker.create({ ...common, taskQueue: TASK_QUEUE, workflowBundle: await workflowBundle }),
      Worker.create({ ...common, taskQueue: WATCH_TASK_QUEUE }),
    ]);
    const running = Promise.all(workers.map((worker) => worker.run()));
    this.#stop = async () => {
      for (const worker of workers) worker.shutdown();
      await running;
    };
  }

  /** Every activity goes to the workload that it is about. */
  #activities(): ReleaseActivities {
    const of = (name: string): ReleaseActivities => {
      const cluster = this.#clusters.get(name);
      if (!cluster) throw new Error(`no workload ${name}`);
      return cluster.activities;
    };
    return {
      preflight: async (input) => await of(input.release.metadata.name).preflight(input),
      begin: async (input) => await of(input.target.name).begin(input),
      adjust: async (input) => await of(input.target.name).adjust(input),
      promote: async (input) => await of(input.target.name).promote(input),
      rollBack: async (input) => await of(input.target.name).rollBack(input),
      finish: async (input) => await of(input.target.name).finish(input),
      watch: async (input) => await of(input.target.name).watch(input),
      observe: async (input) => await of(input.target.name).observe(input),
    };
  }

  /** Short tries, so that time can be skipped between them. */
  async #awaitRelease(id: string): Promise<void> {
    const { status } = await this.env.client.workflow.getHandle(id).describe();
    if (status.name === 'RUNNING')
      throw ApplicationFailure.create({ message: 'still running', nextRetryDelay: '1s' });
  }
}

export type ReleaseHandle = WorkflowHandleWithFirstExecutionRunId<typeof release>;

/** One release under test. */
export class Voyager {
  readonly handle: ReleaseHandle;
  readonly name: string;
  readonly #env: TestWorkflowEnvironment;
  constructor(env: TestWorkflowEnvironment, handle: ReleaseHandle, name: string) {
    this.#env = env;
    this.handle = handle;
    this.name = name;
  }

  status(): Promise<ReleaseStatus> {
    return this.handle.query(messages.status);
  }

  /** Lets virtual time pass. */
  async pass(time: string | number): Promise<void> {
    await this.#env.sleep(time as never);
  }

  /** Lets virtual time pass, a second at a time, until the release is in a phase. */
  async until(phase: Phase, seconds = 120): Promise<ReleaseStatus> {
    return await this.when((status) => status.phase === phase, phase, seconds);
  }

  async when(holds: (status: ReleaseStatus) => boolean, what: string, seconds = 120): Promise<ReleaseStatus> {
    for (let second = 0; second < seconds; second++) {
      const status = await this.status();
      if (holds(status)) return status;
      await this.pass('1s');
    }
    throw new Error(`never ${what}; is ${JSON.stringify(await this.status(), null, 1)}`);
  }

  async approve(by = 'ann', gate = 'half'): Promise<ReleaseStatus> {
    const { gate: open } = await this.status();
    const command = { gate, revision: open?.revision ?? '', by, why: 'looks good' };
    return await this.handle.executeUpdate(messages.approve, { args: [command] });
  }

  /** Waits for the end, skipping time. */
  result(): Promise<ReleaseStatus> {
    return this.handle.result();
  }

  /** The sentence with which an Update is refused. */
  async refusal(update: Promise<unknown>): Promise<string> {
    try {
      await update;
    } catch (error) {
      return (error as Error).cause instanceof Error
        ? ((error as Error).cause as Error).message
        : String(error);
    }
    throw new Error('the update was accepted');
  }
}

export const STEPS: Step[] = [
  { weight: 25 },
  { bake: '30s' },
  { gate: { name: 'half', approvals: 1, expires: '1h', fourEyes: false } },
  { weight: 50 },
  { bake: '30s' },
];

function releaseOf(name: string, body: Partial<ReleaseBody>): ReleaseInput['release'] {
  return {
    apiVersion: 'slipway/v1',
    kind: 'Release',
    metadata: { namespace: 'shop', name },
    spec: {
      image: 'shop/app:v2',
      reason: 'cheaper search',
      strategy: { canary: { steps: STEPS } },
      guards: {
        alerts: { match: { severity: ['warning', 'critical'] } },
        pods: { readyWithin: '1m', restarts: 0 },
        deadline: '15m',
      },
      after: { guard: '5m' },
      ...body,
    },
  };
}
