/**
 * One backup or restore at a time for a server. The lock is a child workflow whose id names the server: Temporal starts
 * no second one with that id, and terminates it when its parent closes, however that comes about. So a crash of any
 * process keeps the lock with its holder, and a holder that is terminated leaves no lock behind.
 */
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import {
  CancellationScope,
  type ChildWorkflowHandle,
  condition,
  ParentClosePolicy,
  setHandler,
  sleep,
  startChild,
  workflowInfo,
} from '@temporalio/workflow';
import { BACKUP_WORKFLOW, sourceLockId } from '../../domain/backup/names.ts';
import { releaseLock } from './messages.ts';

const FIRST_WAIT = 1_000;
const LONGEST_WAIT = 60_000;

/** Holds the lock until told to let go. */
export async function sourceLock(_input: { holder: string }): Promise<void> {
  let released = false;
  setHandler(releaseLock, () => void (released = true), { description: 'Let go; sent by the holder' });
  await condition(() => released);
}

/** The lock could not be had in time. */
class SourceBusy extends Error {
  override name = 'SourceBusy';
}

/** How long to wait for the lock, in milliseconds, and what to do when waiting begins. */
export interface LockOptions {
  /** Longest wait, in milliseconds. */
  patience: number;
  /** Called once, when the lock is not free at once. */
  onWait: () => void;
}

/** Does `work` while holding the lock of the source. Throws {@link SourceBusy}, and whatever `work` throws. */
export async function holdingSource<T>(
  key: string,
  options: LockOptions,
  work: () => Promise<T>,
): Promise<T> {
  const lock = await acquire(key, options);
  try {
    return await work();
  } finally {
    await CancellationScope.nonCancellable(async () => {
      // Terminated by hand, say: then it is free already.
      await lock.signal(releaseLock).catch(() => undefined);
      await lock.result().catch(() => undefined);
    });
  }
}

async function acquire(
  key: string,
  { patience, onWait }: LockOptions,
): Promise<ChildWorkflowHandle<typeof sourceLock>> {
  const { workflowId } = workflowInfo();
  const until = Date.now() + patience;
  for (let wait = FIRST_WAIT; ; wait = Math.min(wait * 2, LONGEST_WAIT)) {
    try {
      return await CancellationScope.nonCancellable(() =>
        startChild<typeof sourceLock>(BACKUP_WORKFLOW.lock, {
          workflowId: sourceLockId(key),
          parentClosePolicy: ParentClosePolicy.TERMINATE,
          args: [{ holder: workflowId }],
          staticSummary: `held by ${workflowId}`,
        }),
      );
    } catch (error) {
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
    }
    if (wait === FIRST_WAIT) onWait();
    if (Date.now() >= until) {
      throw new SourceBusy('another backup or restore of this source has been running all the time');
    }
    await sleep(wait, { summary: 'until the source is free' });
  }
}
