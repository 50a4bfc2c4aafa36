/** A release file in one line. */
import type { Release, Step } from '../../specs/release.types.ts';

export function describeStrategy({ spec: { strategy } }: Release): string {
  if ('canary' in strategy) return `canary: ${[...strategy.canary.steps.map(describe), '100 %'].join(', ')}`;
  const { pauseAt } = strategy.rolling;
  return pauseAt.length === 0
    ? 'rolling, without pauses'
    : `rolling, waiting at ${pauseAt.join(' and ')} for resume`;
}

function describe(step: Step): string {
  if ('weight' in step) return `${step.weight} %`;
  if ('bake' in step) return `bake ${step.bake}`;
  return `gate ${step.gate.name}`;
}
