/** One product-service in a namespace of its own, and the releases of it. */
import { isDeepStrictEqual } from 'node:util';
import { expect } from 'vitest';
import { eventually } from '../../../lab/wait.ts';
import type { Client } from '@temporalio/client';
import type { ReleaseView, SlipwayClient } from '../../../src/client.ts';
import type { Deployment } from '../../../src/domain/workload/objects.types.ts';
import type { Phase, ReleaseInput, ReleaseStatus } from '../../../src/domain/release/types.ts';
import type { Target } from '../../../src/domain/workload/types.ts';
import type { Release, ReleaseBody, Step } from '../../../src/specs/release.types.ts';

export const IMAGE = 'docker.io/ecommerce/product-service';
export const NAME = 'product-service';
const QUOTA = 'becalmed';
const WITHIN = { timeoutMs: 240_000, pauseMs: 100 };

export const gate = (name: string): Step => ({
  gate: { name, approvals: 1, expires: '10m', fourEyes: false },
});

/** Where a vessel lies: the servers and programs that its releases need. */
export interface Yard {
  readonly client: SlipwayClient;
  readonly raw: Client;
  start(
    input: Omit<ReleaseInput, 'key' | 'dryRun'>,
    onConflict?: 'fail' | 'queue' | 'supersede',
  ): ReturnType<SlipwayClient['startRelease']>;
  /** Any request to the API server, past the code under test. */
  kube<T>(method: string, path: string, body?: unknown, type?: string): Promise<T>;
  /** Posts a webhook as Alertmanager does and answers the gateway's status code. */
  alert(labels: Record<string, string>): Promise<number>;
}

/**
 * Lowest number of serving pods and highest number of pods that were wanted at once while looking. Serving are the Ready pods: while
 * the canary is held, `availableReplicas` leaves ready canary pods out on purpose.
 */
export interface Extremes {
  serving: number;
  pods: number;
}

export class Vessel {
  readonly namespace: string;
  readonly target: Target;
  readonly #yard: Yard;
  #before: Deployment | null = null;

  constructor(yard: Yard, namespace: string) {
    this.#yard = yard;
    this.namespace = namespace;
    this.target = { namespace, name: NAME };
  }

  get path(): string {
    return `apis/apps/v1/namespaces/${this.namespace}/deployments/${NAME}`;
  }

  async build(replicas: number): Promise<void> {
    const { namespace } = this;
    await this.#yard.kube('POST', 'api/v1/namespaces', { metadata: { name: namespace } });
    await this.#yard.kube('POST', `api/v1/namespaces/${namespace}/services`, serviceOf());
    await this.#yard.kube('POST', `apis/apps/v1/namespaces/${namespace}/deployments`, deploymentOf(replicas));
    await this.until(
      'complete',
      ({ status }) => status?.availableReplicas === replicas && status.updatedReplicas === replicas,
    );
    this.#before = await this.read();
  }

  /** Deletes the namespace; its pods need not end in order. */
  async scuttle(): Promise<void> {
    await this.#yard.raw.workflow
      .getHandle(`release.${this.namespace}.${NAME}`)
      .terminate('end of test')
      .catch(() => {});
    await this.#yard.kube('DELETE', `api/v1/namespaces/${this.namespace}`);
  }

  read(): Promise<Deployment> {
    return this.#yard.kube('GET', this.path);
  }

  /** Patches as somebody else. */
  edit(patch: object, manager = 'kubectl-edit'): Promise<Deployment> {
    const path = `${this.path}?fieldManager=${manager}`;
    return this.#yard.kube('PATCH', path, patch, 'application/strategic-merge-patch+json');
  }

  /** From here on no new pod of it is let in. */
  async refusePods(): Promise<void> {
    const quota = { metadata: { name: QUOTA }, spec: { hard: { pods: '0' } } };
    await this.#yard.kube('POST', `api/v1/namespaces/${this.namespace}/resourcequotas`, quota);
  }

  async admitPods(): Promise<void> {
    await this.#yard.kube('DELETE', `api/v1/namespaces/${this.namespace}/resourcequotas/${QUOTA}`);
  }

