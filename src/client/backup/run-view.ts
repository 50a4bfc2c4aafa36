/** Reading one backup, restore or drill: its own status where a worker answers, else its result, and its progress. */
import { setTimeout as delay } from 'node:timers/promises';
import { WorkflowFailedError } from '@temporalio/client';
import { ApplicationFailure, defaultPayloadConverter, WorkflowNotFoundError } from '@temporalio/common';
import type { TransferProgress } from '../../domain/backup/types.ts';
import { type Api, QUERY_MS, SERVER_MS } from '../api.ts';
import { isTransient } from '../connection.ts';
import { SlipwayError } from '../errors.ts';
import { lockHolders } from './runs.ts';

/** A backup, restore or drill as it is seen from outside. */
export interface RunView<Status> {
  id: string;
  run: string;
  /** As Temporal has it: `RUNNING`, `COMPLETED`, `FAILED`, `CANCELLED`, `TERMINATED`, `TIMED_OUT`. */
  execution: string;
  /** `null` when no worker answers, and for a run that left none. */
  status: Status | null;
  progress: TransferProgress | null;
  /** Why an activity is being tried again. */
  retrying: { attempt: number; why: string } | null;
  /** What holds the source that this run waits for. */
  waitsFor: string[];
}

/** How a run is followed; times in milliseconds. `pollMs` is the pause between two looks, 1,000 by default. */
export interface RunFollow<Status> {
  onView?: (view: RunView<Status>) => void;
  timeoutMs?: number;
  signal?: AbortSignal;
  pollMs?: number;
}

interface PendingActivity {
  attempt?: number | null;
  heartbeatDetails?: { payloads?: unknown[] | null } | null;
  lastFailure?: { message?: string | null } | null;
}

/** Throws {@link SlipwayError} `no-run` when there is none of this id. */
export async function viewRun<Status>(
  api: Api,
  ref: { id: string; run?: string | null },
): Promise<RunView<Status>> {
  const handle = api.client.workflow.getHandle(ref.id, ref.run ?? undefined);
  const described = await api.call(SERVER_MS, async () => {
    try {
      return await handle.describe();
    } catch (error) {
      if (error instanceof WorkflowNotFoundError)
        throw new SlipwayError('no-run', `there is no run ${ref.id}`, { cause: error });
      throw error;
    }
  });
  const execution = described.status.name;
  const [pending] = (described.raw.pendingActivities ?? []) as PendingActivity[];
  const attempt = pending?.attempt ?? 1;
  const why = pending?.lastFailure?.message;
  const status =
    execution === 'RUNNING'
      ? await queried<Status>(api, ref)
      : await resultOf<Status>(api, { id: ref.id, run: described.runId });
  const waits = (status as { phase?: unknown } | null)?.phase === 'waiting';
  return {
    id: ref.id,
    run: described.runId,
    execution,
    status,
    progress: pending ? progressOf(pending) : null,
    retrying: attempt > 1 && why ? { attempt, why } : null,
    // Said for a person's sake; a list that cannot be had is no reason to fail.
    waitsFor: waits ? await lockHolders(api).catch(() => []) : [],
  };
}

async function queried<Status>(api: Api, ref: { id: string; run?: string | null }): Promise<Status | null> {
  try {
    return await api.raw(QUERY_MS, () =>
      api.client.workflow.getHandle(ref.id, ref.run ?? undefined).query<Status>('status'),
    );
  } catch {
    return null;
  }
}

/** Of a run that failed the status travels in the failure's details. */
async function resultOf<Status>(api: Api, ref: { id: string; run: string }): Promise<Status | null> {
  try {
    return (await api.raw(SERVER_MS, () =>
      api.client.workflow.getHandle(ref.id, ref.run).result(),
    )) as Status;
  } catch (error) {
    const cause = error instanceof WorkflowFailedError ? error.cause : undefined;
    const [status] = cause instanceof ApplicationFailure ? (cause.details ?? []) : [];
    return (status as Status | undefined) ?? (await queried<Status>(api, ref));
  }
}

function progressOf({ heartbeatDetails }: PendingActivity): TransferProgress | null {
  const [payload] = heartbeatDetails?.payloads ?? [];
  if (!payload) return null;
  try {
    const progress = defaultPayloadConverter.fromPayload<Partial<TransferProgress> | undefined>(payload);
    return typeof progress?.bytes === 'number' ? (progress as TransferProgress) : null;
  } catch {
    return null;
  }
}

/**
 * Follows a run to its end, and gives how it is when the time is over or the signal aborted. A server that is away
 * ends no wait.
 */
export async function followRun<Status>(
  api: Api,
  ref: { id: string; run: string | null },
  { onView, timeoutMs = Number.POSITIVE_INFINITY, signal, pollMs = 1_000 }: RunFollow<Status>,
): Promise<RunView<Status>> {
  const until = performance.now() + timeoutMs;
  let last: RunView<Status> | undefined;
  for (;;) {
    try {
      last = await viewRun<Status>(api, ref);
      onView?.(last);
      if (last.execution !== 'RUNNING') return last;
    } catch (error) {
      // A server that is away for a while ends no wait.
      if (!isTransient(error)) throw error;
    }
    if (performance.now() >= until || signal?.aborted) {
      if (last) return last;
      throw new SlipwayError('no-answer', `Temporal did not answer about ${ref.id} in time`);
    }
    await delay(
      Math.min(pollMs, Math.max(0, until - performance.now())),
      undefined,
      signal ? { signal } : {},
    ).catch(() => undefined);
  }
}
