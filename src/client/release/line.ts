/** Who stands in line for a workload, and what became of those who left it without being started. */
import { WorkflowFailedError } from '@temporalio/client';
import { releaseQueueId } from '../../domain/names.ts';
import type { QueueStatus, UnstartedRelease, WithdrawCommand } from '../../domain/release/types.ts';
import { type Api, QUERY_MS, SERVER_MS, UPDATE_MS } from '../api.ts';
import { quoted } from '../attributes.ts';
import type { ReleaseRef } from './ref.ts';
import { statusWithoutRun } from './status-without-run.ts';
import { updateError } from './update-error.ts';
import { describe, type ReleaseView } from './view.ts';

/** Lines that are over and are asked whether they knew a release; the last one nearly always does. */
const PAST_LINES = 10;

/** Who stands in line, next first; `null` when there is no worker to ask. */
export async function waitingReleases(
  api: Api,
  namespace: string,
  name: string,
): Promise<QueueStatus['waiting'] | null> {
  if (!(await lineRuns(api, namespace, name))) return [];
  return (await askLine(api, releaseQueueId(namespace, name)))?.waiting ?? null;
}

/** Whether there is a line at the moment; somebody may stand in it. */
export async function lineRuns(api: Api, namespace: string, name: string): Promise<boolean> {
  const info = await describe(api, releaseQueueId(namespace, name));
  return info?.status.name === 'RUNNING';
}

/** Takes a waiting release out of the line, by its key. Throws `Refused` when it does not stand there, `NoRelease` without a line. */
export async function withdrawRelease(
  api: Api,
  namespace: string,
  name: string,
  command: WithdrawCommand,
): Promise<QueueStatus> {
  const id = releaseQueueId(namespace, name);
  try {
    return await api.raw(UPDATE_MS, () =>
      api.client.workflow
        .getHandle(id)
        .executeUpdate<QueueStatus, [WithdrawCommand]>('withdraw', { args: [command] }),
    );
  } catch (error) {
    throw await updateError(api, id, 'withdraw', error);
  }
}

/** A release that left the line without being started, by its key; `null` when it did not, or nobody can say. */
export async function unstartedRelease(
  api: Api,
  namespace: string,
  name: string,
  key: string,
): Promise<UnstartedRelease | null> {
  const id = releaseQueueId(namespace, name);
  const knows = (line: QueueStatus | null): UnstartedRelease | undefined =>
    line?.unstarted?.findLast((each) => each.key === key);
  const latest = await describe(api, id);
  if (!latest) return null;
  const known = knows(latest.status.name === 'RUNNING' ? await askLine(api, id) : await lineResult(api, id));
  if (known) return known;
  for (const run of await pastLines(api, id)) {
    const found = run === latest.runId ? undefined : knows(await lineResult(api, id, run));
    if (found) return found;
  }
  return null;
}

/** A release that left the line without being started, as others are shown: over, with nothing changed. */
export function viewUnstarted({ id, key }: ReleaseRef, unstarted: UnstartedRelease): ReleaseView {
  const [, namespace = '', ...rest] = id.split('.');
  const { outcome, by, why, at, image, starter, releaseReason } = unstarted;
  const end = outcome === 'superseded' ? `superseded by ${by}` : `${by} aborted it`;
  const status = statusWithoutRun({
    id,
    run: '',
    namespace,
    workload: rest.join('.'),
    image,
    reason: `${end} while it stood in line: ${why}; nothing had been changed`,
    releaseReason,
    starter,
    key,
    phase: outcome,
    outcome,
    startedAt: at,
    finishedAt: at,
  });
  return { source: 'result', execution: 'completed', note: null, status };
}

async function askLine(api: Api, id: string): Promise<QueueStatus | null> {
  try {
    return await api.raw(QUERY_MS, () => api.client.workflow.getHandle(id).query<QueueStatus>('queued'));
  } catch {
    return null;
  }
}

async function lineResult(api: Api, id: string, run?: string): Promise<QueueStatus | null> {
  return await api.call(SERVER_MS, async () => {
    try {
      const handle = api.client.workflow.getHandle(id, run, { followRuns: false });
      return (await handle.result()) as QueueStatus | null;
    } catch (error) {
      if (error instanceof WorkflowFailedError) return null;
      throw error;
    }
  });
}

/** Run ids of lines that are over, latest first. */
async function pastLines(api: Api, id: string): Promise<string[]> {
  const query = `WorkflowId = ${quoted(id)} AND ExecutionStatus = 'Completed'`;
  return await api.call(SERVER_MS, async () => {
    const runs: string[] = [];
    for await (const { runId } of api.client.workflow.list({ query, pageSize: PAST_LINES })) {
      runs.push(runId);
      if (runs.length >= PAST_LINES) break;
    }
    return runs;
  });
}