  async until(what: string, fits: (deployment: Deployment) => boolean): Promise<Deployment> {
    let last: Deployment | undefined;
    const ask = async () => fits((last = await this.read()));
    if (!(await eventually(ask, WITHIN)))
      throw new Error(`${NAME} is not ${what}: ${JSON.stringify(last?.status)}`);
    return last as Deployment;
  }

  /** Address of the Service that a client in the cluster uses. */
  /** Address of its Service, once it answers: pods are ready a moment before kube-proxy leads to them. */
  async url(): Promise<string> {
    const path = `api/v1/namespaces/${this.namespace}/services/${NAME}`;
    const { spec } = await this.#yard.kube<{ spec: { clusterIP: string } }>('GET', path);
    const url = `http://${spec.clusterIP}:8080`;
    const answers = async () => (await fetch(`${url}/health`).catch(() => null))?.ok === true;
    if (!(await eventually(answers, WITHIN))) throw new Error(`the Service of ${NAME} does not answer`);
    return url;
  }

  spec(tag: string, steps: Step[], more: Partial<ReleaseBody> = {}): Release {
    return {
      apiVersion: 'slipway/v1',
      kind: 'Release',
      metadata: this.target,
      spec: {
        image: `${IMAGE}:${tag}`,
        reason: 'cheaper search',
        strategy: { canary: { steps } },
        guards: {
          alerts: { match: { severity: ['warning', 'critical'] } },
          // Pods take their time on a busy machine.
          pods: { readyWithin: '5m', restarts: 0 },
          deadline: '10m',
        },
        after: { guard: '0s' },
        ...more,
      },
    };
  }

  launch(tag: string, steps: Step[], more: Partial<ReleaseBody> = {}) {
    return this.#yard.start({ release: this.spec(tag, steps, more), starter: 'ci' });
  }

