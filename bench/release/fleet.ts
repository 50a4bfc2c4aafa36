// The releases that are measured: started, brought to where they hold, alerted, followed to their end.
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { SlipwayClient } from '../../src/client.ts';
import { releaseId } from '../../src/domain/names.ts';
import type { Outcome, ReleaseStatus } from '../../src/domain/release/types.ts';
import type { Step } from '../../src/specs/release.types.ts';
import type { ApiRequest } from './audit.ts';
import type { Stage } from './stage.ts';

const WITHIN_MS = 60_000;
export const GATE: Step = { gate: { name: 'half', approvals: 1, expires: '1h', fourEyes: false } };
export const BAKE: Step = { bake: '1h' };

export interface Gateway {
  url: string;
  token: string;
}

export class Fleet {
  readonly #client: SlipwayClient;
  readonly #stage: Stage;
  readonly #gateway: Gateway;

  constructor(client: SlipwayClient, stage: Stage, gateway: Gateway) {
    this.#client = client;
    this.#stage = stage;
    this.#gateway = gateway;
  }

  /** Starts a release and waits until its canary serves and it holds there. */
  async toHold(name: string, hold: Step): Promise<{ run: string | null; hash: string }> {
    const run = await this.start(name, [{ weight: 25 }, hold]);
    const phase = 'gate' in hold ? 'awaiting-approval' : 'baking';
    const { canary } = await this.until(name, (status) => status.phase === phase && status.canary.ready > 0);
    if (!canary.hash) throw new Error(`the canary of ${name} has no hash`);
    return { run, hash: canary.hash };
  }

  /** Starts a release with these steps; answers with its run. */
  async start(name: string, steps: Step[]): Promise<string | null> {
    const client = this.#client;
    const stage = this.#stage;
    const started = await client.startRelease({
      onConflict: 'fail',
      input: {
        release: {
          apiVersion: 'slipway/v1',
          kind: 'Release',
          metadata: { namespace: stage.namespace, name },
          spec: {
            image: `ecommerce/product-service:${randomUUID()}`,
            reason: 'benchmark',
            strategy: { canary: { steps } },
            guards: {
              alerts: { match: { severity: ['critical'] } },
              pods: { readyWithin: '5m', restarts: 0 },
              deadline: '4h',
            },
            after: { guard: '0s' },
          },
        },
        starter: 'bench',
        key: null,
        dryRun: false,
      },
    });
    return started.run;
  }

  /** Waits for a status. @throws Error when the release ends before, or after a minute. */
  async until(name: string, done: (status: ReleaseStatus) => boolean): Promise<ReleaseStatus> {
    const client = this.#client;
    const stage = this.#stage;
    const deadline = Date.now() + WITHIN_MS;
    for (;;) {
      const { status } = await client.status(stage.namespace, name);
      if (done(status)) return status;
      if (status.outcome || Date.now() > deadline)
        throw new Error(`${name} is ${status.phase} after ${WITHIN_MS} ms: ${status.reason ?? ''}`);
      await delay(100);
    }
  }

  /** Waits for the end. @throws Error when it is another one. */
  async ends(name: string, run: string | null, outcome: Outcome): Promise<void> {
    const client = this.#client;
    const stage = this.#stage;
    const ref = { id: releaseId(stage.namespace, name), run, key: null };
    const view = await client.waitForOutcome(ref, { timeoutMs: WITHIN_MS });
    if (view?.status.outcome === outcome) return;
    throw new Error(
      `${name} ended as ${view?.status.outcome ?? 'nothing'} instead of ${outcome}: ${view?.status.reason ?? ''}`,
    );
  }

  /** As Alertmanager sends it. @throws Error unless the gateway takes it. */
  async alert(labels: { workload?: string }): Promise<void> {
    const { namespace } = this.#stage;
    const alert = {
      status: 'firing',
      labels: { alertname: 'HighErrorRate', severity: 'critical', namespace, ...labels },
      annotations: { summary: 'benchmark' },
      startsAt: new Date().toISOString(),
      endsAt: '0001-01-01T00:00:00Z',
      generatorURL: '',
      fingerprint: randomUUID().slice(0, 16),
    };
    const answer = await fetch(`${this.#gateway.url}/v1/alerts`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        authorization: `Bearer ${this.#gateway.token}`,
      },
      body: JSON.stringify({
        version: '4',
        groupKey: '{}',
        truncatedAlerts: 0,
        status: 'firing',
        receiver: 'slipway',
        groupLabels: {},
        commonLabels: alert.labels,
        commonAnnotations: {},
        externalURL: '',
        alerts: [alert],
      }),
      signal: AbortSignal.timeout(15_000),
    });
    const text = await answer.text();
    if (answer.status !== 200) throw new Error(`the gateway answered ${answer.status}: ${text}`);
  }

  /** A write of Slipway to one of these workloads from `since` on, in milliseconds. */
  isWrite(names: string[], since: number): (request: ApiRequest) => boolean {
    const { namespace } = this.#stage;
    return (request) =>
      request.receivedAt >= since &&
      request.verb === 'patch' &&
      request.resource === 'deployments' &&
      request.namespace === namespace &&
      names.includes(request.name);
  }
}
