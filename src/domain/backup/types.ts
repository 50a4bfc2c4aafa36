/** The words of backups, restores and drills: inputs, phases, outcomes, and the status that people and programs read. */
import type { BackupPolicy, UriFrom } from '../../specs/backup.types.ts';
import type { TimelineEntry } from '../release/types.ts';

export type BackupOutcome = 'verified' | 'failed' | 'cancelled';
export type BackupPhase = 'preflight' | 'waiting' | 'dumping' | 'pruning' | 'drilling' | BackupOutcome;

/** Input of the `backup` workflow. Kept by the Schedule, so it holds no time and no secret. */
export interface BackupInput {
  policy: BackupPolicy;
  trigger: 'schedule' | 'manual' | 'before-restore';
  /** Who started it, as they named themselves. */
  starter: string;
  /** The parent holds the lock of the source already. */
  locked: boolean;
}

/** What a finished backup is; small, for histories and lists. The manifest at the destination has the rest. */
export interface BackupSummary {
  /** E.g. `dump-20261123-020000`. */
  id: string;
  /** Name of the archive, e.g. `dump-20261123-020000.gz`. */
  archive: string;
  location: string;
  /** Time of the data, ISO 8601. */
  at: string;
  /** How the data belongs together, in words: `snapshot at 2026-11-23T02:00:01Z`. */
  consistency: string;
  namespaces: number;
  documents: number;
  /** BSON read, in bytes. */
  bytes: number;
  /** Size of the archive, in bytes. */
  size: number;
  sha256: string;
  /** Time of reading and writing, and of reading back and checking, in milliseconds. */
  dumpMs: number;
  proveMs: number;
  warnings: string[];
}

export interface PruneSummary {
  kept: number;
  deleted: string[];
  /** What could not be deleted, and why. */
  problems: string[];
  /** Slices of the oplog, where there are any. */
  slices?: SlicePrune;
}

export interface SlicePrune {
  kept: number;
  deleted: number;
  reason: string;
}

export interface BackupStatus {
  id: string;
  run: string;
  policy: string;
  phase: BackupPhase;
  outcome: BackupOutcome | null;
  /** Why it failed or was cancelled. */
  reason: string | null;
  trigger: BackupInput['trigger'];
  starter: string;
  /** Nominal time of the run, ISO 8601; the backup is named after it. */
  scheduledAt: string;
  /** Newest verified backup before this one, ISO 8601; `null` when there is none. */
  lastVerified: string | null;
  throttle: Throttle | null;
  /** A Job of the cluster cannot be throttled. */
  carriedOutBy: 'worker' | 'job';
  result: BackupSummary | null;
  prune: PruneSummary | null;
  drill: DrillStatus | null;
  /** What went wrong without making the backup any worse, e.g. a failed drill. */
  problems: string[];
  timeline: TimelineEntry[];
  startedAt: string;
  finishedAt: string | null;
}

/** A limit of reading; `mbPerSecond: null` takes the limit away. `by` is `policy` or a person. */
export interface Throttle {
  mbPerSecond: number | null;
  by: string;
}

export interface ThrottleCommand {
  /** Megabytes (10^6 bytes of BSON) a second; `null` takes the limit away. */
  mbPerSecond: number | null;
  by: string;
}

/** What heartbeats of dump and restore say. */
export interface TransferProgress {
  stage:
    | 'starting'
    | 'dumping'
    | 'proving'
    | 'checking'
    | 'restoring'
    | 'indexing'
    | 'comparing'
    | 'swapping';
  bytes: number;
  /** What it will be in the end; 0 when unknown. */
  totalBytes: number;
  documents: number;
  /** `db.collection` in work, empty between two. */
  namespace: string;
  namespaces: number;
  totalNamespaces: number;
  /** Bytes a second over the last seconds. */
  rate: number;
  /** What is waited for, in words, where bytes say nothing: a pod that has not started, say. */
  note?: string;
}

/** Which backup to bring back. */
export type BackupChoice = { id: string } | { latest: true } | { at: string };

/** Where a restore takes its archive from. */
export type RestoreOrigin =
  | { policy: BackupPolicy; backup: BackupChoice }
  /** Any mongodump archive that the worker can read at this path. */
  | { file: string };

/** What of the archive, and under which names. */
export interface RestoreSelection {
  /** Only these databases; `null`: all. */
  databases: string[] | null;
  /** Only these namespaces, `db.collection`; `null`: all. */
  collections: string[] | null;
  /** As mongorestore's --nsFrom and --nsTo: globs with `*`. */
  rename: { from: string; to: string }[];
  /** Users and roles of the archive, too. */
  users: boolean;
}

