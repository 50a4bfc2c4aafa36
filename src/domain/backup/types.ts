/** The words of backups: input, phases, outcomes, and the status that people and programs read. Plain JSON. */
import type { BackupPolicy } from '../../specs/backup.types.ts';
import type { TimelineEntry } from '../timeline.ts';
import type { DrillStatus } from './drill.types.ts';

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

/** What retention has done at a destination. */
export interface PruneSummary {
  kept: number;
  deleted: string[];
  /** What could not be deleted, and why. */
  problems: string[];
  /** Slices of the oplog, where there are any. */
  slices?: SlicePrune;
}

/** What retention has made of slices: how many stay, how many went, and where the line was drawn. */
export interface SlicePrune {
  kept: number;
  deleted: number;
  reason: string;
}

/** Answer of the query `status` and of every Update, and the result of the workflow. */
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
