/** The words of restores: input, plan, phases, outcomes, and the status that people and programs read. Plain JSON. */
import type { BackupPolicy, UriFrom } from '../../specs/backup.types.ts';
import type { TimelineEntry } from '../timeline.ts';

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

/** What a restore would do, before anything is touched. */
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

/** What a restore has brought back; `bytes` of BSON, `ms` milliseconds. */
export interface RestoreResult {
  archive: string;
  namespaces: number;
  documents: number;
  bytes: number;
  ms: number;
}

/** The decision of a person, bound to the plan that was shown. */
export interface RestoreApproval {
  /** `plan.digest`. */
  plan: string;
  by: string;
  why: string;
}

/** Answer of the query `status` and of every Update, and the result of the workflow. */
export interface RestoreStatus {
  id: string;
  run: string;
  phase: RestorePhase;
  outcome: RestoreOutcome | null;
  reason: string | null;
  starter: string;
  /** The server that it restores to, in words. */
  into: string;
  plan: RestorePlan | null;
  approval: (RestoreApproval & { at: string }) | null;
  /** ISO time at which an approval that is waited for expires. */
  deadline: string | null;
  /** Policy by which a backup is taken before data is replaced; `null`: none is. */
  backupBy: string | null;
  /** Id of the backup taken before. */
  backupBefore: string | null;
  result: RestoreResult | null;
  /** Documents that failed, and namespaces that differ; at most 100. */
  failures: string[];
  timeline: TimelineEntry[];
  startedAt: string;
  finishedAt: string | null;
}
