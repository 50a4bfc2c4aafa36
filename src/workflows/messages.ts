/** Every message that the `release` workflow understands. Each takes exactly one JSON object, as the Temporal UI sends it. */
import { defineQuery, defineSignal, defineUpdate } from '@temporalio/workflow';
import type {
  AlertNotice,
  ApproveCommand,
  EnqueueCommand,
  PersonCommand,
  QueueStatus,
  RejectCommand,
  ReleaseStatus,
  WithdrawCommand,
} from '../domain/release/types.ts';

export const approve = defineUpdate<ReleaseStatus, [ApproveCommand]>('approve');
export const reject = defineUpdate<ReleaseStatus, [RejectCommand]>('reject');
export const pause = defineUpdate<ReleaseStatus, [PersonCommand]>('pause');
export const resume = defineUpdate<ReleaseStatus, [PersonCommand]>('resume');
export const promote = defineUpdate<ReleaseStatus, [PersonCommand]>('promote');
export const abort = defineUpdate<ReleaseStatus, [PersonCommand]>('abort');
/** Haul back in favour of another release; sent by the release queue. */
export const supersede = defineSignal<[PersonCommand]>('supersede');
/** An alert about the workload; a release that it does not concern ignores it. */
export const alert = defineSignal<[AlertNotice]>('alert');
export const status = defineQuery<ReleaseStatus>('status');

/** Waiting releases of one workload (workflow `releaseQueue`): started with `enqueue` as update-with-start. */
export const enqueue = defineUpdate<QueueStatus, [EnqueueCommand]>('enqueue');
/** Take a waiting release out of the line. */
export const withdraw = defineUpdate<QueueStatus, [WithdrawCommand]>('withdraw');
/** Who stands in line. */
export const queued = defineQuery<QueueStatus>('queued');
