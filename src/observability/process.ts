/** Life and death of a long-running process. */
import { SlipwayError } from '../client/errors.ts';

const STOP_SIGNALS = ['SIGTERM', 'SIGINT'] as const;

/** Resolves with what asks the process to stop: a signal, or `signal` being aborted. A second signal kills at once, as usual. */
export async function stopRequest(signal?: AbortSignal): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const listeners = STOP_SIGNALS.map((name) => {
    const listener = () => resolve(name);
    process.once(name, listener);
    return () => process.removeListener(name, listener);
  });
  const aborted = () => resolve('request');
  if (signal?.aborted) aborted();
  signal?.addEventListener('abort', aborted, { once: true });
  try {
    return await promise;
  } finally {
    // With our listeners gone the default action is back: an impatient second Ctrl-C ends the process.
    for (const remove of listeners) remove();
    signal?.removeEventListener('abort', aborted);
  }
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
