/**
 * Runs dumps and restores in a process of their own: their memory is bounded by how that process is started, they take no
 * turn of the worker's event loop from releases, and when one is killed the worker lives on.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { ApplicationFailure } from '@temporalio/common';
import { KubeError } from '../../kubernetes/errors.ts';
import type { SettingsSource } from '../../backups/settings.ts';
import type { Report } from './context.ts';
import type { EngineJob, FromEngine, ToEngine } from './engine.types.ts';
import { withoutCredentials } from './failure.ts';

/**
 * Buffers of a megabyte come and go by the thousand. Those of a batch stay in a heap that keeps some megabytes, because memory
 * that is new from the system costs more than what is done with it; larger ones go back at once instead of leaving holes, one
 * arena has fewer holes than eight, and the engine collects garbage by what its buffers hold. V8's heap is small: helper
 * threads and marking in small steps, begun anew with every few buffers, cost more than they save.
 */
const FLAGS = ['--max-semi-space-size=1', '--single-threaded-gc', '--no-incremental-marking', '--expose-gc'];
/** A dump's inner loops are WebAssembly: what V8's last compiler takes for the rest is a tenth of its CPU, and 20 MB. */
const DUMP_FLAGS = [...FLAGS, '--no-turbofan'];
const MEMORY_ENV = {
  MALLOC_MMAP_THRESHOLD_: String(2 << 20),
  MALLOC_TRIM_THRESHOLD_: String(4 << 20),
  MALLOC_TOP_PAD_: String(1 << 20),
  MALLOC_ARENA_MAX: '1',
};

/** An engine ends itself when it has answered; what has not gone by then is killed. */
const ANSWERED_GRACE_MS = 2_000;
/** A cancelled engine may remove what it has written; after this it is killed, and the next run's sweep does that. */
const CANCEL_GRACE_MS = 60_000;
const KEPT_OUTPUT = 2_000;

export interface EngineSetting extends SettingsSource {
  /** Path of the engine's module. */
  engine: string;
  version: string;
}

export interface EngineRun {
  job: EngineJob;
  input: unknown;
  attempt: number;
  signal: AbortSignal;
  report: Report;
  /** Is given what changes the running engine's throttle. */
  onStart?: (throttle: (mbPerSecond: number | null) => void) => void;
}

/** @throws ApplicationFailure as the engine says, or retryable `EngineEnded` when it died; the signal's reason */
export async function runEngine<T>(run: EngineRun, from: EngineSetting): Promise<T> {
  run.signal.throwIfAborted();
  const child = fork(from.engine, [], {
    execArgv: run.job === 'takeBackup' ? DUMP_FLAGS : FLAGS,
    env: { ...from.env, ...MEMORY_ENV },
    // JSON would be slower and lose what is not JSON.
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  const send = (message: ToEngine) => {
    if (child.connected) child.send(message, () => undefined); // an engine that has gone is noticed by its exit
  };
  let killing: NodeJS.Timeout | undefined;
  const cancel = () => {
    send({ kind: 'cancel' });
    killing = setTimeout(() => child.kill('SIGKILL'), CANCEL_GRACE_MS);
  };
  run.signal.addEventListener('abort', cancel, { once: true });
  try {
    const outcome = outcomeOf(child, run, from, send);
    send({
      kind: 'start',
      job: run.job,
      input: run.input,
      version: from.version,
      attempt: run.attempt,
      cluster: from.kube !== null,
    });
    run.onStart?.((mbPerSecond) => send({ kind: 'throttle', mbPerSecond }));
    return (await outcome) as T;
  } finally {
    run.signal.removeEventListener('abort', cancel);
    clearTimeout(killing);
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
  }
}

/** What the engine answers, once it has ended. */
function outcomeOf(
  child: ChildProcess,
  { report }: EngineRun,
  from: EngineSetting,
  send: (message: ToEngine) => void,
): Promise<unknown> {
  let killing: NodeJS.Timeout | undefined;
  let last: Extract<FromEngine, { kind: 'done' | 'failed' }> | undefined;
  let output = '';
  child.stderr?.on('data', (chunk: Buffer) => (output = (output + chunk.toString()).slice(-KEPT_OUTPUT)));
  child.on('message', (message: FromEngine) => {
    if (message.kind === 'progress') report(message.progress);
    else if (message.kind === 'get' || message.kind === 'access') void answer(message, from, send);
    else {
      last = message;
      killing ??= setTimeout(() => child.kill('SIGKILL'), ANSWERED_GRACE_MS);
    }
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => {
      clearTimeout(killing);
      if (last?.kind === 'done') resolve(last.result);
      else if (last) reject(ApplicationFailure.create(last.failure));
      else {
        const said = output.trim() === '' ? '' : `: ${withoutCredentials(output.trim())}`;
        const how = signal === null ? `with exit code ${code}` : `by ${signal}`;
        reject(ApplicationFailure.retryable(`the engine's process was ended ${how}${said}`, 'EngineEnded'));
      }
    });
  });
}

async function answer(
  message: Extract<FromEngine, { kind: 'get' | 'access' }>,
  { kube, access }: SettingsSource,
  send: (message: ToEngine) => void,
): Promise<void> {
  const { id } = message;
  try {
    if (kube === null || !access) throw new Error('this worker has no cluster');
    if (message.kind === 'access') send({ kind: 'access', id, access: await access() });
    else {
      const { resource, namespace, name } = message;
      send({ kind: 'object', id, object: await kube.get(resource, namespace, name) });
    }
  } catch (error) {
    const { status, reason, retryable } =
      error instanceof KubeError ? error : { status: 0, reason: 'Error', retryable: true };
    send({ kind: 'refused', id, status, reason, retryable, message: (error as Error).message });
  }
}