  async status(): Promise<ReleaseStatus> {
    return (await this.#yard.client.status(this.namespace, NAME)).status;
  }

  /** Waits for a phase; a release of this starter that ends meanwhile fails the test. */
  async reaches(
    phase: Phase,
    fits: (status: ReleaseStatus) => boolean = () => true,
    starter = 'ci',
  ): Promise<ReleaseStatus> {
    let last: ReleaseStatus | undefined;
    const there = () => last?.phase === phase && last.starter === starter && fits(last);
    const ask = async () => {
      last = await this.status().catch(() => last);
      // The release before it may still be shown when one follows from the queue.
      return there() || (last?.starter === starter && last.outcome !== null);
    };
    await eventually(ask, WITHIN);
    if (!there()) throw new Error(`not ${phase} as expected: ${JSON.stringify(last)}`);
    return last as ReleaseStatus;
  }

  /** Looks all the time until the latest release says so. What passes by itself may be missed: hold it there. */
  async sees(fits: (status: ReleaseStatus) => boolean): Promise<void> {
    let last: ReleaseStatus | undefined;
    const ask = async () => fits((last = await this.status()));
    if (!(await eventually(ask, { ...WITHIN, pauseMs: 10 })))
      throw new Error(`never as expected: ${JSON.stringify(last)}`);
  }

  async approve(): Promise<void> {
    const { gate: open } = await this.reaches('awaiting-approval', (status) => status.gate !== null);
    if (!open) throw new Error('no gate is open');
    const { name, revision } = open;
    await this.#yard.client.approve(this.target, { gate: name, revision, by: 'ann', why: 'looks good' });
  }

  async ends(): Promise<ReleaseStatus> {
    const { id, run } = (await this.#yard.client.status(this.namespace, NAME)).status;
    const ref = { id, run, key: null };
    const view: ReleaseView | null = await this.#yard.client.waitForOutcome(ref, { timeoutMs: 240_000 });
    if (!view?.status.outcome) throw new Error(`the release has not ended: ${JSON.stringify(view?.status)}`);
    return view.status;
  }

  /** Stable serves at full strength, the spec is as it was, and nothing of the release is left. */
  async expectRestored(replicas = this.#before?.spec.replicas): Promise<void> {
    const now = await this.read();
    expect(now.spec).toEqual({ ...this.#before?.spec, replicas });
    expect(leftovers(now)).toEqual([]);
    expect(now.status).toMatchObject({ availableReplicas: replicas, updatedReplicas: replicas });
  }

  /** All pods run the image, the strategy is the workload's own, and nothing of the release is left. */
  async expectPromoted(tag: string): Promise<void> {
    const now = await this.read();
    expect(now.spec.template.spec.containers[0]?.image).toBe(`${IMAGE}:${tag}`);
    expect(now.spec.strategy).toEqual(this.#before?.spec.strategy);
    expect(leftovers(now)).toEqual([]);
    expect(now.status).toMatchObject({
      availableReplicas: now.spec.replicas,
      updatedReplicas: now.spec.replicas,
    });
  }

  /** Looks at the workload the whole time and tells the extremes when stopped. */
  observe(): { stop(): Promise<Extremes> } {
    const extremes = { serving: Number.POSITIVE_INFINITY, pods: 0 };
    let stopped = false;
    const looking = (async () => {
      while (!stopped) {
        const [{ status }, asked] = await Promise.all([this.read(), this.#askedPods()]);
        extremes.serving = Math.min(extremes.serving, status?.readyReplicas ?? 0);
        extremes.pods = Math.max(extremes.pods, asked);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    })();
    looking.catch(() => {});
    return {
      async stop() {
        stopped = true;
        await looking;
        return extremes;
      },
    };
  }

  /**
   * Pods that all ReplicaSets are to have, at one moment. That is what Kubernetes holds to the surge: a pod that a slow
   * ReplicaSet controller has yet to delete is still in the Deployment's `status.replicas`.
   */
  async #askedPods(): Promise<number> {
    const path = `apis/apps/v1/namespaces/${this.namespace}/replicasets`;
    const { items } = await this.#yard.kube<{ items: { spec: { replicas: number } }[] }>('GET', path);
    return items.reduce((sum, { spec }) => sum + spec.replicas, 0);
  }

  /** As it was built, and no release of it is under way. */
  async isSound(): Promise<boolean> {
    const running = await this.#yard.client.list({ namespace: this.namespace });
    return running.length === 0 && isDeepStrictEqual((await this.read()).spec, this.#before?.spec);
  }

  /** What is left of releases on the object. */
  async leftovers(): Promise<string[]> {
    return leftovers(await this.read());
  }

  abort(): Promise<ReleaseStatus> {
    return this.#yard.client.abort(this.target, { by: 'ann', why: 'changed my mind' });
  }

  /** An alert about this workload, through the gateway. Answers its status code. */
  alert(): Promise<number> {
    return this.#yard.alert({ namespace: this.namespace, deployment: NAME });
  }
}

function leftovers({ metadata, spec }: Deployment): string[] {
  const { template } = spec;
  const keys = [metadata, template.metadata].flatMap((meta) => [
    ...Object.keys(meta?.annotations ?? {}),
    ...Object.keys(meta?.labels ?? {}),
  ]);
  return keys.filter((key) => key.startsWith('slipway.dev/'));
}

function serviceOf(): object {
  return {
    metadata: { name: NAME },
    spec: { selector: { app: NAME }, ports: [{ name: 'http', port: 8080, targetPort: 8080 }] },
  };
}

function deploymentOf(replicas: number): object {
  const probe = (path: string) => ({ httpGet: { path, port: 8080 }, periodSeconds: 1, timeoutSeconds: 3 });
  return {
    metadata: { name: NAME },
    spec: {
      replicas,
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
      selector: { matchLabels: { app: NAME } },
      template: {
        metadata: { labels: { app: NAME } },
        spec: {
          terminationGracePeriodSeconds: 15,
          enableServiceLinks: false,
          containers: [
            {
              name: NAME,
              image: `${IMAGE}:v1.0.0`,
              imagePullPolicy: 'IfNotPresent',
              terminationMessagePolicy: 'FallbackToLogsOnError',
              ports: [{ name: 'http', containerPort: 8080 }],
              readinessProbe: { ...probe('/ready'), failureThreshold: 3 },
              env: [
                {
                  name: 'MONGODB_URI',
                  value: 'mongodb://mongodb.ecommerce.svc.cluster.local:27017/?directConnection=true',
                },
                { name: 'MONGODB_DATABASE', value: 'ecommerce' },
              ],
              resources: { requests: { cpu: '10m', memory: '48Mi' } },
            },
          ],
        },
      },
    },
  };
}
