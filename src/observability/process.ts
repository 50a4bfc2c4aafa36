/** Life and death of a long-running process. */
import { SlipwayError } from '../client/errors.ts';

const STOP_SIGNALS = ['SIGTERM', 'SIGINT'] as const;

interface StopRequest {
  /** Resolves with what asks the process to stop: the name of a signal, or `request`. */
  asked: Promise<string>;
  /** Stops listening, so that signals end the process as usual. */
  dispose(): void;
}

/** Listens for SIGTERM and SIGINT, and for `signal` being aborted. A second signal ends the process at once, as usual. */
export function stopRequest(signal?: AbortSignal): StopRequest {
  const { promise, resolve } = Promise.withResolvers<string>();
  const listeners = STOP_SIGNALS.map((name) => [name, () => stop(name)] as const);
  const aborted = () => stop('request');
  const dispose = (): void => {
    for (const [name, listener] of listeners) process.removeListener(name, listener);
    signal?.removeEventListener('abort', aborted);
  };
  const stop = (what: string): void => {
    dispose();
    resolve(what);
  };
  for (const [name, listener] of listeners) process.once(name, listener);
  signal?.addEventListener('abort', aborted, { once: true });
  if (signal?.aborted) aborted();
  return { asked: promise, dispose };
}

/** Runs a process's main function: exit code 2 and one line for bad settings, 1 for what could not be done. */
export async function runMain(main: () => Promise<void>): Promise<void> {
  try {
    await main();
  } catch (error) {
    if (!(error instanceof SlipwayError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exitCode = error.code === 'bad-setting' ? 2 : 1;
  }
}
