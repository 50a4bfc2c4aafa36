/** Releases that wait for another release of the same workload: started one after the other, as soon as the way is free. */
import {
  allHandlersFinished,
  CancellationScope,
  condition,
  getExternalWorkflowHandle,
  ParentClosePolicy,
  setCurrentDetails,
  setHandler,
  startChild,
} from '@temporalio/workflow';
import {
  defineSearchAttributeKey,
  SearchAttributeType,
  TypedSearchAttributes,
  WorkflowExecutionAlreadyStartedError,
} from '@temporalio/common';
import { announcement } from '../../domain/release/announcement.ts';
import { releaseImage } from '../../domain/image.ts';
import { isReleaseInput, NO_RELEASE } from '../../domain/release/input.ts';
import { describeWithdraw, withdrawRefusal } from '../../domain/release/withdraw.ts';
import { releaseId, WORKFLOW } from '../../domain/names.ts';
import type {
  EnqueueCommand,
  QueueStatus,
  ReleaseInput,
  UnstartedRelease,
  WithdrawCommand,
} from '../../domain/release/types.ts';
import { queueing } from './activities.ts';
import { enqueue, queued, supersede, withdraw } from '../messages.ts';
import { refused } from '../refusal.ts';

/** More waiting releases than this is a mistake in a pipeline. */
const LONGEST_QUEUE = 50;

/** Releases whose end without a start is remembered. */
const KEPT_UNSTARTED = 50;

/** Ends when nobody waits any more, and says who left without being started. */
export async function releaseQueue(): Promise<QueueStatus> {
  const waiting: EnqueueCommand[] = [];
  const unstarted: UnstartedRelease[] = [];
  /** On its way to be a release: too late to take it out of the line. */
  let starting: EnqueueCommand | null = null;
  const status = (): QueueStatus => ({
    waiting: waiting.map(({ input, policy }) => ({
      image: releaseImage(input.release),
      starter: input.starter,
      key: input.key,
      policy,
    })),
    unstarted,
  });
  const leave = (left: UnstartedRelease[]): void => {
    unstarted.push(...left);
    unstarted.splice(0, unstarted.length - KEPT_UNSTARTED);
  };
  setHandler(queued, status, { description: 'Releases that wait, next first' });
  setHandler(
    enqueue,
    (command) => {
      // One that supersedes replaces the waiting ones too: they are older than it.
      if (command.policy === 'supersede') {
        const older = waiting.splice(0).filter(({ input }) => input.key !== command.input.key);
        leave(older.map(({ input }) => replacedBy(input, command.input)));
      }
      const known =
        command.input.key !== null && waiting.some(({ input }) => input.key === command.input.key);
      if (!known) waiting.push(command);
      return status();
    },
    {
      description: 'Let a release wait for the one that runs; sent by slipway release start --on-conflict',
      validator: (command) => {
        if (!isReleaseInput(command?.input)) throw refused(NO_RELEASE);
        if (waiting.length >= LONGEST_QUEUE) {
          throw refused(`${LONGEST_QUEUE} releases are waiting already`);
        }
      },
    },
  );
  setHandler(
    withdraw,
    (command) => {
      const at = waiting.findIndex(({ input }) => input.key === command.id);
      leave(waiting.splice(at, 1).map(({ input }) => withdrawnBy(input, command)));
      return status();
    },
    {
      description: describeWithdraw,
      validator: (command) => {
        const line = waiting.map((each) => ({ key: each.input.key, starting: each === starting }));
        const sentence = withdrawRefusal(line, command);
        if (sentence) throw refused(sentence);
      },
    },
  );
  await condition(() => waiting.length > 0);
  while (waiting.length > 0) {
    setCurrentDetails(
      status()
        .waiting.map(({ image, starter }) => `- ${image} (${starter})`)
        .join('\n'),
    );
    const next = waiting[0];
    if (next) {
      starting = next;
      const started = await start(next);
      starting = null;
      if (started) waiting.splice(waiting.indexOf(next), waiting.includes(next) ? 1 : 0);
      else await turn(next, () => waiting[0] !== next);
    }
    await condition(allHandlersFinished);
  }
  return status();
}

function replacedBy(old: ReleaseInput, newer: ReleaseInput): UnstartedRelease {
  return { outcome: 'superseded', ...identityOf(old), by: newer.starter, why: reasonOf(newer), at: now() };
}

function withdrawnBy(old: ReleaseInput, { by, why }: WithdrawCommand): UnstartedRelease {
  return { outcome: 'aborted', ...identityOf(old), by, why: why ?? '', at: now() };
}

function identityOf({ release, starter, key }: ReleaseInput) {
  return { image: releaseImage(release), starter, key, releaseReason: release.spec.reason };
}

function now(): string {
  return new Date(Date.now()).toISOString();
}

/** What a release that is superseded is told. */
function reasonOf({ release }: ReleaseInput): string {
  return `${release.spec.reason} (${releaseImage(release)})`;
}

/** Starts a release; `false` when another one of the workload runs. */
async function start({ input }: EnqueueCommand): Promise<boolean> {
  const id = idOf(input);
  const { summary, details, memo, searchAttributes } = announcement(input);
  try {
    await startChild(WORKFLOW.release, {
      workflowId: id,
      args: [input],
      parentClosePolicy: ParentClosePolicy.ABANDON,
      staticSummary: summary,
      staticDetails: details,
      memo,
      typedSearchAttributes: new TypedSearchAttributes(
        Object.entries(searchAttributes).map(([key, value]) => ({
          key: defineSearchAttributeKey(key, SearchAttributeType.KEYWORD),
          value,
        })),
      ),
    });
    return true;
  } catch (error) {
    if (error instanceof WorkflowExecutionAlreadyStartedError) return false;
    throw error;
  }
}

/** Waits until the running release ends, which one that supersedes asks it to, or this one is `overtaken`. */
async function turn({ input, policy }: EnqueueCommand, overtaken: () => boolean): Promise<void> {
  const id = idOf(input);
  if (policy === 'supersede') {
    // It may have ended this very moment; then there is nobody to tell and the next try succeeds.
    await getExternalWorkflowHandle(id)
      .signal(supersede, { by: input.starter, why: reasonOf(input) })
      .catch(() => {});
  }
  const waiting = new CancellationScope();
  await waiting.run(() =>
    Promise.race([
      queueing.awaitRelease.executeWithOptions({ summary: `wait for ${id}` }, [{ id }]),
      condition(overtaken),
    ]),
  );
  // A release that supersedes must not wait until the running one ends by itself.
  waiting.cancel();
}

function idOf({ release }: ReleaseInput): string {
  return releaseId(release.metadata.namespace, release.metadata.name);
}
