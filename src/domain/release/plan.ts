/** From what a person wrote to what will happen: the steps of a release with the numbers that the replica count allows. */
import type { Release, Step } from '../../specs/release.types.ts';
import {
  limitsOf,
  splitFor,
  splitForShare,
  weightOf,
  type Limits,
  type RollingStrategy,
  type Split,
} from '../workload/canary.ts';
import type { Plan, PlannedStep } from './types.ts';
import type { Undo } from '../workload/types.ts';

/** The share of pods that a release is at or on its way to. */
export type Aim = { kind: 'weight' | 'share'; percent: number };

/** The strategy under which the release moves pods: the workload's own, or what a rolling release overrides. */
export function strategyOf(release: Release, own: RollingStrategy): RollingStrategy {
  const { strategy } = release.spec;
  if (!('rolling' in strategy)) return own;
  return {
    maxSurge: strategy.rolling.maxSurge ?? own.maxSurge,
    maxUnavailable: strategy.rolling.maxUnavailable ?? own.maxUnavailable,
  };
}

/** True when Kubernetes may roll by itself from the start: a rolling release without pauses. */
export function rollsFreely(release: Release): boolean {
  const { strategy } = release.spec;
  return 'rolling' in strategy && strategy.rolling.pauseAt.length === 0;
}

/** Pods of either revision for an aim. `now` is how they stand once a canary is out. */
export function targetOf(aim: Aim, replicas: number, limits: Limits, now?: Split): Split {
  return aim.kind === 'weight'
    ? splitFor(aim.percent, replicas, limits, now)
    : splitForShare(aim.percent, replicas, now);
}

/** The aim that a planned step sets, `null` when it moves no pods. */
export function aimOf(step: PlannedStep): Aim | null {
  if (step.kind === 'weight') return { kind: 'weight', percent: step.weight };
  if (step.kind === 'hold') return { kind: 'share', percent: percentOf(step.at) };
  return null;
}

/** 25 of `25%`. */
function percentOf(share: string): number {
  return Number(share.slice(0, -1));
}

/** The plan for a replica count; made anew, with other numbers, when the count changes under the release. */
export function planOf(release: Release, undo: Undo, replicas: number): Plan {
  const { strategy } = release.spec;
  const limits = limitsOf(strategyOf(release, undo.strategy), replicas);
  const steps: PlannedStep[] =
    'canary' in strategy
      ? strategy.canary.steps.map((step) => planned(step, replicas, limits))
      : strategy.rolling.pauseAt.map((at) => ({
          kind: 'hold',
          at,
          ...splitForShare(percentOf(at), replicas),
        }));
  return { replicas, steps: [...steps, { kind: 'promote' }], notes: notesOn(steps, replicas, limits) };
}

function planned(step: Step, replicas: number, limits: Limits): PlannedStep {
  if ('weight' in step) {
    const split = splitFor(step.weight, replicas, limits);
    return { kind: 'weight', weight: step.weight, ...split, real: Math.round(weightOf(split) * 10) / 10 };
  }
  return 'bake' in step ? { kind: 'bake', for: step.bake } : { kind: 'gate', gate: step.gate };
}

function notesOn(steps: PlannedStep[], replicas: number, limits: Limits): string[] {
  const notes = steps.flatMap((step) =>
    step.kind === 'weight' && step.real !== step.weight
      ? [
          `${step.weight} % is ${step.real} % with ${pods(replicas)}: ${step.canary} new beside ${step.stable} old`,
        ]
      : [],
  );
  const weights = steps.filter((step) => step.kind === 'weight');
  if (weights.some((step, at) => at > 0 && step.canary === weights[at - 1]?.canary)) {
    notes.push(`with ${pods(replicas)} some weights come out the same`);
  }
  if (limits.surge === 0) notes.push('maxSurge is 0: every new pod takes the place of an old one');
  return notes;
}

function pods(count: number): string {
  return count === 1 ? '1 pod' : `${count} pods`;
}

/** A planned step in a few words, for tables and timelines. */
export function describeStep(step: PlannedStep): string {
  switch (step.kind) {
    case 'weight':
      return `weight ${step.weight} % (${step.canary} new, ${step.stable} old)`;
    case 'bake':
      return `bake ${step.for}`;
    case 'gate':
      return `gate ${step.gate.name} (${step.gate.approvals === 1 ? '1 approval' : `${step.gate.approvals} approvals`})`;
    case 'hold':
      return `hold at ${step.at} (${step.canary} new, ${step.stable} old)`;
    case 'promote':
      return 'promote to 100 %';
  }
}
