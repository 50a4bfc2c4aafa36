/** The status of a release that nobody can be asked about: what is known, and nothing of pods, gates and clocks. */
import type { ReleaseStatus } from '../../domain/release/types.ts';

/** What the index or the line of releases knows. */
type Known = Pick<
  ReleaseStatus,
  | 'id'
  | 'run'
  | 'namespace'
  | 'workload'
  | 'image'
  | 'reason'
  | 'releaseReason'
  | 'starter'
  | 'key'
  | 'phase'
  | 'outcome'
  | 'startedAt'
  | 'finishedAt'
>;

const NO_PODS = { hash: null, pods: 0, ready: 0 };

export function statusWithoutRun(known: Known): ReleaseStatus {
  return {
    step: null,
    plan: null,
    skippedFrom: null,
    stable: { ...NO_PODS, image: '' },
    canary: { ...NO_PODS, image: known.image, weight: 0 },
    gate: null,
    paused: null,
    deadline: null,
    next: null,
    findings: [],
    problems: [],
    drift: [],
    alerts: [],
    timeline: [],
    ...known,
  };
}
