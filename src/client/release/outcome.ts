/** Following a release to its end, through restarts of workers and of Temporal itself. */
import { setTimeout as delay } from 'node:timers/promises';
import { WorkflowFailedError } from '@temporalio/client';
import { WorkflowNotFoundError } from '@temporalio/common';
import type { ReleaseStatus, UnstartedRelease } from '../../domain/release/types.ts';
import type { Api } from '../api.ts';
import { memoOf } from '../attributes.ts';
import { codeOf, isTransient, plainError } from '../connection.ts';
import { SlipwayError } from '../errors.ts';
import { unstartedRelease, viewUnstarted, waitingReleases } from './line.ts';
import type { ReleaseRef } from './ref.ts';
import { runByKey } from './start.ts';
import { describe, noRelease, queryStatus, type ReleaseView, viewRelease } from './view.ts';

const DEFAULT_INTERVAL_MS = 1_000;
/** How long a release may be neither in line nor started before it counts as gone: the index lags by a second or two. */
const GONE_AFTER_MS = 10_000;

/** What a watcher hears between start and end. */
export type Progress =
  | { kind: 'status'; status: ReleaseStatus }
  /** In line; `ahead` are the releases before it, `null` when no worker says. */
  | { kind: 'queued'; ahead: number | null }
  /** Nobody answers at the moment; told once until somebody does. */
  | { kind: 'silent'; message: string };

export interface WaitOptions {
  /** Called with every status that differs from the one before. Without it nobody is asked, only the end awaited. */
  onProgress?: (progress: Progress) => void;
  /** Milliseconds after which a still running release is returned as it is; unlimited when not given. */
  timeoutMs?: number;
  signal?: AbortSignal;
  /** Milliseconds between two questions while `onProgress` is given. */
  intervalMs?: number;
}

/**
 * Waits until the release ends and returns how it ended (`status.outcome` is set), or how it is when `timeoutMs` is over
 * (`status.outcome` is `null`). Rejects with the signal's reason when aborted; never because a server is away.
 */
export async function waitForOutcome(
  api: Api,
  ref: ReleaseRef,
  options: WaitOptions = {},
): Promise<ReleaseView | null> {
  const stop = new AbortController();
  const timer =
    options.timeoutMs === undefined ? undefined : setTimeout(() => stop.abort(TIMEOUT), options.timeoutMs);
  const signal = options.signal ? AbortSignal.any([stop.signal, options.signal]) : stop.signal;
  const tell = once(options.onProgress);
  try {
    const turn = ref.run ?? (await turnOf(api, ref, tell, signal, options.intervalMs ?? DEFAULT_INTERVAL_MS));
    if (typeof turn !== 'string') return viewUnstarted(ref, turn);
    const run = turn;
    const watching = options.onProgress
      ? watch(api, ref.id, run, tell, signal, options.intervalMs ?? DEFAULT_INTERVAL_MS)
      : undefined;
    try {
      await ended(api, ref.id, run, signal);
    } finally {
      if (!signal.aborted) stop.abort(ENDED);
      await watching;
    }
    return await persist(options.signal, () => viewRelease(api, ref.id, run));
  } catch (error) {
    if (options.signal?.aborted) throw options.signal.reason;
    if (stop.signal.reason === TIMEOUT) return await atTimeout(api, ref);
    throw plainError(error, api.settings);
  } finally {
    clearTimeout(timer);
    stop.abort(ENDED);
  }
}

const TIMEOUT = new SlipwayError('failed', 'time is over');
const ENDED = new SlipwayError('failed', 'the release ended');

/** `null`: still in line. */
async function atTimeout(api: Api, ref: ReleaseRef): Promise<ReleaseView | null> {
  const run = ref.run ?? (ref.key === null ? null : await startedRun(api, ref.id, ref.key));
  return run === null ? null : await viewRelease(api, ref.id, run);
}

