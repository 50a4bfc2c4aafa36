/**
 * A stage for release activities on a real API server and controller manager. The pods are never scheduled: the test
 * itself says how they are, so that each case is exact and fast on any cluster.
 */
import { existsSync, readFileSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { ApplicationFailure } from '@temporalio/common';
import { MockActivityEnvironment } from '@temporalio/testing';
import { createReleaseActivities } from '../../src/activities/release/release.ts';
import type { ReleaseActivities, WatchInput } from '../../src/activities/release/types.ts';
import type { Deployment, KubeObject, Pod, ReplicaSet } from '../../src/domain/workload/objects.types.ts';
import type { Actor, Observation, Target, WorkloadFacts } from '../../src/domain/workload/types.ts';
import { KubeClient, type RequestRecord } from '../../src/kubernetes/client.ts';
import { connect, type Connection } from '../../src/kubernetes/connection.ts';
import { readAll, send } from '../../src/kubernetes/http.ts';
import { type Kube, kubeOf } from '../../src/kubernetes/kube.ts';
import { ListWatch } from '../../src/kubernetes/list-watch.ts';
import { DEPLOYMENTS, PODS, pathOf, REPLICA_SETS } from '../../src/kubernetes/paths.ts';
import type { Release } from '../../src/specs/release.types.ts';

export const GOOD = 'ecommerce/product-service:v1.0.0';
export const BETTER = 'ecommerce/product-service:v1.1.0';
export const CRASHING = 'ecommerce/product-service:v1.3.0';
export const NEVER_READY = 'ecommerce/product-service:v1.4.0';

/** For an answer of the API server or the end of a rollout, on however busy a machine. */
const WITHIN_MS = 60_000;

/** The cluster to test on: KUBECONFIG, or the lab of this checkout. */
export function kubeconfig(): string {
  const lab = '.lab/env';
  const inLab = existsSync(lab) ? /KUBECONFIG='?([^'\n]+)/.exec(readFileSync(lab, 'utf8'))?.[1] : undefined;
  const path = process.env['KUBECONFIG'] ?? inLab;
  if (!path) throw new Error('set KUBECONFIG, or start the lab: npm run lab -- up');
  return path;
}

/** One namespace of its own, with pods that are as the test says. */
export class Stage {
  readonly namespace = `slipway-test-${randomBytes(4).toString('hex')}`;
  readonly requests: RequestRecord[] = [];
  readonly client: KubeClient;
  readonly kube: Kube;
  readonly activities: ReleaseActivities;
  readonly #puppet: ListWatch<Pod>;

