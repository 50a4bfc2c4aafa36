/** How a workflow shows where it is: its page and the index follow its state. */
import { defineSearchAttributeKey, SearchAttributeType } from '@temporalio/common';
import { condition } from '@temporalio/workflow';

/** The search attribute by which lists are filtered. */
export const PHASE = defineSearchAttributeKey('SlipwayPhase', SearchAttributeType.KEYWORD);

/** Shows the state now and whenever it changes, as long as the workflow runs. */
export async function keepShowing(run: { readonly changes: number }, show: () => void): Promise<void> {
  for (;;) {
    show();
    const { changes } = run;
    await condition(() => run.changes !== changes);
  }
}
