/**
 * What a release is, after `specs/release.ts` has parsed and defaulted it. Plain JSON, free of zod: workflows,
 * domain functions and the Temporal UI all see exactly this.
 */
import type { Duration } from './duration.ts';

/** Pods to move, as an absolute number or a share of the replicas (`25%`), as in apps/v1. */
export type IntOrPercent = number | string;

/** One change of one workload. */
export interface Release {
  apiVersion: 'slipway/v1';
  kind: 'Release';
  metadata: { namespace: string; name: string };
  spec: ReleaseBody;
}

export interface ReleaseBody {
  /** The image of the only container, or of the container that has the workload's name. Exactly one of `image` and `images`. */
  image?: string;
  /** Images by container name. */
  images?: Record<string, string>;
  /** Why this release is made; a sentence for the approver and for history. */
  reason: string;
  strategy: Strategy;
  guards: Guards;
  after: {
    /** How long the release is watched after 100 %, ready to be hauled back; `0s` for not at all. */
    guard: Duration;
  };
}

type Strategy = { canary: { steps: Step[] } } | { rolling: Rolling };

/** One stage of a canary: a share of the pods, a wait, or a gate. */
export type Step = { weight: number } | { bake: Duration } | { gate: GateSpec };

/** A point where people decide. */
export interface GateSpec {
  name: string;
  /** Approvals by different people that open the gate. */
  approvals: number;
  /** After this time without enough approvals the release is rolled back. */
  expires: Duration;
  /** The four-eyes principle: at least one approval must come from somebody other than the starter. */
  fourEyes: boolean;
}

interface Rolling {
  /** Defaults to the workload's own. */
  maxSurge?: IntOrPercent;
  /** Defaults to the workload's own. */
  maxUnavailable?: IntOrPercent;
  /** Shares of updated pods at which the roll waits for `resume`, rising, e.g. `25%`. */
  pauseAt: string[];
}

/** What is watched the whole way; any of them hauls the release back. */
export interface Guards {
  /** Alerts that haul the release back: every label named must have one of its values. `null`: no alert does. */
  alerts: { match: Record<string, string[]> } | null;
  /** Health of the pods being launched; `null`: not watched. */
  pods: PodGuard | null;
  /** Time the release may take to 100 %, not counting pauses and gates. */
  deadline: Duration;
}

/** When a new pod speaks against its version. */
export interface PodGuard {
  /** A new pod that is not Ready this long after its creation fails the release. */
  readyWithin: Duration;
  /** Container restarts that a new pod may have; one more fails the release. */
  restarts: number;
}