  private constructor(connection: Connection) {
    this.client = new KubeClient({
      connection,
      version: 'test',
      onRequest: (record) => this.requests.push(record),
    });
    this.kube = kubeOf(this.client);
    this.activities = createReleaseActivities({ kube: this.kube });
    this.#puppet = new ListWatch<Pod>({
      client: new KubeClient({ connection, version: 'puppet' }),
      resource: PODS,
      namespace: this.namespace,
      onChange: (pod, gone) => {
        if (!gone && !pod.status?.conditions?.length) void this.#play(pod).catch(() => {});
      },
    });
  }

  static async open(): Promise<Stage> {
    const stage = new Stage(await connect({ kubeconfig: kubeconfig() }));
    await stage.send('POST', 'api/v1/namespaces', { metadata: { name: stage.namespace } });
    return stage;
  }

  async close(): Promise<void> {
    this.#puppet.stop();
    await this.send('DELETE', `api/v1/namespaces/${this.namespace}`);
    this.kube.close();
  }

  /** Any request, past the code under test. */
  async send<T>(method: string, path: string, body?: unknown, contentType = 'application/json'): Promise<T> {
    const { connection } = this.client;
    const response = await send({
      method,
      url: new URL(path, connection.server),
      headers: { 'content-type': contentType },
      body: body === undefined ? undefined : JSON.stringify(body),
      credentials: await connection.credentials(),
      timeoutMs: WITHIN_MS,
    });
    const text = await readAll(response, WITHIN_MS);
    if ((response.statusCode ?? 500) >= 300)
      throw new Error(`${method} ${path}: ${response.statusCode} ${text}`);
    return JSON.parse(text) as T;
  }

  /** Runs an activity with a context, as a worker does. */
  act<Name extends keyof ReleaseActivities>(
    name: Name,
    input: Parameters<ReleaseActivities[Name]>[0],
    context = new MockActivityEnvironment(),
  ): Promise<Awaited<ReturnType<ReleaseActivities[Name]>>> {
    const activity = this.activities[name] as (
      input: unknown,
    ) => Promise<Awaited<ReturnType<ReleaseActivities[Name]>>>;
    return context.run(activity, input);
  }

  /** Makes a Deployment and waits until it is complete. */
  async deploy(
    name: string,
    spec: Record<string, unknown> = {},
    pod: Record<string, unknown> = {},
  ): Promise<Deployment> {
    await this.send('POST', pathOf(DEPLOYMENTS, this.namespace), deploymentOf(name, spec, pod));
    return this.until(name, ({ spec: { replicas }, status }) => (status?.availableReplicas ?? 0) >= replicas);
  }

  read(name: string): Promise<Deployment> {
    return this.send('GET', pathOf(DEPLOYMENTS, this.namespace, name));
  }

  async replicaSets(name: string): Promise<ReplicaSet[]> {
    const path = `${pathOf(REPLICA_SETS, this.namespace)}?labelSelector=app%3D${name}`;
    return (await this.send<{ items: ReplicaSet[] }>('GET', path)).items;
  }

  async pods(name: string): Promise<Pod[]> {
    const path = `${pathOf(PODS, this.namespace)}?labelSelector=app%3D${name}`;
    return (await this.send<{ items: Pod[] }>('GET', path)).items;
  }

  async until(name: string, done: (deployment: Deployment) => boolean): Promise<Deployment> {
    const end = Date.now() + WITHIN_MS;
    while (Date.now() < end) {
      const deployment = await this.read(name);
      if (done(deployment)) return deployment;
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
    throw new Error(
      `Deployment ${name} did not get there: ${JSON.stringify((await this.read(name)).status)}`,
    );
  }

  /** Patches as somebody else. */
  edit(name: string, patch: object, manager = 'kubectl-edit'): Promise<Deployment> {
    const path = `${pathOf(DEPLOYMENTS, this.namespace, name)}?fieldManager=${manager}`;
    return this.send('PATCH', path, patch, 'application/strategic-merge-patch+json');
  }

  async setStatus(pod: KubeObject, status: object): Promise<void> {
    const path = `${pathOf(PODS, this.namespace, pod.metadata.name)}/status`;
    await this.send('PATCH', path, { status }, 'application/merge-patch+json');
  }

  target(name: string): Target {
    return { namespace: this.namespace, name };
  }

  async #play(pod: Pod): Promise<void> {
    const image = pod.spec.containers[0]?.image ?? '';
    const name = pod.spec.containers[0]?.name ?? '';
    const now = new Date().toISOString();
    const condition = (ready: boolean) => ({
      conditions: [
        { type: 'PodScheduled', status: 'True', lastTransitionTime: now },
        {
          type: 'Ready',
          status: ready ? 'True' : 'False',
          lastTransitionTime: now,
          message: ready ? '' : `containers with unready status: [${name}]`,
        },
      ],
    });
    if (image === CRASHING) {
      await this.setStatus(pod, {
        phase: 'Running',
        ...condition(false),
        containerStatuses: [
          {
            name,
            ready: false,
            restartCount: 2,
            image,
            imageID: '',
            state: {
              waiting: { reason: 'CrashLoopBackOff', message: 'back-off 10s restarting failed container' },
            },
            lastState: { terminated: { exitCode: 1, reason: 'Error', message: 'cannot read configuration' } },
          },
        ],
      });
    } else {
      await this.setStatus(pod, { phase: 'Running', ...condition(image !== NEVER_READY) });
    }
  }
}

