// Bounded waiting and cheap probes.
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export { sleep };

/**
 * Calls `probe` until it answers something truthy, pausing between calls.
 * Answers undefined when `timeoutMs` has passed; a probe that throws counts as "not yet".
 */
export async function eventually<T>(
  probe: () => Promise<T | undefined | false> | T | undefined | false,
  { timeoutMs, pauseMs = 100 }: { timeoutMs: number; pauseMs?: number },
): Promise<T | undefined> {
  const end = Date.now() + timeoutMs;
  for (;;) {
    try {
      const found = await probe();
      if (found) return found;
    } catch {
      // not yet
    }
    if (Date.now() + pauseMs > end) return undefined;
    await sleep(pauseMs);
  }
}

/** True when something accepts connections at 127.0.0.1:port. */
export function listening(port: number, timeoutMs = 500): Promise<boolean> {
  return new Promise((answer) => {
    const socket = connect({ host: '127.0.0.1', port });
    const done = (open: boolean) => {
      socket.destroy();
      answer(open);
    };
    socket.setTimeout(timeoutMs, () => done(false));
    socket.once('connect', () => done(true));
    socket.once('error', () => done(false));
  });
}

/** True when the plain HTTP address answers 2xx in time. */
export async function healthy(url: string, timeoutMs = 2000): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(timeoutMs) });
    await response.arrayBuffer();
    return response.ok;
  } catch {
    return false;
  }
}
