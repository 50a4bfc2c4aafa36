// Workloads in a namespace of their own, and an eye on their ReplicaSets.
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Deployment, ReplicaSet } from '../../src/domain/workload/objects.types.ts';
import { KubeClient } from '../../src/kubernetes/client.ts';
import { connect } from '../../src/kubernetes/connection.ts';
import { readAll, send } from '../../src/kubernetes/http.ts';
import { ListWatch } from '../../src/kubernetes/list-watch.ts';
import { DEPLOYMENTS, pathOf, REPLICA_SETS } from '../../src/kubernetes/paths.ts';
import { BENCH_VERSION } from './audit.ts';

export const STABLE_IMAGE = 'ecommerce/product-service:v1.0.0';
export const REPLICAS = 4;

const WITHIN_MS = 60_000;

export class Stage {
  readonly namespace = `slipway-bench-${randomBytes(3).toString('hex')}`;
  readonly #client: KubeClient;
  readonly #watch: ListWatch<ReplicaSet>;
  readonly #listeners = new Set<(replicaSet: ReplicaSet, at: number) => void>();

  private constructor(client: KubeClient) {
    this.#client = client;
    this.#watch = new ListWatch<ReplicaSet>({
      client,
      resource: REPLICA_SETS,
      namespace: this.namespace,
      onChange: (replicaSet) => {
        const at = Date.now();
        for (const listener of this.#listeners) listener(replicaSet, at);
      },
    });
  }

  static async open(kubeconfig: string): Promise<Stage> {
    const connection = await connect({ kubeconfig });
    const stage = new Stage(new KubeClient({ connection, version: BENCH_VERSION }));
    await stage.#send('POST', 'api/v1/namespaces', { metadata: { name: stage.namespace } });
    return stage;
  }

  async close(): Promise<void> {
    this.#watch.stop();
    await this.#send('DELETE', `api/v1/namespaces/${this.namespace}`);
    this.#client.connection.close();
  }

  /** Makes a Deployment and waits until all its pods are available. */
  async deploy(name: string): Promise<void> {
    await this.#send('POST', pathOf(DEPLOYMENTS, this.namespace), deploymentOf(name));
    const deadline = Date.now() + WITHIN_MS;
    for (;;) {
      const { status } = await this.#client.get<Deployment>(DEPLOYMENTS, this.namespace, name);
      if ((status?.availableReplicas ?? 0) >= REPLICAS) return;
      if (Date.now() > deadline)
        throw new Error(`Deployment ${name} has ${status?.availableReplicas ?? 0} pods after 60 s`);
      await delay(100);
    }
  }

  /**
   * When the watch shows the workload's ReplicaSet of that hash without pods, in milliseconds since the epoch. Call it
   * while it still has some. @throws Error after 60 s.
   */
  async gone(name: string, hash: string): Promise<number> {
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    const timer = setTimeout(() => reject(new Error(`canary ${name}-${hash} is still there`)), WITHIN_MS);
    const listener = ({ metadata, status }: ReplicaSet, at: number): void => {
      if (metadata.name === `${name}-${hash}` && (status?.replicas ?? 0) === 0) resolve(at);
    };
    this.#listeners.add(listener);
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      this.#listeners.delete(listener);
    }
  }

  async #send(method: string, path: string, body?: unknown): Promise<void> {
    const { connection } = this.#client;
    const response = await send({
      method,
      url: new URL(path, connection.server),
      headers: { 'content-type': 'application/json', 'user-agent': `slipway/${BENCH_VERSION}` },
      body: body === undefined ? undefined : JSON.stringify(body),
      credentials: await connection.credentials(),
      timeoutMs: 10_000,
    });
    const text = await readAll(response, 10_000);
    if ((response.statusCode ?? 500) >= 300)
      throw new Error(`${method} ${path}: ${response.statusCode} ${text}`);
  }
}

function deploymentOf(name: string) {
  const labels = { app: name };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name },
    spec: {
      replicas: REPLICAS,
      selector: { matchLabels: labels },
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
      template: {
        metadata: { labels },
        spec: {
          terminationGracePeriodSeconds: 0,
          containers: [
            { name, image: STABLE_IMAGE, resources: { requests: { cpu: '10m', memory: '16Mi' } } },
          ],
        },
      },
    },
  };
}