function deploymentOf(name: string, spec: Record<string, unknown>, pod: Record<string, unknown>): object {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name },
    spec: {
      replicas: 4,
      selector: { matchLabels: { app: name } },
      ...spec,
      template: {
        metadata: { labels: { app: name } },
        spec: {
          // No scheduler has this name, so no node takes the pods.
          schedulerName: 'slipway-test',
          terminationGracePeriodSeconds: 0,
          containers: [
            { name: 'app', image: GOOD, readinessProbe: { httpGet: { path: '/ready', port: 8080 } } },
          ],
          ...pod,
        },
      },
    },
  };
}

/** One release of one workload, acting through the activities as a workflow would. */
export class Voyage {
  readonly stage: Stage;
  readonly name: string;
  readonly actor: Actor;
  readonly facts: WorkloadFacts;
  seen: string | null = null;

  constructor(stage: Stage, name: string, facts: WorkloadFacts, run = randomBytes(8).toString('hex')) {
    this.stage = stage;
    this.name = name;
    this.facts = facts;
    this.actor = { id: `release.${stage.namespace}.${name}`, run };
  }

  static async plan(stage: Stage, name: string, image = BETTER): Promise<Voyage> {
    const actor = { id: `release.${stage.namespace}.${name}`, run: 'preflight' };
    const { facts, findings } = await stage.act('preflight', {
      actor,
      release: releaseOf(stage, name, image),
    });
    if (!facts) throw new Error(`preflight: ${JSON.stringify(findings)}`);
    return new Voyage(stage, name, facts);
  }

  get undo() {
    const { actor, facts, stage, name } = this;
    return { actor, target: stage.target(name), uid: facts.uid, undo: facts.undo, images: facts.images };
  }

  begin(surge = 1, unavailable = 0) {
    return this.stage.act('begin', {
      ...this.undo,
      hold: { maxSurge: surge, maxUnavailable: unavailable },
      replicas: this.facts.replicas,
      rolling: null,
      changeCause: `cheaper search (by test, ${this.actor.id})`,
    });
  }

  adjust(surge: number, unavailable: number, replicas = this.facts.replicas) {
    const hold = { maxSurge: surge, maxUnavailable: unavailable };
    return this.stage.act('adjust', { ...this.undo, hold, replicas });
  }

  promote() {
    return this.stage.act('promote', this.undo);
  }

  rollBack() {
    return this.stage.act('rollBack', this.undo);
  }

  finish() {
    return this.stage.act('finish', this.undo);
  }

  watchInput(expect: WatchInput['expect'], overrides: Partial<WatchInput> = {}): WatchInput {
    return {
      ...this.undo,
      rolling: null,
      health: { readyWithin: '60s', restarts: 0 },
      settle: this.facts.replicas,
      expect,
      accepted: [],
      seen: this.seen,
      ...overrides,
    };
  }

  /** Watches as a workflow does, until an observation fits. */
  async watch(
    expect: WatchInput['expect'],
    fits: (observation: Observation) => boolean,
    overrides: Partial<WatchInput> = {},
  ): Promise<Observation> {
    for (;;) {
      const observation = await this.stage.act('watch', this.watchInput(expect, overrides));
      this.seen = observation.digest;
      if (fits(observation)) return observation;
    }
  }
}

export function releaseOf(stage: { namespace: string }, name: string, image = BETTER): Release {
  return {
    apiVersion: 'slipway/v1',
    kind: 'Release',
    metadata: { namespace: stage.namespace, name },
    spec: {
      image,
      reason: 'cheaper search',
      strategy: { canary: { steps: [{ weight: 25 }] } },
      guards: { alerts: null, pods: { readyWithin: '60s', restarts: 0 }, deadline: '15m' },
      after: { guard: '0s' },
    },
  };
}

/** Type of the ApplicationFailure that an activity fails with. */
export async function failureType(work: Promise<unknown>): Promise<string | null | undefined> {
  const error: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof ApplicationFailure)) throw new Error(`no ApplicationFailure: ${String(error)}`);
  return `${error.type}${error.nonRetryable ? '' : ' (retryable)'}`;
}
