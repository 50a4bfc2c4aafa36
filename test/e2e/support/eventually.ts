import { setTimeout as delay } from 'node:timers/promises';

/** Asks until there is an answer; what was thrown last is the cause when there never is. */
export async function eventually<T>(
  what: string,
  read: () => Promise<T | undefined | false>,
  withinMs = 120_000,
): Promise<T> {
  const until = Date.now() + withinMs;
  let last: unknown;
  while (Date.now() < until) {
    try {
      const value = await read();
      if (value !== undefined && value !== false) return value;
    } catch (error) {
      last = error;
    }
    await delay(100);
  }
  throw new Error(`never: ${what}`, { cause: last });
}
