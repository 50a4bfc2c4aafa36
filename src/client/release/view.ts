/** How a release looks from outside: its own word when a worker answers, else its result, else what the index knows. */
import type { WorkflowExecutionDescription } from '@temporalio/client';
import { WorkflowFailedError } from '@temporalio/client';
import { TerminatedFailure, WorkflowNotFoundError } from '@temporalio/common';
import type { Outcome, Phase, ReleaseStatus } from '../../domain/release/types.ts';
import { type Api, QUERY_MS, SERVER_MS } from '../api.ts';
import { attribute, type Info, memoOf } from '../attributes.ts';
import { grpcDetails, isTransient } from '../connection.ts';
import { NoRelease } from '../errors.ts';
import { statusWithoutRun } from './status-without-run.ts';

/** How the workflow itself ended, as Temporal has it. */
export type Execution = 'running' | 'completed' | 'cancelled' | 'terminated' | 'failed' | 'timed-out';

export interface ReleaseView {
  status: ReleaseStatus;
  /** Where `status` is from: a worker's answer, the result of the finished workflow, or the index (then it is incomplete). */
  source: 'worker' | 'result' | 'index';
  execution: Execution;
  /** What the reader should know about this view, e.g. that no worker answered. */
  note: string | null;
}

const OUTCOMES: readonly string[] = [
  'promoted',
  'rolled-back',
  'rejected',
  'aborted',
  'superseded',
  'failed',
] satisfies Outcome[];

/** The latest release of a workload, running or not. Throws {@link NoRelease}. */
export async function viewRelease(api: Api, id: string, run?: string): Promise<ReleaseView> {
  const handle = api.client.workflow.getHandle(id, run);
  let info: WorkflowExecutionDescription;
  try {
    info = await api.raw(SERVER_MS, () => handle.describe());
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) throw noRelease(id);
    return await api.call(SERVER_MS, () => Promise.reject(error));
  }
  return info.status.name === 'RUNNING' ? await viewRunning(api, info) : await viewClosed(api, info);
}

async function viewRunning(api: Api, info: Info): Promise<ReleaseView> {
  try {
    const status = await queryStatus(api, info.workflowId, info.runId);
    return { status, source: 'worker', execution: 'running', note: null };
  } catch (error) {
    const why = isTransient(error) ? '' : ` (${grpcDetails(error)})`;
    const note = `no worker answered${why}; this is what Temporal's index knows. Is \`slipway worker\` running?`;
    return { status: statusFromIndex(info), source: 'index', execution: 'running', note };
  }
}

/** The latest run of an id, running or not. */
export async function describe(
  api: Api,
  id: string,
  run?: string,
): Promise<WorkflowExecutionDescription | null> {
  return await api.call(SERVER_MS, async () => {
    try {
      return await api.client.workflow.getHandle(id, run).describe();
    } catch (error) {
      if (error instanceof WorkflowNotFoundError) return null;
      throw error;
    }
  });
}

/** A finished release: its result needs no worker; an unnatural end is told with what is known. */
export async function viewClosed(api: Api, info: Info): Promise<ReleaseView> {
  const execution = executionOf(info);
  const handle = api.client.workflow.getHandle(info.workflowId, info.runId, { followRuns: false });
  try {
    const status = (await api.raw(SERVER_MS, () => handle.result())) as ReleaseStatus;
    return { status, source: 'result', execution, note: null };
  } catch (error) {
    if (!(error instanceof WorkflowFailedError))
      return await api.call(SERVER_MS, () => Promise.reject(error));
    return await viewUnnaturalEnd(api, info, execution, error);
  }
}

async function viewUnnaturalEnd(
  api: Api,
  info: Info,
  execution: Execution,
  error: WorkflowFailedError,
): Promise<ReleaseView> {
  const told = statusIn(error);
  if (told) return { status: told, source: 'result', execution, note: null };
  const note = endNote(info, execution, error);
  // A terminated run was stopped mid-air: its own last word would still say "progressing".
  const live =
    execution === 'terminated' ? null : await queryStatus(api, info.workflowId, info.runId).catch(() => null);
  const status = live ?? statusFromIndex(info);
  const outcome = status.outcome ?? (execution === 'cancelled' ? 'aborted' : 'failed');
  return {
    status: {
      ...status,
      phase: outcome,
      outcome,
      reason: status.reason ?? note,
      finishedAt: status.finishedAt ?? info.closeTime?.toISOString() ?? null,
    },
    source: live ? 'worker' : 'index',
    execution,
    note,
  };
}

