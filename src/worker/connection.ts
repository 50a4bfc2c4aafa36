/** The worker's connection to Temporal: waits for a server that is not there yet. */
import { setTimeout as delay } from 'node:timers/promises';
import { NativeConnection } from '@temporalio/worker';
import { type ConnectSettings, messageOf } from '../client/connection.ts';
import type { Logger } from '../observability/logging.ts';

const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 5_000;

/** Tries until it is connected; rejects with the signal's reason when that is aborted. */
export async function connectWorker(
  settings: ConnectSettings,
  logger: Logger,
  signal: AbortSignal,
): Promise<NativeConnection> {
  for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
    signal.throwIfAborted();
    try {
      return await NativeConnection.connect(settings.connection);
    } catch (error) {
      logger.warn(
        { address: settings.address, origin: settings.origin, reason: reasonOf(error), retryInMs: pause },
        'Temporal cannot be reached yet',
      );
      await delay(pause, undefined, { signal });
    }
  }
}

/** Core prints the whole chain of its errors; the operating system's sentence is at the end of it. */
function reasonOf(error: unknown): string {
  const text = messageOf(error);
  return [...text.matchAll(/message: "([^"]+)"/g)].at(-1)?.[1] ?? text;
}
