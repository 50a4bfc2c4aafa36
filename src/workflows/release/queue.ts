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
import { releaseId, WORKFLOW } from '../../domain/names.ts';
import type {
  EnqueueCommand,
  QueueStatus,
  ReleaseInput,
  ReplacedRelease,
} from '../../domain/release/types.ts';
import { queueing } from './activities.ts';
import { enqueue, queued, supersede } from '../messages.ts';
import { refused } from '../refusal.ts';

/** More waiting releases than this is a mistake in a pipeline. */
const LONGEST_QUEUE = 50;

/** Replaced releases whose end is remembered. */
const KEPT_REPLACED = 50;

/** Ends when nobody waits any more, and says who was replaced. */
export async function releaseQueue(): Promise<QueueStatus> {
  const waiting: EnqueueCommand[] = [];
  const replaced: ReplacedRelease[] = [];
  const status = (): QueueStatus => ({
    waiting: waiting.map(({ input, policy }) => ({
      image: releaseImage(input.release),
      starter: input.starter,
      key: input.key,
      policy,
    })),
    replaced,
  });
  setHandler(queued, status, { description: 'Releases that wait, next first' });
  setHandler(
    enqueue,
    (command) => {
      // One that supersedes replaces the waiting ones too: they are older than it.
      if (command.policy === 'supersede') {
        const older = waiting.splice(0).filter(({ input }) => input.key !== command.input.key);
        replaced.push(...older.map(({ input }) => replacedBy(input, command.input)));
        replaced.splice(0, replaced.length - KEPT_REPLACED);
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
  await condition(() => waiting.length > 0);
  while (waiting.length > 0) {
    setCurrentDetails(
      status()
        .waiting.map(({ image, starter }) => `- ${image} (${starter})`)
        .join('\n'),
    );
    const next = waiting[0];
    if (next && (await start(next, () => waiting[0] !== next)))
      waiting.splice(waiting.indexOf(next), waiting.includes(next) ? 1 : 0);
    await condition(allHandlersFinished);
  }
  return status();
}

function replacedBy(old: ReleaseInput, newer: ReleaseInput): ReplacedRelease {
  return {
    image: releaseImage(old.release),
    starter: old.starter,
    key: old.key,
    releaseReason: old.release.spec.reason,
    by: newer.starter,
    why: reasonOf(newer),
    at: new Date(Date.now()).toISOString(),
  };
}

/** What a release that is superseded is told. */
function reasonOf({ release }: ReleaseInput): string {
  return `${release.spec.reason} (${releaseImage(release)})`;
}

/** Starts a release; or waits until the running one ends or this one is `overtaken`, and says that it did not start. */
async function start({ input, policy }: EnqueueCommand, overtaken: () => boolean): Promise<boolean> {
  const { namespace, name } = input.release.metadata;
  const id = releaseId(namespace, name);
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
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
  }
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
  return false;
}