/** Waits in line; returns the run once the release has started, or how it left the line without being started. */
async function turnOf(
  api: Api,
  ref: ReleaseRef,
  tell: (progress: Progress) => void,
  signal: AbortSignal,
  intervalMs: number,
): Promise<string | UnstartedRelease> {
  const { id, key } = ref;
  if (key === null)
    throw new SlipwayError('failed', `a release without run or key cannot be followed: ${id}`);
  const [, namespace = '', ...rest] = id.split('.');
  let seen = Date.now();
  while (Date.now() - seen < GONE_AFTER_MS) {
    signal.throwIfAborted();
    try {
      const run = await startedRun(api, id, key);
      if (run !== null) return run;
      const waiting = await waitingReleases(api, namespace, rest.join('.'));
      const ahead = waiting?.findIndex((each) => each.key === key) ?? -1;
      if (waiting === null || ahead >= 0) seen = Date.now();
      else {
        const unstarted = await unstartedRelease(api, namespace, rest.join('.'), key);
        if (unstarted) return unstarted;
      }
      tell({ kind: 'queued', ahead: ahead >= 0 ? ahead : null });
    } catch (error) {
      if (!isTransient(error)) throw error;
      seen = Date.now();
      tell({ kind: 'silent', message: plainError(error, api.settings).message });
    }
    await delay(intervalMs, undefined, { signal });
  }
  throw new SlipwayError(
    'failed',
    `the release with the key "${key}" left the line without being started, and nobody knows why; was its line terminated in Temporal?`,
  );
}

async function startedRun(api: Api, id: string, key: string): Promise<string | null> {
  const latest = await describe(api, id);
  if (latest && memoOf(latest).key === key) return latest.runId;
  return await runByKey(api, id, key);
}

/** Long-polls the close event; an absent server only makes it try again. */
async function ended(api: Api, id: string, run: string, signal: AbortSignal): Promise<void> {
  const { client } = api;
  for (;;) {
    signal.throwIfAborted();
    try {
      await client.connection.withAbortSignal(signal, () =>
        client.workflow.getHandle(id, run, { followRuns: false }).result(),
      );
      return;
    } catch (error) {
      if (error instanceof WorkflowFailedError) return;
      if (error instanceof WorkflowNotFoundError) throw noRelease(id);
      signal.throwIfAborted();
      if (!isTransient(error)) throw error;
      await delay(DEFAULT_INTERVAL_MS, undefined, { signal });
    }
  }
}

async function watch(
  api: Api,
  id: string,
  run: string,
  tell: (progress: Progress) => void,
  signal: AbortSignal,
  intervalMs: number,
): Promise<void> {
  while (!signal.aborted) {
    try {
      const status = await api.client.connection.withAbortSignal(signal, () => queryStatus(api, id, run));
      if (!signal.aborted) tell({ kind: 'status', status });
    } catch (error) {
      if (!signal.aborted) tell({ kind: 'silent', message: silence(api, error) });
    }
    await delay(intervalMs, undefined, { signal }).catch(() => undefined);
  }
}

function silence(api: Api, error: unknown): string {
  // Whatever the server says of a query, to who waits it is an answer that did not come.
  return codeOf(error) !== null || isTransient(error)
    ? 'no answer from the worker or Temporal; still waiting'
    : plainError(error, api.settings).message;
}

/** The end was seen; reading it must not fail because the server restarts at this very moment. */
async function persist<T>(signal: AbortSignal | undefined, read: () => Promise<T>): Promise<T> {
  for (;;) {
    signal?.throwIfAborted();
    try {
      return await read();
    } catch (error) {
      if (!isTransient(error)) throw error;
      await delay(DEFAULT_INTERVAL_MS, undefined, signal ? { signal } : {});
    }
  }
}

/** Tells only what differs from what was told before. */
function once(listener: WaitOptions['onProgress']): (progress: Progress) => void {
  let told = '';
  return (progress) => {
    const text = progress.kind === 'silent' ? 'silent' : JSON.stringify(progress);
    if (text === told) return;
    told = text;
    listener?.(progress);
  };
}
