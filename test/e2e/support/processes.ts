/** The programs under test as processes of their own, which can be killed as abruptly as a machine dies. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { eventually } from '../../../lab/wait.ts';

const READY = { timeoutMs: 120_000, pauseMs: 100 };

/** What a process needs of ours, and no setting of the tester's shell. */
export function basics(): NodeJS.ProcessEnv {
  const { PATH, HOME, SLIPWAY_TEST_RUN } = process.env;
  return { PATH, HOME, SLIPWAY_TEST_RUN };
}

export class Program {
  readonly url: string;
  readonly #file: string;
  readonly #env: Record<string, string>;
  #child: ChildProcess | null = null;
  output = '';

  /** `file` is relative to the root of the checkout. It must serve `/readyz` at `port`. */
  constructor(file: string, port: number, env: Record<string, string>) {
    this.#file = fileURLToPath(new URL(`../../../${file}`, import.meta.url));
    this.url = `http://127.0.0.1:${port}`;
    this.#env = env;
  }

  launch(): void {
    this.#child = spawn(process.execPath, [this.#file], {
      env: { ...basics(), ...this.#env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child.once('exit', (code, signal) => {
      this.output += `[ended: ${signal ?? code}]\n`;
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.output = (this.output + text).slice(-50_000);
      });
    }
  }

  async start(): Promise<void> {
    this.launch();
    const ready = async () => (await fetch(`${this.url}/readyz`).catch(() => null))?.status === 200;
    if (!(await eventually(ready, READY))) throw new Error(`${this.#file} is not ready: ${this.output}`);
  }

  /** Resolves when the process that runs now is gone. */
  async died(): Promise<void> {
    const child = this.#child;
    if (child && child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    child.kill(signal);
    await once(child, 'exit');
  }
}
