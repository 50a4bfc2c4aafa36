/** The words of a release: phases, outcomes, commands, and the status that people and programs read. Plain JSON. */
import type { GateSpec, Release } from '../../specs/release.types.ts';
import type { TimelineEntry } from '../timeline.ts';
import type { Drift, Finding, PodProblem, RevisionState } from '../workload/types.ts';

/** Where a release is; an outcome once it is over. */
export type Phase =
  | 'preflight'
  | 'progressing'
  | 'baking'
  | 'awaiting-approval'
  | 'paused'
  | 'promoting'
  | 'guarding'
  | 'rolling-back'
  | Outcome;

/** How a release ended. `failed`: a person is needed, or preflight refused. */
export type Outcome = 'promoted' | 'rolled-back' | 'rejected' | 'aborted' | 'superseded' | 'failed';

/** Input of the `release` workflow. */
export interface ReleaseInput {
  release: Release;
  /** Who started it: a person or a CI job, as they named themselves. */
  starter: string;
  /** The idempotency key of the CI job (`--id`), if any. */
  key: string | null;
  /** Only preflight and plan, nothing is touched. */
  dryRun: boolean;
}

/** One planned step with the numbers that the replica count allows. */
export type PlannedStep =
  | { kind: 'weight'; weight: number; canary: number; stable: number; real: number }
  | { kind: 'bake'; for: string }
  | { kind: 'gate'; gate: GateSpec }
  | { kind: 'hold'; at: string; canary: number; stable: number }
  | { kind: 'promote' };

/** The steps with the numbers that `replicas` pods allow. */
export interface Plan {
  replicas: number;
  steps: PlannedStep[];
  /** What a reader of the plan should know, e.g. that 25 % is 20 % with four replicas. */
  notes: string[];
}

/** Who opened a gate, why, and when (ISO 8601). */
export interface Approval {
  by: string;
  why: string;
  at: string;
}

/** The gate that is open, and what it still needs. */
export interface GateStatus {
  name: string;
  /** pod-template-hash of the canary: approvals are bound to it. */
  revision: string;
  approvals: Approval[];
  needed: number;
  fourEyes: boolean;
  /** ISO time at which the gate expires and the release is rolled back. Moves while paused. */
  expires: string;
}

/** An alert as the gateway passes it on. Times are ISO 8601. */
export interface AlertNotice {
  /** Alertmanager's fingerprint, the identity of the alert's label set. */
  fingerprint: string;
  status: 'firing' | 'resolved';
  labels: Record<string, string>;
  annotations: Record<string, string>;
  startsAt: string;
}

/** Answer of the query `status`, of every Update, and the result of the workflow. */
export interface ReleaseStatus {
  id: string;
  run: string;
  namespace: string;
  workload: string;
  /** The image, or `container=image` pairs joined by commas. */
  image: string;
  reason: string | null;
  releaseReason: string;
  starter: string;
  key: string | null;
  phase: Phase;
  /** `index` counts from 1; `null` before the first and after the last step. */
  step: { index: number; total: number; text: string } | null;
  plan: Plan | null;
  /** The step, counted from 1, at which a person skipped what remained of the plan. */
  skippedFrom: number | null;
  stable: RevisionState & { image: string };
  canary: RevisionState & { image: string; weight: number };
  gate: GateStatus | null;
  paused: { by: string; why: string; since: string } | null;
  outcome: Outcome | null;
  /** ISO time of what happens next by itself if nobody acts, `null` when nothing does. */
  deadline: string | null;
  /** What happens at `deadline`, in words. */
  next: string | null;
  findings: Finding[];
  problems: PodProblem[];
  drift: Drift[];
  alerts: AlertNotice[];
  timeline: TimelineEntry[];
  startedAt: string;
  finishedAt: string | null;
}

/** Every command carries who gives it; `why` is required where a person overrides or decides. */
export interface ApproveCommand {
  gate: string;
  revision: string;
  by: string;
  why: string;
}
/** A rejection is bound to gate and revision as an approval is. */
export type RejectCommand = ApproveCommand;
export interface PersonCommand {
  by: string;
  why?: string;
}

/** What to do when another release of the workload is running: stand in line, or haul the running one back first. */
export interface EnqueueCommand {
  input: ReleaseInput;
  policy: 'queue' | 'supersede';
}

/** Takes a waiting release out of the line, by its key. */
export interface WithdrawCommand extends PersonCommand {
  id: string;
}

/** A release that left the line without being started: replaced by one that supersedes, or taken out by a person. */
export interface UnstartedRelease {
  outcome: Extract<Outcome, 'superseded' | 'aborted'>;
  image: string;
  starter: string;
  key: string | null;
  releaseReason: string;
  /** Who took it out, or started the release that took its place, and why. */
  by: string;
  why: string;
  /** ISO time. */
  at: string;
}

/** Answer of the query `queued` and of the updates `enqueue` and `withdraw`, and the result of the workflow. */
export interface QueueStatus {
  /** Waiting releases, next first. */
  waiting: { image: string; starter: string; key: string | null; policy: 'queue' | 'supersede' }[];
  /** The last that left the line without being started, oldest first. */
  unstarted: UnstartedRelease[];
}
