/**
 * What tests start ends with their run, also with a run that is killed: a process beside it holds the end of a pipe, and
 * when the pipe breaks it kills whatever carries the run's mark in its environment. Vitest sees to its own workers.
 * Linux only, as are the servers.
 */
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

/** A test that gives a process an environment of its own passes this variable on. */
const MARK = 'SLIPWAY_TEST_RUN';
/** What belongs to a lab outlives the run on purpose; see lab/processes.ts. */
const OF_A_LAB = 'SLIPWAY_LAB_DAEMON=';
/** Processes that are killed may have started others in the meantime. */
const ROUNDS = 10;

/** Called by Vitest once for every project; one watcher serves them all. */
export default function setup(): void {
  if (process.platform !== 'linux' || process.env[MARK] !== undefined) return;
  const run = `${process.pid}.${Date.now()}`;
  process.env[MARK] = run;
  const file = fileURLToPath(import.meta.url);
  const watcher = spawn(process.execPath, [file, run], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
    env: {},
  });
  watcher.unref();
}

function marked(run: string): number[] {
  return readdirSync('/proc').flatMap((entry) => {
    try {
      const environment = readFileSync(`/proc/${Number(entry)}/environ`, 'latin1').split('\0');
      const ours = environment.includes(`${MARK}=${run}`);
      return ours && !environment.some((each) => each.startsWith(OF_A_LAB)) ? [Number(entry)] : [];
    } catch {
      return []; // no process, gone, or not ours to read
    }
  });
}

async function end(run: string): Promise<void> {
  for (let round = 0; round < ROUNDS; round++) {
    const left = marked(run);
    if (left.length === 0) return;
    for (const pid of left) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // it has ended
      }
    }
    await delay(100);
  }
}

if (import.meta.main) {
  const [, , run = ''] = process.argv;
  process.stdin.resume().once('end', () => void end(run));
}
