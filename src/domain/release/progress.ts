/** How far a release is in its plan, for every table that shows the steps. */
import type { PlannedStep, ReleaseStatus } from './types.ts';

export interface StepProgress {
  step: PlannedStep;
  state: 'done' | 'now' | 'ahead' | 'skipped';
}

/** The steps of the plan, in order; none of a release without one. */
export function progressOf({ plan, step, phase, outcome, skippedFrom }: ReleaseStatus): StepProgress[] {
  const through = outcome === 'promoted' || phase === 'guarding';
  const current = step?.index ?? (through ? Number.POSITIVE_INFINITY : 0);
  // Results of releases before this field was known have none.
  const skipped = skippedFrom ?? Number.POSITIVE_INFINITY;
  return (plan?.steps ?? []).map((each, i) => {
    const index = i + 1;
    if (index >= skipped && each.kind !== 'promote') return { step: each, state: 'skipped' };
    if (index === current) return { step: each, state: 'now' };
    return { step: each, state: index < current ? 'done' : 'ahead' };
  });
}
