/** A real Temporal dev server of a test's own, that can be killed and brought back with its state. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Connection } from '@temporalio/client';
import { allocatePorts } from '../../../lab/ports.ts';
import { provision } from '../../../lab/provision.ts';
import { healthy } from '../../../lab/wait.ts';

const READY_WITHIN_MS = 120_000;

export class TemporalServer {
  readonly address: string;
  /** Address of the UI, `null` when the server was started without. */
  readonly uiUrl: string | null;
  readonly #binary: string;
  readonly #ports: Record<string, number>;
  readonly #folder: string;
  #process: ChildProcess | null = null;

  private constructor(binary: string, ports: Record<string, number>, folder: string) {
    this.#binary = binary;
    this.#ports = ports;
    this.#folder = folder;
    this.address = `127.0.0.1:${ports['grpc']}`;
    this.uiUrl = ports['ui'] === undefined ? null : `http://127.0.0.1:${ports['ui']}`;
  }

  static async start({ ui = false } = {}): Promise<TemporalServer> {
    const { temporal } = await provision(['temporal']);
    const ports = await allocatePorts(['grpc', 'http', 'metrics', ...(ui ? ['ui'] : [])], {});
    const folder = await mkdtemp(join(tmpdir(), 'slipway-temporal-'));
    const server = new TemporalServer(temporal?.path ?? 'temporal', ports, folder);
    await server.up();
    return server;
  }

  async up(): Promise<void> {
    const { grpc, http, metrics, ui } = this.#ports;
    const face =
      ui === undefined ? '--headless' : `--ui-ip 127.0.0.1 --ui-port ${ui} --ui-disable-news-fetch`;
    const database = join(this.#folder, 'temporal.db');
    this.#process = spawn(
      this.#binary,
      `server start-dev ${face} --ip 127.0.0.1 --port ${grpc} --http-port ${http} --metrics-port ${metrics} --log-level error`
        .split(' ')
        .concat('--db-filename', database),
      { stdio: 'ignore' },
    );
    const deadline = Date.now() + READY_WITHIN_MS;
    for (;;) {
      if ((await answers(this.address)) && (await this.#shows())) return;
      if (Date.now() > deadline) throw new Error(`Temporal is not ready at ${this.address}`);
      await delay(100);
    }
  }

  /** The UI, when there is one, has its own connection to the server. */
  async #shows(): Promise<boolean> {
    return this.uiUrl === null || (await healthy(`${this.uiUrl}/api/v1/namespaces/default`));
  }

  /** As abruptly as a machine dies. */
  async kill(): Promise<void> {
    const child = this.#process;
    this.#process = null;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }

  async stop(): Promise<void> {
    await this.kill();
    await rm(this.#folder, { recursive: true, force: true });
  }
}

async function answers(address: string): Promise<boolean> {
  const connection = Connection.lazy({ address, connectTimeout: 1_000 });
  try {
    await connection.ensureConnected();
    await connection.withDeadline(Date.now() + 1_000, () =>
      connection.workflowService.describeNamespace({ namespace: 'default' }),
    );
    return true;
  } catch {
    return false;
  } finally {
    await connection.close();
  }
}
