// The real worker and the real gateway, each in a process of its own, as they are run in earnest.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { allocatePorts } from '../../lab/ports.ts';

const READY_WITHIN_MS = 90_000;
const END_WITHIN_MS = 20_000;

export interface Processes {
  gatewayUrl: string;
  stop(): Promise<void>;
}

/** Starts both on free ports and waits until they are ready. @throws Error with the end of their log when they are not. */
export async function startProcesses(env: Record<string, string>): Promise<Processes> {
  const ports = await allocatePorts(['metrics', 'bench-gateway'], {});
  const own: Record<string, string> = {
    SLIPWAY_METRICS_ADDRESS: `127.0.0.1:${ports['metrics']}`,
    SLIPWAY_GATEWAY_ADDRESS: `127.0.0.1:${ports['bench-gateway']}`,
  };
  const children = ['worker', 'gateway'].map((name) => new Child(name, { ...process.env, ...env, ...own }));
  // A benchmark that is told to stop must not leave a worker behind, which would take tasks from the next one.
  const interrupted = (): void => {
    void stop().then(() => process.exit(130));
  };
  const stop = async (): Promise<void> => {
    await Promise.all(children.map((child) => child.stop()));
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, interrupted);
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, interrupted);
  try {
    const urls = [own['SLIPWAY_METRICS_ADDRESS'], own['SLIPWAY_GATEWAY_ADDRESS']];
    await Promise.all(children.map((child, nth) => child.ready(`http://${urls[nth]}/readyz`)));
  } catch (error) {
    await stop();
    throw error;
  }
  return { gatewayUrl: `http://${own['SLIPWAY_GATEWAY_ADDRESS']}`, stop };
}

class Child {
  readonly #name: string;
  readonly #process: ChildProcess;
  #log = '';

  constructor(name: string, env: NodeJS.ProcessEnv) {
    this.#name = name;
    const file = fileURLToPath(new URL(`../../src/${name}.ts`, import.meta.url));
    this.#process = spawn(process.execPath, [file], { env, stdio: ['ignore', 'pipe', 'pipe'] });
    const keep = (chunk: Buffer): void => {
      this.#log = (this.#log + chunk.toString()).slice(-4_000);
    };
    this.#process.stdout?.on('data', keep);
    this.#process.stderr?.on('data', keep);
  }

  async ready(url: string): Promise<void> {
    const deadline = Date.now() + READY_WITHIN_MS;
    for (;;) {
      const answer = await fetch(url, { signal: AbortSignal.timeout(2_000) }).catch(() => null);
      if (answer?.ok) return;
      if (this.#ended || Date.now() > deadline) throw new Error(`${this.#name} is not ready: ${this.#log}`);
      await delay(100);
    }
  }

  async stop(): Promise<void> {
    if (this.#ended) return;
    const exit = once(this.#process, 'exit');
    this.#process.kill('SIGTERM');
    const inTime = await Promise.race([exit.then(() => true), delay(END_WITHIN_MS, false, { ref: false })]);
    if (inTime) return;
    this.#process.kill('SIGKILL');
    await exit;
  }

  get #ended(): boolean {
    return this.#process.exitCode !== null || this.#process.signalCode !== null;
  }
}
