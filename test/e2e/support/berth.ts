/**
 * One place for releases on simulated nodes: a Temporal namespace of its own with one mortal worker, which is started
 * again whenever it dies, and a gateway where a test wants one. Several berths work side by side on one server.
 */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client, Connection } from '@temporalio/client';
import { bundleWorkflowCode, DefaultLogger } from '@temporalio/worker';
import { allocatePorts } from '../../../lab/ports.ts';
import { eventually } from '../../../lab/wait.ts';
import { SlipwayClient } from '../../../src/client.ts';
import { ClusterAccess } from './cluster-access.ts';
import { give, letGo, obeyed, type Order } from './orders.ts';
import { OwnLab } from './own-lab.ts';
import { Program } from './processes.ts';
import { TemporalServer } from './temporal-server.ts';
import { Vessel, type Yard } from './vessel.ts';
import { postAlert } from './webhook.ts';

const OBEYED_WITHIN = { timeoutMs: 120_000, pauseMs: 20 };

/** What all berths of a test file share. */
export class Harbourage {
  readonly lab: OwnLab;
  readonly temporal: TemporalServer;
  readonly cluster: ClusterAccess;
  readonly folder: string;
  readonly #berths: Berth[] = [];

  private constructor(lab: OwnLab, temporal: TemporalServer, cluster: ClusterAccess, folder: string) {
    this.lab = lab;
    this.temporal = temporal;
    this.cluster = cluster;
    this.folder = folder;
  }

  static async open(): Promise<Harbourage> {
    const folder = await mkdtemp(join(tmpdir(), 'slipway-harbourage-'));
    const [lab, temporal] = await Promise.all([OwnLab.open(), TemporalServer.start(), writeBundle(folder)]);
    return new Harbourage(lab, temporal, await ClusterAccess.open(lab.kubeconfig), folder);
  }

  async berth(options: { gateway?: boolean } = {}): Promise<Berth> {
    const berth = await Berth.prepare(this, options);
    // Before anything of it runs, so that a start that fails leaves nothing behind.
    this.#berths.push(berth);
    await berth.open();
    return berth;
  }

  async close(): Promise<void> {
    await Promise.all(this.#berths.map((berth) => berth.close()));
    this.cluster.close();
    await Promise.all([this.lab.close(), this.temporal.stop()]);
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** Bundled once: a worker that is started thirty times must not bundle thirty times. */
async function writeBundle(folder: string): Promise<void> {
  const { code } = await bundleWorkflowCode({
    workflowsPath: fileURLToPath(new URL('../../../src/workflows/index.ts', import.meta.url)),
    logger: new DefaultLogger('ERROR'),
  });
  await writeFile(bundleIn(folder), code);
}

const bundleIn = (folder: string): string => join(folder, 'workflows.js');

export class Berth implements Yard {
  readonly client: SlipwayClient;
  readonly raw: Client;
  readonly worker: Program;
  readonly gateway: Program | null;
  /** When the worker was found dead, each time before a new one was started: milliseconds since the epoch. */
  readonly deaths: number[] = [];
  readonly #harbourage: Harbourage;
  readonly #orders: string;
  readonly #token: string;
  readonly #vessels: Vessel[] = [];
  #open = true;
  #keeper: Promise<void> = Promise.resolve();

  private constructor(
    harbourage: Harbourage,
    parts: { client: SlipwayClient; raw: Client; worker: Program; gateway: Program | null },
    orders: string,
    token: string,
  ) {
    this.#harbourage = harbourage;
    this.client = parts.client;
    this.raw = parts.raw;
    this.worker = parts.worker;
    this.gateway = parts.gateway;
    this.#orders = orders;
    this.#token = token;
  }

  static async prepare(harbourage: Harbourage, { gateway = false } = {}): Promise<Berth> {
    const { temporal, lab, folder } = harbourage;
    const namespace = `berth-${randomBytes(4).toString('hex')}`;
    const connection = await Connection.connect({ address: temporal.address });
    await connection.workflowService.registerNamespace({
      namespace,
      workflowExecutionRetentionPeriod: { seconds: 86_400 as never },
    });
    const orders = await mkdtemp(join(folder, 'orders-'));
    const token = randomBytes(24).toString('hex');
    const { metrics = 0, http = 0 } = await allocatePorts(['metrics', 'http'], {});
    const env = { TEMPORAL_ADDRESS: temporal.address, TEMPORAL_NAMESPACE: namespace };
    const worker = new Program('test/e2e/support/mortal-worker.ts', metrics, {
      ...env,
      KUBECONFIG: lab.kubeconfig,
      SLIPWAY_METRICS_ADDRESS: `127.0.0.1:${metrics}`,
      // Workers are started often here, and most of a start is reading modules.
      NODE_COMPILE_CACHE: join(folder, 'compiled'),
      SLIPWAY_TEST_ORDERS: orders,
      SLIPWAY_TEST_BUNDLE: bundleIn(folder),
    });
    const guard = new Program('src/gateway.ts', http, {
      ...env,
      SLIPWAY_GATEWAY_TOKEN: token,
      SLIPWAY_GATEWAY_ADDRESS: `127.0.0.1:${http}`,
    });
    return new Berth(
      harbourage,
      {
        client: SlipwayClient.lazy({ env }),
        raw: new Client({ connection, namespace }),
        worker,
        gateway: gateway ? guard : null,
      },
      orders,
      token,
    );
  }

  async open(): Promise<void> {
    await Promise.all([this.worker.start(), this.gateway?.start()]);
    this.#keeper = this.#keep();
  }

  async close(): Promise<void> {
    this.#open = false;
    await Promise.all(this.#vessels.map((vessel) => vessel.scuttle().catch(() => {})));
    await Promise.all([this.worker.kill(), this.gateway?.kill()]);
    await this.#keeper;
    await this.client.close();
    await this.raw.connection.close();
  }

  async vessel(replicas = 4): Promise<Vessel> {
    const vessel = new Vessel(this, `slipway-e2e-${randomBytes(4).toString('hex')}`);
    this.#vessels.push(vessel);
    await vessel.build(replicas);
    return vessel;
  }

  start: Yard['start'] = (input, onConflict = 'fail') =>
    this.client.startRelease({ input: { key: null, dryRun: false, ...input }, onConflict });

  kube: Yard['kube'] = (...args) => this.#harbourage.cluster.request(...args);

  get temporalNamespace(): string {
    return this.raw.options.namespace;
  }

  get cluster(): ClusterAccess {
    return this.#harbourage.cluster;
  }

  async alert(labels: Record<string, string>, status: 'firing' | 'resolved' = 'firing'): Promise<number> {
    if (!this.gateway) throw new Error('this berth has no gateway');
    return await postAlert({ url: this.gateway.url, token: this.#token }, labels, status);
  }

  /** The next such moment kills the worker, or makes the activity stand still until `letGo`. */
  order(order: Order): void {
    give(this.#orders, order);
  }

  async untilObeyed(): Promise<void> {
    if (!(await eventually(() => obeyed(this.#orders), OBEYED_WITHIN)))
      throw new Error(`the moment never came; the worker says: ${this.worker.output.slice(-2_000)}`);
  }

  letGo(): void {
    letGo(this.#orders);
  }

  /** Starts the worker again whenever it dies. */
  async #keep(): Promise<void> {
    for (;;) {
      await this.worker.died();
      if (!this.#open) return;
      this.deaths.push(Date.now());
      // It may die again before it ever is ready, so nobody waits for that.
      this.worker.launch();
    }
  }
}
