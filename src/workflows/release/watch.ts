/** The eyes of a release: one long activity that answers when something changed, for as long as there is a canary. */
import { CancellationScope, condition } from '@temporalio/workflow';
import type { WatchInput } from '../../activities/release/types.ts';
import type { ReleaseRun } from '../../domain/release/run.ts';
import { lookout } from './activities.ts';
import { watchInput } from './inputs.ts';

/** Observes from the first write until cancelled. What is looked for follows the state: a new aim starts a new look. */
export async function keepLookout(run: ReleaseRun): Promise<void> {
  await condition(() => run.afloat);
  for (;;) await look(run);
}

/** Takes one observation that differs from the last, or returns early when something else is to be looked for. */
export async function look(run: ReleaseRun): Promise<void> {
  const input = watchInput(run);
  const key = subject(run);
  const scope = new CancellationScope();
  try {
    const observation = await scope.run(() =>
      Promise.race([
        lookout.watch.executeWithOptions({ summary: SUMMARIES[input.expect] }, [input]),
        condition(() => subject(run) !== key).then(() => null),
      ]),
    );
    if (observation) run.observed(observation, Date.now());
  } finally {
    scope.cancel();
  }
}

const SUMMARIES: Record<WatchInput['expect'], string> = {
  held: 'watch the canary',
  rolling: 'watch the roll',
  promoted: 'watch the promoted revision',
  restored: 'see that stable serves again',
};

function subject({ workload }: ReleaseRun): string {
  const { expect, settle, accepted } = workload;
  return JSON.stringify([expect, settle, accepted]);
}
