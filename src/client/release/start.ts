/** Starting a release: one at a time for a workload, found again by its key, and what happens when another is running. */
import { randomUUID } from 'node:crypto';
import { WithStartWorkflowOperation, type WorkflowExecutionInfo } from '@temporalio/client';
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import { releaseImage } from '../../domain/image.ts';
import { announcement } from '../../domain/release/announcement.ts';
import { releaseId, releaseQueueId, TASK_QUEUE, WORKFLOW } from '../../domain/names.ts';
import type { EnqueueCommand, QueueStatus, ReleaseInput } from '../../domain/release/types.ts';
import { type Api, SERVER_MS, UPDATE_MS } from '../api.ts';
import { attributePairs, memoOf, quoted } from '../attributes.ts';
import { codeOf, grpcDetails, plainError } from '../connection.ts';
import { AnotherReleaseRunning, SlipwayError } from '../errors.ts';
import { lineRuns, unstartedRelease, waitingReleases } from './line.ts';
import { describe, phaseOf } from './view.ts';
import { updateError } from './update-error.ts';
import type { ReleaseRef } from './ref.ts';

const GRPC_INVALID_ARGUMENT = 3;
/** Search attributes hold 255 characters; a longer key would not be found again. */
const KEY_LIMIT = 200;

export type OnConflict = 'fail' | 'queue' | 'supersede';

/** A release to start, and what to do when another is under way. */
export interface StartRequest {
  input: ReleaseInput;
  /** When another release of the workload runs: refuse, stand in line, or haul that one back first. */
  onConflict: OnConflict;
  /** Identity of this very request; repeating it does not stand in line twice. Random when not given. */
  requestId?: string;
}

/** How to find the release again, and whether it is new. */
export interface Started extends ReleaseRef {
  /** A release with the same key was there already; nothing was started. */
  attached: boolean;
  /** It waits for another release to end. */
  queued: boolean;
}

/**
 * Starts a release, or finds the one that was started with the same key. Throws {@link AnotherReleaseRunning}
 * with `onConflict: 'fail'`, and {@link SlipwayError} `not-set-up` when search attributes are missing.
 */
export async function startRelease(api: Api, request: StartRequest): Promise<Started> {
  const { input, onConflict } = request;
  const { namespace, name } = input.release.metadata;
  if (input.key !== null && (input.key.length === 0 || input.key.length > KEY_LIMIT)) {
    throw new SlipwayError(
      'failed',
      `--id: must have 1 to ${KEY_LIMIT} characters, found ${input.key.length}`,
    );
  }
  if (input.dryRun) return await launch(api, `release-dry-run.${namespace}.${name}.${randomUUID()}`, input);
  if (input.key !== null) {
    const found = await findByKey(api, namespace, name, input.key);
    if (found) return sameRelease(input, found);
  }
  const id = releaseId(namespace, name);
  // Whoever already stands in line goes first, even in the moment between two releases.
  if (onConflict !== 'fail' && (await lineRuns(api, namespace, name))) return await enqueue(api, request);
  try {
    return await launch(api, id, input);
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
  }
  return await meetRunning(api, id, request);
}

async function meetRunning(api: Api, id: string, request: StartRequest): Promise<Started> {
  const { input, onConflict } = request;
  const { namespace, name } = input.release.metadata;
  const running = await describe(api, id);
  const memo = running ? memoOf(running) : null;
  if (running && memo && input.key !== null && memo.key === input.key) {
    const { key } = input;
    return sameRelease(input, { id, run: running.runId, key, queued: false, image: memo.image });
  }
  if (onConflict !== 'fail') return await enqueue(api, request);
  throw new AnotherReleaseRunning(
    {
      id,
      run: running?.runId ?? '',
      image: memo?.image ?? 'unknown',
      starter: memo?.starter ?? 'unknown',
      phase: running ? phaseOf(running) : null,
    },
    `${namespace}/${name}`,
  );
}

async function launch(api: Api, id: string, input: ReleaseInput): Promise<Started> {
  const { summary, details, memo, searchAttributes } = announcement(input);
  try {
    const handle = await api.raw(SERVER_MS, () =>
      api.client.workflow.start(WORKFLOW.release, {
        workflowId: id,
        taskQueue: TASK_QUEUE,
        args: [input],
        workflowIdConflictPolicy: 'FAIL',
        workflowIdReusePolicy: 'ALLOW_DUPLICATE',
        staticSummary: summary,
        staticDetails: details,
        memo,
        typedSearchAttributes: attributePairs(searchAttributes),
      }),
    );
    return { id, run: handle.firstExecutionRunId, key: input.key, attached: false, queued: false };
  } catch (error) {
    if (error instanceof WorkflowExecutionAlreadyStartedError) throw error;
    throw startError(api, error);
  }
}

