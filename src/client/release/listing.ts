/** Releases from Temporal's index: what runs, and what was. The index lags the truth by up to about a second. */
import type { WorkflowExecutionInfo } from '@temporalio/client';
import { releaseId, WORKFLOW } from '../../domain/names.ts';
import type { Outcome, Phase } from '../../domain/release/types.ts';
import { refusedByPreflight } from '../../domain/release/view.ts';
import { type Api, SERVER_MS } from '../api.ts';
import { attribute, memoOf, quoted } from '../attributes.ts';
import { type Execution, executionOf, outcomeOf, phaseOf, viewClosed } from './view.ts';

const LIST_LIMIT = 1_000;
/** Results are read one call each; so many at a time. */
const RESULTS_AT_ONCE = 8;

/** A release as the index has it. Times are ISO 8601. */
export interface ListedRelease {
  id: string;
  run: string;
  namespace: string;
  workload: string;
  image: string;
  starter: string;
  /** Why it is made, as the release says. */
  releaseReason: string;
  key: string | null;
  /** `null` when the worker has not told a phase yet. */
  phase: Phase | null;
  execution: Execution;
  startedAt: string;
  finishedAt: string | null;
}

/** A release with its end, read from its result. */
export interface PastRelease extends ListedRelease {
  outcome: Outcome | null;
  /** Preflight did not let it begin. */
  refused: boolean;
  /** Why it ended as it did; `null` while it runs, or when nobody knows. */
  reason: string | null;
  durationMs: number;
}

/** Which releases; all that is given must fit. */
export interface ListFilter {
  phase?: Phase;
  namespace?: string;
  workload?: string;
  /** Finished releases too; otherwise only what runs. */
  all?: boolean;
  /** At most so many, newest first; 1,000 by default. */
  limit?: number;
}

/** Releases that run (or, with `all`, ran), newest first. */
export async function listReleases(api: Api, filter: ListFilter = {}): Promise<ListedRelease[]> {
  const terms = [`WorkflowType = ${quoted(WORKFLOW.release)}`];
  if (!filter.all) terms.push("ExecutionStatus = 'Running'");
  if (filter.phase !== undefined) terms.push(`SlipwayPhase = ${quoted(filter.phase)}`);
  if (filter.namespace !== undefined) terms.push(`SlipwayNamespace = ${quoted(filter.namespace)}`);
  if (filter.workload !== undefined) terms.push(`SlipwayWorkload = ${quoted(filter.workload)}`);
  const infos = await listInfos(api, terms.join(' AND '), filter.limit ?? LIST_LIMIT);
  // A dry run moves nothing and is over in a second; it is no release for the eye.
  return infos.filter((info) => !isDryRun(info)).map(listed);
}

/** Past releases of a workload and the one that runs, newest first. */
export async function history(api: Api, namespace: string, name: string, limit = 20): Promise<PastRelease[]> {
  const infos = await listInfos(api, `WorkflowId = ${quoted(releaseId(namespace, name))}`, limit);
  const past: PastRelease[] = [];
  for (let from = 0; from < infos.length; from += RESULTS_AT_ONCE) {
    past.push(
      ...(await Promise.all(infos.slice(from, from + RESULTS_AT_ONCE).map((info) => pastRelease(api, info)))),
    );
  }
  return past;
}

async function pastRelease(api: Api, info: WorkflowExecutionInfo): Promise<PastRelease> {
  const base = listed(info);
  const end = info.closeTime ?? new Date();
  const durationMs = end.getTime() - info.startTime.getTime();
  if (base.execution === 'running')
    return { ...base, outcome: null, refused: false, reason: null, durationMs };
  const { status } = await viewClosed(api, info);
  return {
    ...base,
    phase: status.phase,
    outcome: status.outcome ?? outcomeOf(info),
    refused: refusedByPreflight(status),
    reason: status.reason,
    durationMs,
  };
}

async function listInfos(api: Api, query: string, limit: number): Promise<WorkflowExecutionInfo[]> {
  return await api.call(SERVER_MS, async () => {
    const infos: WorkflowExecutionInfo[] = [];
    for await (const info of api.client.workflow.list({ query, pageSize: Math.min(limit, LIST_LIMIT) })) {
      infos.push(info);
      if (infos.length >= limit) break;
    }
    return infos;
  });
}

function listed(info: WorkflowExecutionInfo): ListedRelease {
  const memo = memoOf(info);
  return {
    id: info.workflowId,
    run: info.runId,
    namespace: attribute(info, 'SlipwayNamespace') ?? '',
    workload: attribute(info, 'SlipwayWorkload') ?? '',
    image: memo.image,
    starter: memo.starter,
    releaseReason: memo.reason,
    key: memo.key,
    phase: phaseOf(info),
    execution: executionOf(info),
    startedAt: info.startTime.toISOString(),
    finishedAt: info.closeTime?.toISOString() ?? null,
  };
}

function isDryRun(info: WorkflowExecutionInfo): boolean {
  return info.workflowId.startsWith('release-dry-run.');
}
