/** The activities as workflows see them, grouped by kind of work: each kind has its own bounds. */
import { ActivityCancellationType, proxyActivities } from '@temporalio/workflow';
import type { QueueActivities } from '../../activities/release/queue.types.ts';
import type { ReleaseActivities } from '../../activities/release/types.ts';
import { WATCH_TASK_QUEUE } from '../../domain/names.ts';

/** Longest that an API server may be away before a release gives up going forward. */
const PATIENCE_FORWARD = '5m';
/** A rollback tries for much longer: there is nothing better to do. */
const PATIENCE_BACK = '1h';

/**
 * A write that is on its way must land or fail before anything is undone: it could arrive after the undo. Said here since
 * the SDK, whatever its documentation says of the default, does not wait unless told to.
 */
const LAND_FIRST = ActivityCancellationType.WAIT_CANCELLATION_COMPLETED;

const eager = { initialInterval: '100ms', backoffCoefficient: 2, maximumInterval: '5s' } as const;

/** Reads and writes of the API server on the way forward. */
export const ahead = proxyActivities<ReleaseActivities>({
  startToCloseTimeout: '20s',
  scheduleToCloseTimeout: PATIENCE_FORWARD,
  heartbeatTimeout: '5s',
  cancellationType: LAND_FIRST,
  retry: eager,
});

/** The way back: first in line on the worker, patient, and there as soon as the API server is. */
export const back = proxyActivities<ReleaseActivities>({
  startToCloseTimeout: '20s',
  scheduleToCloseTimeout: PATIENCE_BACK,
  heartbeatTimeout: '5s',
  cancellationType: LAND_FIRST,
  retry: { ...eager, maximumInterval: '1s' },
  priority: { priorityKey: 1 },
});

/**
 * Watching: on a task queue of its own, so that a thousand waiting releases take no slot from one rollback. Nobody waits
 * for a cancelled watch, since it changes nothing.
 */
export const lookout = proxyActivities<ReleaseActivities>({
  taskQueue: WATCH_TASK_QUEUE,
  startToCloseTimeout: '1h',
  heartbeatTimeout: '10s',
  cancellationType: ActivityCancellationType.TRY_CANCEL,
  retry: eager,
});

/** What the line of releases waits with: a day at a time, and nothing is changed by it. */
export const queueing = proxyActivities<QueueActivities>({
  taskQueue: WATCH_TASK_QUEUE,
  startToCloseTimeout: '24h',
  heartbeatTimeout: '10s',
  cancellationType: ActivityCancellationType.TRY_CANCEL,
  retry: eager,
});
