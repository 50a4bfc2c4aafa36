/** The status of a release, as people and programs read it, from its state. */
import { imageText } from '../image.ts';
import { weightOf } from '../workload/canary.ts';
import { describeStep } from './plan.ts';
import type { ReleaseRun } from './run.ts';
import type { ReleaseStatus } from './types.ts';

/** `now` is in milliseconds. */
export function statusOf(run: ReleaseRun, now: number): ReleaseStatus {
  const { release, input, workload } = run;
  const { facts, observation, stable, canary } = workload;
  const image = imageText(facts?.images ?? release.spec.images ?? { '': release.spec.image ?? '' });
  const weight = weightOf({ canary: canary.pods, stable: observation?.stable.pods ?? 0 });
  return {
    id: run.id,
    run: run.run,
    namespace: release.metadata.namespace,
    workload: release.metadata.name,
    image,
    reason: run.reason ?? run.stop?.reason ?? null,
    releaseReason: release.spec.reason,
    starter: input.starter,
    key: input.key,
    phase: run.phase,
    step: stepOf(run),
    plan: run.plan,
    skippedFrom: run.skippedFrom,
    stable: { ...stable, image: imageText(facts?.undo.images ?? {}) },
    canary: { ...canary, image, weight: Math.round(weight * 10) / 10 },
    gate: run.gate(now),
    paused: run.pausedBy,
    outcome: run.outcome,
    ...upcoming(run, now),
    findings: run.findings,
    problems: observation?.problems ?? [],
    drift: observation?.drift ?? [],
    alerts: run.alerts,
    timeline: run.timeline,
    startedAt: iso(run.startedAt),
    finishedAt: run.finishedAt === null ? null : iso(run.finishedAt),
  };
}

function stepOf({ step: index, plan }: ReleaseRun): ReleaseStatus['step'] {
  const step = index === null ? undefined : plan?.steps[index];
  if (index === null || step === undefined) return null;
  return { index: index + 1, total: plan?.steps.length ?? 0, text: describeStep(step) };
}

function upcoming({ clocks }: ReleaseRun, now: number): Pick<ReleaseStatus, 'deadline' | 'next'> {
  const due = clocks.next(now);
  return due ? { deadline: iso(due.at), next: due.what } : { deadline: null, next: null };
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
