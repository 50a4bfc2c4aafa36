/** What Slipway knows of a workload: facts read before a release, observations made during it. Plain JSON without secrets. */
import type { IntOrPercent } from '../../specs/release.types.ts';

/** Which workload. */
export interface Target {
  namespace: string;
  /** Name of the apps/v1 Deployment. */
  name: string;
}

/** Which release is acting, so that no other's work is touched. */
export interface Actor {
  /** Workflow id. */
  id: string;
  /** Run id. */
  run: string;
}

/** Everything needed to put the workload back, saved before the first write: in the workflow and on the object itself. */
export interface Undo {
  /** Images before the release, by container (init containers included if the release changes them). */
  images: Record<string, string>;
  strategy: { maxSurge: IntOrPercent; maxUnavailable: IntOrPercent };
  minReadySeconds: number;
  progressDeadlineSeconds: number;
  /** pod-template-hash of the ReplicaSet that serves before the release. */
  stableHash: string;
}

/** Facts that preflight reads; the plan is made from them. */
export interface WorkloadFacts {
  uid: string;
  replicas: number;
  undo: Undo;
  /** Deployment revision number being left (deployment.kubernetes.io/revision). */
  revision: number;
  /** Full image map to launch, by container name. */
  images: Record<string, string>;
  /** A HorizontalPodAutoscaler that owns the replica count. */
  autoscaler: { name: string; min: number; max: number } | null;
}

/** The hold that keeps the rollout where it is, in absolute pods for the live replica count (`limitsOf` of the live strategy). */
export interface Hold {
  surge: number;
  unavailable: number;
}

/** What preflight has found, for people; one with level `error` refuses the release. */
export interface Finding {
  /** Short kebab-case id, e.g. `surge-exceeds-quota`. */
  check: string;
  level: 'error' | 'warning' | 'info';
  /** One sentence: what was found. */
  message: string;
  /** One sentence: what to do about it. */
  fix?: string;
}

/** Facts to plan with (`null` when there is nothing to release), and what was found. */
export interface Preflight {
  findings: Finding[];
  /** `null` when the workload could not be read or cannot be released. */
  facts: WorkloadFacts | null;
}

/** What a new pod fails with; `reason` and `message` are the container's own words. */
export interface PodProblem {
  pod: string;
  container: string | null;
  reason: string;
  message: string;
}

/** A change by another hand of a field that this release owns. */
export interface Drift {
  /** Identity of this very change; accepted drift is named by it. */
  id: string;
  field: string;
  /** Field manager that wrote it, as the API server recorded it, or `unknown`. */
  manager: string;
  found: string;
  expected: string;
}

/** The pods of one revision. */
export interface RevisionState {
  /** pod-template-hash, `null` while there is no such ReplicaSet. */
  hash: string | null;
  /** spec.replicas of the ReplicaSet. */
  pods: number;
  /** Pods that are Ready, and have been for the workload's own minReadySeconds. */
  ready: number;
}

/** How the workload looks to its release at one moment. */
export interface Observation {
  /** Changes when something changes that a release may act upon; see `watch`. */
  digest: string;
  /** ISO time of the observation. */
  at: string;
  replicas: number;
  stable: RevisionState;
  canary: RevisionState;
  /** Pods of further revisions that still run. */
  others: number;
  /** The Deployment's own rollout is complete: every pod updated and available, none old. */
  complete: boolean;
  /** The hold as it is on the object, `null` when the workload is not held by us. */
  hold: Hold | null;
  /** Whose release record the object carries. */
  record: 'ours' | 'none' | 'other';
  problems: PodProblem[];
  drift: Drift[];
  /** The workload is gone (deleted or recreated with another uid). */
  missing: boolean;
  /** Why the workload cannot be seen at the moment; then nothing else in here is known. */
  unseen?: string;
}
