/** `slipway worker` as a process of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { eventually } from './eventually.ts';
import { killed } from './killed.ts';

const WORKER = fileURLToPath(new URL('../../../src/worker.ts', import.meta.url));

export class WorkerProcess {
  readonly #child: ChildProcess;
  output = '';

  private constructor(child: ChildProcess) {
    this.#child = child;
    const note = (chunk: Buffer) => void (this.output += chunk.toString());
    child.stdout?.on('data', note);
    child.stderr?.on('data', note);
  }

  static async start(env: Record<string, string>): Promise<WorkerProcess> {
    const child = spawn(process.execPath, [WORKER], {
      env: { ...process.env, SLIPWAY_KUBERNETES: 'off', SLIPWAY_METRICS_ADDRESS: 'off', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const worker = new WorkerProcess(child);
    await eventually('the worker runs', async () => {
      if (child.exitCode !== null) throw new Error(worker.output);
      return worker.output.includes('worker runs');
    });
    return worker;
  }

  /** Processes that dump or restore for this worker now. */
  get engines(): number[] {
    const list = readFileSync(`/proc/${this.#child.pid}/task/${this.#child.pid}/children`, 'utf8').trim();
    return list === '' ? [] : list.split(' ').map(Number);
  }

  /** Kills what dumps or restores, and leaves the worker alone. */
  killEngines(): void {
    for (const pid of this.engines) process.kill(pid, 'SIGKILL');
  }

  kill(): Promise<void> {
    return killed(this.#child);
  }
}
