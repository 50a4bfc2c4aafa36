/** Everything that goes on at once while a release is under way, and ends together when it is halted or cancelled. */
import { CancellationScope, condition, isCancellation } from '@temporalio/workflow';
import type { ReleaseRun } from '../../domain/release/run.ts';
import { failureText } from '../failure-text.ts';

/** The scope of a release on its way: whatever halts it cancels the story and all that runs beside it. */
export class Voyage {
  readonly #scope = new CancellationScope();
  readonly #companions: Promise<void>[] = [];
  readonly #run: ReleaseRun;

  constructor(run: ReleaseRun) {
    this.#run = run;
  }

  /** Runs the story; whatever halts the release cancels it. Throws what the story throws. */
  async sail(story: () => Promise<void>): Promise<void> {
    try {
      await this.#scope.run(async () => {
        this.accompany(async () => {
          await condition(() => this.#run.stop !== null);
          this.#scope.cancel();
        });
        await story();
      });
    } finally {
      this.#scope.cancel();
      // A write that is on its way must land or fail before anything is undone: it could arrive after the undo.
      await CancellationScope.nonCancellable(() => Promise.allSettled(this.#companions));
    }
  }

  /** Something that runs beside the story. When it fails, the release is hauled back: nobody is watching or steering. */
  accompany(work: () => Promise<void>): void {
    this.#companions.push(
      this.#scope.run(work).catch((error: unknown) => {
        // Work that is cancelled while it fails may end with its failure.
        if (isCancellation(error) || this.#scope.consideredCancelled) return;
        this.#run.halt({ outcome: 'rolled-back', reason: failureText(error) }, Date.now());
      }),
    );
  }
}