/** Asks a worker. Throws the errors of the SDK, also when no worker answers in time. */
export async function queryStatus(api: Api, id: string, run?: string): Promise<ReleaseStatus> {
  return await api.raw(QUERY_MS, () => api.client.workflow.getHandle(id, run).query<ReleaseStatus>('status'));
}

export function executionOf(info: Pick<Info, 'status'>): Execution {
  switch (info.status.name) {
    case 'COMPLETED':
    case 'CONTINUED_AS_NEW':
      return 'completed';
    case 'CANCELLED':
      return 'cancelled';
    case 'TERMINATED':
      return 'terminated';
    case 'FAILED':
      return 'failed';
    case 'TIMED_OUT':
      return 'timed-out';
    default:
      return 'running';
  }
}

/** Phase as the index has it; lags behind by as long as the visibility store takes. */
export function phaseOf(info: Pick<Info, 'typedSearchAttributes'>): Phase | null {
  return attribute(info, 'SlipwayPhase') as Phase | null;
}

/**
 * The outcome by the index: `null` while it runs; a workflow that ended without saying one counts as aborted or
 * failed.
 */
export function outcomeOf(info: Info): Outcome | null {
  const execution = executionOf(info);
  if (execution === 'running') return null;
  const phase = phaseOf(info);
  if (phase !== null && OUTCOMES.includes(phase)) return phase as Outcome;
  return execution === 'cancelled' ? 'aborted' : 'failed';
}

function statusFromIndex(info: Info): ReleaseStatus {
  const memo = memoOf(info);
  const outcome = outcomeOf(info);
  return statusWithoutRun({
    id: info.workflowId,
    run: info.runId,
    namespace: attribute(info, 'SlipwayNamespace') ?? '',
    workload: attribute(info, 'SlipwayWorkload') ?? '',
    image: memo.image,
    reason: null,
    releaseReason: memo.reason,
    starter: memo.starter,
    key: memo.key,
    phase: outcome ?? phaseOf(info) ?? 'preflight',
    outcome,
    startedAt: info.startTime.toISOString(),
    finishedAt: info.closeTime?.toISOString() ?? null,
  });
}

/** There never was one, or Temporal has forgotten it. */
export function noRelease(id: string): NoRelease {
  const { namespace, workload } = workloadOf(id);
  return new NoRelease(namespace, workload, `there is no release of ${namespace}/${workload}`);
}

/** There may have been releases, but a command needs one that runs. */
export function noneInProgress(id: string): NoRelease {
  const { namespace, workload } = workloadOf(id);
  return new NoRelease(namespace, workload, `no release of ${namespace}/${workload} is in progress`);
}

/** `release.<namespace>.<name>`: namespaces have no dots, workload names may. */
function workloadOf(id: string): { namespace: string; workload: string } {
  const [, namespace = '', ...name] = id.split('.');
  return { namespace, workload: name.join('.') };
}

/** A release that fails on purpose (preflight refused, a person is needed) carries its status in the failure. */
function statusIn(error: WorkflowFailedError): ReleaseStatus | null {
  const { details } = (error.cause ?? {}) as { details?: unknown };
  const first: unknown = Array.isArray(details) ? details[0] : null;
  const isStatus = typeof first === 'object' && first !== null && 'phase' in first && 'outcome' in first;
  return isStatus ? (first as ReleaseStatus) : null;
}

function endNote(info: Info, execution: Execution, error: WorkflowFailedError): string {
  const workload = `${attribute(info, 'SlipwayNamespace') ?? ''}/${attribute(info, 'SlipwayWorkload') ?? ''}`;
  const restore = `\`slipway restore deployment ${workload}\` puts the workload back if anything of the release is left on it`;
  switch (execution) {
    case 'terminated':
      return `the workflow was terminated in Temporal (${reasonOf(error)}), so nothing was restored; ${restore}`;
    case 'timed-out':
      return `the workflow ran into its time limit in Temporal, so nothing was restored; ${restore}`;
    case 'cancelled':
      return 'the workflow was cancelled in Temporal, and the stable version was restored';
    default:
      return `the workflow failed: ${reasonOf(error)}; ${restore}`;
  }
}

function reasonOf(error: WorkflowFailedError): string {
  const { cause } = error;
  if (cause instanceof TerminatedFailure) return cause.message === '' ? 'no reason given' : cause.message;
  return cause?.message ?? error.message;
}
