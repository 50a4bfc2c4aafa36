/** What every part of the client works with: the raw client, its settings, and calls that end in time. */
import type { Client } from '@temporalio/client';
import { type ConnectSettings, plainError } from './connection.ts';

/** Longest wait for what the server answers by itself, in milliseconds. */
export const SERVER_MS = 10_000;
/**
 * Longest wait for what a worker has to answer: a query. Right after a worker was killed, the first 3 s go by until Temporal
 * asks another one.
 */
export const QUERY_MS = 6_000;
/** Longest wait for what a worker has to answer: an update. */
export const UPDATE_MS = 10_000;

export interface Api {
  client: Client;
  settings: Pick<ConnectSettings, 'address' | 'origin' | 'namespace'>;
  /** Runs `call` with a deadline; errors of the transport come out in plain words. */
  call<T>(timeoutMs: number, call: () => Promise<T>): Promise<T>;
  /** Like `call`, but the error is the SDK's own, for callers that tell its kinds apart. */
  raw<T>(timeoutMs: number, call: () => Promise<T>): Promise<T>;
}

/** Binds a raw client to its settings. */
export function apiOf(client: Client, settings: Api['settings']): Api {
  const raw = <T>(timeoutMs: number, call: () => Promise<T>): Promise<T> =>
    client.connection.withDeadline(Date.now() + timeoutMs, call);
  return {
    client,
    settings,
    raw,
    async call(timeoutMs, call) {
      try {
        return await raw(timeoutMs, call);
      } catch (error) {
        throw plainError(error, settings);
      }
    },
  };
}