/** Input of the `restoreData` workflow. */
export interface RestoreInput {
  origin: RestoreOrigin;
  target: { uriFrom: UriFrom };
  selection: RestoreSelection;
  dryRun: boolean;
  starter: string;
  /** The starter has already said yes to replacing data (`--yes`). */
  approved: boolean;
  /** Take a backup by this policy before data is replaced; `null`: do not. */
  backupBefore: BackupPolicy | null;
  /** Without an approval by then nothing is restored. A duration. */
  approvalExpires: string;
}

export type RestoreOutcome = 'planned' | 'restored' | 'rejected' | 'failed' | 'cancelled';
export type RestorePhase =
  | 'inspecting'
  | 'awaiting-approval'
  | 'waiting'
  | 'backing-up'
  | 'restoring'
  | RestoreOutcome;

/** One namespace of a restore's plan. */
export interface PlannedNamespace {
  /** Name in the archive and at the target, `db.collection`. */
  from: string;
  to: string;
  kind: string;
  /** In the archive; `null` when the archive has no manifest that says so. */
  documents: number | null;
  /** Estimated documents that are there now and would be replaced; `null`: the namespace does not exist. */
  replaces: number | null;
}

export interface RestorePlan {
  /** Id of the backup, or the path of a file; and a digest of what the plan would do: approvals are bound to it. */
  archive: string;
  digest: string;
  /** Time of the data, ISO 8601, when known. */
  at: string | null;
  location: string;
  /** At most 500, those that replace something first; `total` counts all. */
  namespaces: PlannedNamespace[];
  total: number;
  /** Namespaces that exist and would be replaced. */
  replaced: number;
  documents: number | null;
  bytes: number | null;
  notes: string[];
  /** How the data is carried forward from the archive to a moment; absent when the archive is all there is. */
  pointInTime?: PlannedRollForward;
}

/** Slices of the oplog that are replayed over an archive. */
export interface PlannedRollForward {
  /** The moment that comes back, ISO 8601 and `SECONDS,INCREMENT`. */
  at: string;
  moment: string;
  /** The moment that the archive shows, ISO 8601. */
  baseAt: string;
  slices: number;
  /** Entries of the oplog that are replayed, or looked at and found to be of other namespaces. */
  entries: number;
  bytes: number;
  /** The last entry at or before the moment, ISO 8601; `null`: nothing happened since the backup. */
  lastEntry: string | null;
}

export interface RestoreResult {
  archive: string;
  namespaces: number;
  documents: number;
  bytes: number;
  ms: number;
}

export interface RestoreApproval {
  /** `plan.digest`. */
  plan: string;
  by: string;
  why: string;
}

export interface RestoreStatus {
  id: string;
  run: string;
  phase: RestorePhase;
  outcome: RestoreOutcome | null;
  reason: string | null;
  starter: string;
  plan: RestorePlan | null;
  approval: (RestoreApproval & { at: string }) | null;
  /** ISO time at which an approval that is waited for expires. */
  deadline: string | null;
  /** Id of the backup taken before. */
  backupBefore: string | null;
  result: RestoreResult | null;
  /** Documents that failed, and namespaces that differ; at most 100. */
  failures: string[];
  timeline: TimelineEntry[];
  startedAt: string;
  finishedAt: string | null;
}

/** Input of the `drill` workflow. */
export interface DrillInput {
  policy: BackupPolicy;
  /** Id of the backup. */
  backup: string;
  starter: string;
}

export interface DrillStatus {
  id: string;
  backup: string;
  phase: 'restoring' | 'cleaning' | 'passed' | 'failed' | 'cancelled';
  /** Where it was restored to, in words. */
  into: string;
  /** Milliseconds from the first byte read to the last comparison: the real recovery time. */
  restoreMs: number | null;
  namespaces: number;
  documents: number;
  bytes: number;
  /** What differs from the manifest; at most 100. */
  differences: string[];
  reason: string | null;
  startedAt: string;
  finishedAt: string | null;
}

/** A restore into a scratch place, compared with the manifest. */
export interface DrillResult {
  into: string;
  restoreMs: number;
  namespaces: number;
  documents: number;
  bytes: number;
  differences: string[];
}

/** How the last drill of a backup went. */
export interface DrillRecord extends DrillResult {
  backup: string;
  passed: boolean;
  reason: string | null;
  /** ISO 8601. */
  at: string;
}
