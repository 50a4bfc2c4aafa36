/**
 * Everything a real release needs: the lab's cluster with its real node, a Temporal server of its own (so that no
 * other worker takes the work, and so that it may be killed), a worker process and a gateway process.
 */
import { randomBytes } from 'node:crypto';
import { Client, Connection } from '@temporalio/client';
import { up } from '../../../lab/index.ts';
import { canRunRealNode } from '../../../lab/machine.ts';
import { allocatePorts } from '../../../lab/ports.ts';
import { SlipwayClient } from '../../../src/client.ts';
import type { ReleaseInput } from '../../../src/domain/release/types.ts';
import { ClusterAccess } from './cluster-access.ts';
import { Program } from './processes.ts';
import { TemporalServer } from './temporal-server.ts';
import { Vessel, type Yard } from './vessel.ts';
import { postAlert } from './webhook.ts';

/** Real releases need containers; where the machine cannot run them, tests are skipped by name. */
export const possible = canRunRealNode();

export class Dockyard implements Yard {
  readonly temporal: TemporalServer;
  readonly raw: Client;
  readonly client: SlipwayClient;
  readonly worker: Program;
  readonly gateway: Program;
  readonly #cluster: ClusterAccess;
  /** What the gateway wants to see. */
  readonly token: string;
  readonly #vessels: Vessel[] = [];
  #shared: Vessel | undefined;

  private constructor(parts: {
    temporal: TemporalServer;
    raw: Client;
    client: SlipwayClient;
    cluster: ClusterAccess;
    worker: Program;
    gateway: Program;
    token: string;
  }) {
    this.temporal = parts.temporal;
    this.raw = parts.raw;
    this.client = parts.client;
    this.worker = parts.worker;
    this.gateway = parts.gateway;
    this.#cluster = parts.cluster;
    this.token = parts.token;
  }

  /** `ui`: Temporal serves its UI as well, and the client knows where. */
  static async open({ ui = false } = {}): Promise<Dockyard> {
    const lab = await up({ nodes: 'real' });
    const kubeconfig = lab['KUBECONFIG'] ?? '';
    const temporal = await TemporalServer.start({ ui });
    const { metrics = 0, http = 0 } = await allocatePorts(['metrics', 'http'], {});
    const env = {
      TEMPORAL_ADDRESS: temporal.address,
      ...(temporal.uiUrl === null ? {} : { TEMPORAL_UI_URL: temporal.uiUrl }),
    };
    const token = randomBytes(24).toString('hex');
    const yard = new Dockyard({
      temporal,
      token,
      raw: new Client({ connection: await Connection.connect({ address: temporal.address }) }),
      client: SlipwayClient.lazy({ env }),
      cluster: await ClusterAccess.open(kubeconfig),
      worker: new Program('src/worker.ts', metrics, {
        ...env,
        KUBECONFIG: kubeconfig,
        SLIPWAY_METRICS_ADDRESS: `127.0.0.1:${metrics}`,
      }),
      gateway: new Program('src/gateway.ts', http, {
        ...env,
        SLIPWAY_GATEWAY_TOKEN: token,
        SLIPWAY_GATEWAY_ADDRESS: `127.0.0.1:${http}`,
      }),
    });
    try {
      await Promise.all([yard.worker.start(), yard.gateway.start()]);
    } catch (error) {
      await yard.close();
      throw error;
    }
    return yard;
  }

  async close(): Promise<void> {
    await Promise.all(this.#vessels.map((vessel) => vessel.scuttle().catch(() => {})));
    await Promise.all([this.worker.kill(), this.gateway.kill()]);
    await this.client.close();
    await this.raw.connection.close();
    await this.temporal.stop();
  }

  /** A new namespace with product-service v1.0.0, complete. */
  async vessel(replicas = 4): Promise<Vessel> {
    const vessel = new Vessel(this, `slipway-e2e-${randomBytes(4).toString('hex')}`);
    this.#vessels.push(vessel);
    await vessel.build(replicas);
    return vessel;
  }

  /** The vessel that tests share which leave it as it was; a new one when the last test did not. */
  async shared(): Promise<Vessel> {
    if (!(await this.#shared?.isSound())) this.#shared = await this.vessel();
    return this.#shared as Vessel;
  }

  start(
    input: Omit<ReleaseInput, 'key' | 'dryRun'>,
    onConflict: 'fail' | 'queue' | 'supersede' = 'fail',
  ): ReturnType<SlipwayClient['startRelease']> {
    return this.client.startRelease({ input: { key: null, dryRun: false, ...input }, onConflict });
  }

  /** Posts a webhook as Alertmanager does and answers the gateway's status code. */
  async alert(labels: Record<string, string>, status: 'firing' | 'resolved' = 'firing'): Promise<number> {
    return await postAlert({ url: this.gateway.url, token: this.token }, labels, status);
  }

  /** Any request to the API server, past the code under test. */
  kube: Yard['kube'] = (...args) => this.#cluster.request(...args);
}