/** A release that was started with the same key, and what it launches. */
type Found = Omit<Started, 'attached'> & { image: string };

/**
 * The release that a repeated job means. A key that belongs to another image is a mistake in the pipeline: the job must
 * not be told that "its" release was promoted when another one was.
 */
function sameRelease(input: ReleaseInput, { image, ...found }: Found): Started {
  const asked = releaseImage(input.release);
  if (asked !== image) {
    throw new SlipwayError(
      'key-taken',
      `--id: "${found.key}" belongs to the release to ${image}, and this one is to ${asked}; give each release an id of its own`,
    );
  }
  return { ...found, attached: true };
}

/** Running, in line, gone from the line, or finished: the same key never starts twice. */
async function findByKey(api: Api, namespace: string, name: string, key: string): Promise<Found | null> {
  const id = releaseId(namespace, name);
  // The latest run is read from the store of record; the index below may lag by a second.
  const latest = await describe(api, id);
  if (latest && memoOf(latest).key === key) {
    return { id, run: latest.runId, key, queued: false, image: memoOf(latest).image };
  }
  const waiting = await waitingReleases(api, namespace, name);
  const inLine = waiting?.find((each) => each.key === key);
  if (inLine) return { id, run: null, key, queued: true, image: inLine.image };
  const past = await infoByKey(api, id, key);
  if (past) return { id, run: past.runId, key, queued: false, image: memoOf(past).image };
  const unstarted = await unstartedRelease(api, namespace, name, key);
  return unstarted && { id, run: null, key, queued: true, image: unstarted.image };
}

/** Run of a release by its key, from the index. */
export async function runByKey(api: Api, id: string, key: string): Promise<string | null> {
  return (await infoByKey(api, id, key))?.runId ?? null;
}

async function infoByKey(api: Api, id: string, key: string): Promise<WorkflowExecutionInfo | null> {
  const query = `WorkflowId = ${quoted(id)} AND SlipwayKey = ${quoted(key)}`;
  return await api.call(SERVER_MS, async () => {
    try {
      for await (const info of api.client.workflow.list({ query, pageSize: 1 })) return info;
      return null;
    } catch (error) {
      throw startError(api, error);
    }
  });
}

async function enqueue(api: Api, request: StartRequest): Promise<Started> {
  const { namespace, name } = request.input.release.metadata;
  // The key is how the release is found once the queue has started it.
  const key = request.input.key ?? `queued-${request.requestId ?? randomUUID()}`;
  const command: EnqueueCommand = {
    input: { ...request.input, key },
    policy: request.onConflict === 'supersede' ? 'supersede' : 'queue',
  };
  const start = new WithStartWorkflowOperation(WORKFLOW.queue, {
    workflowId: releaseQueueId(namespace, name),
    taskQueue: TASK_QUEUE,
    args: [],
    workflowIdConflictPolicy: 'USE_EXISTING',
    staticSummary: `Releases of ${namespace}/${name} that wait for their turn`,
  });
  try {
    await api.raw(UPDATE_MS, () =>
      api.client.workflow.executeUpdateWithStart<() => Promise<void>, QueueStatus, [EnqueueCommand]>(
        'enqueue',
        { startWorkflowOperation: start, args: [command], updateId: `enqueue-${key}` },
      ),
    );
  } catch (error) {
    throw await updateError(api, releaseQueueId(namespace, name), 'enqueue', error);
  }
  return { id: releaseId(namespace, name), run: null, key, attached: false, queued: true };
}

function startError(api: Api, error: unknown): Error {
  if (codeOf(error) === GRPC_INVALID_ARGUMENT && /search attribute|Slipway[A-Z]/i.test(grpcDetails(error))) {
    return new SlipwayError(
      'not-set-up',
      `Temporal's namespace "${api.settings.namespace}" lacks Slipway's search attributes; run \`slipway setup\` ` +
        `(the worker also does at start). Temporal says: ${grpcDetails(error)}`,
      { cause: error },
    );
  }
  return plainError(error, api.settings);
}
