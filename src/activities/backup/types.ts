/**
 * The activities that backups, restores and drills are made of. Workflows import this contract as types only. Inputs
 * hold names of variables, files and Secrets; the activities resolve them, and nothing secret is in a result.
 *
 * All may run twice. Failure types: domain/backup/failures.ts says which are not retryable; everything else is, for the
 * caller to bound.
 */
import type { DrillInput, DrillRecord, DrillResult } from '../../domain/backup/drill.types.ts';
import type {
  RestoreOrigin,
  RestorePlan,
  RestoreResult,
  RestoreSelection,
} from '../../domain/backup/restore.types.ts';
import type { BackupOutcome, BackupSummary, PruneSummary } from '../../domain/backup/types.ts';
import type { SliceReport } from '../../domain/point-in-time/types.ts';
import type { BackupPolicy, UriFrom } from '../../specs/backup.types.ts';

export interface Preparation {
  /** Newest verified backup of the policy and its last finished drill, ISO 8601. */
  lastVerified: string | null;
  lastDrill: string | null;
  /** Bytes of BSON that the source is thought to hold. */
  estimatedBytes: number;
  /** A sentence on backups that no key of the policy opens, where there are any. */
  unread?: string;
}

export interface TakeInput {
  policy: BackupPolicy;
  /** Wanted id of the backup, from its nominal time. */
  id: string;
  /** Workflow id and run id: whose the backup is. The workflow is asked for its throttle. */
  workflow: { id: string; run: string };
}

export interface PruneInput {
  policy: BackupPolicy;
  /** The Temporal server's clock, ISO 8601, to compare others with. */
  now: string;
}

export interface SliceInput {
  policy: BackupPolicy;
}

export interface InspectInput {
  origin: RestoreOrigin;
  target: { uriFrom: UriFrom };
  selection: RestoreSelection;
}

export interface RestoreWork extends InspectInput {
  /** Backup or file that the plan named; `latest` must not mean another one by now. */
  archive: string;
  /** Namespaces may be replaced. */
  replace: boolean;
  /** Workflow id and run id; names of staging collections are made from it. */
  claimant: string;
}

export interface BackupActivities {
  /** Finds out which server a URI leads to: the same for every name and credential of one server. */
  identifySource(input: { uriFrom: UriFrom }): Promise<{ key: string }>;
  /**
   * Names under which the source of a `destination.job` is locked: its address, and the server's own key where the worker
   * may read the Secret and reaches the server.
   */
  identifyJobSource(input: { policy: BackupPolicy }): Promise<{ keys: string[] }>;
  /** Checks settings, source and destination before anything is written. */
  prepareBackup(input: { policy: BackupPolicy }): Promise<Preparation>;
  /**
   * Removes what killed runs of the policy left, dumps, reads back, publishes archive and manifest. Finds its own
   * finished work when repeated. Heartbeats {@link TransferProgress}.
   */
  takeBackup(input: TakeInput): Promise<BackupSummary>;
  /** Removes what a run that was given up has left; of a `destination.job` its Job, when that has not ended. */
  sweepBackups(input: Pick<TakeInput, 'policy' | 'workflow'>): Promise<void>;
  /** Decides anew and deletes. */
  pruneBackups(input: PruneInput): Promise<PruneSummary>;
  /** Tells the metrics how a backup ended. */
  recordBackup(input: {
    policy: string;
    outcome: BackupOutcome;
    result: BackupSummary | null;
    lastVerified: string | null;
  }): Promise<void>;

  /**
   * Stores the slice of the oplog that follows the last one at the destination, if anything has happened since. Clears up
   * after a killed attempt. Heartbeats {@link TransferProgress}.
   */
  sliceOplog(input: SliceInput): Promise<SliceReport>;

  /** Reads archive and target, and says what a restore would do. Nothing is touched. */
  inspectRestore(input: InspectInput): Promise<RestorePlan>;
  /** Keeps retention away from an archive until `until` (ISO 8601) or its release. */
  holdArchive(input: {
    origin: RestoreOrigin;
    archive: string;
    claimant: string;
    until: string;
  }): Promise<void>;
  releaseArchive(input: { origin: RestoreOrigin; archive: string; claimant: string }): Promise<void>;
  /** Verifies the archive, restores into staging names, compares, swaps. Goes on where a killed attempt stopped. */
  restore(input: RestoreWork): Promise<RestoreResult>;
  /** Drops staging names. */
  discardRestore(input: RestoreWork): Promise<void>;

  /** Restores a backup into the scratch place and compares it with its manifest. */
  restoreDrill(input: DrillInput): Promise<DrillResult>;
  /** Drops the scratch databases of the drill. */
  cleanDrill(input: DrillInput): Promise<void>;
  /** Writes down at the destination how the drill went. */
  recordDrill(input: { policy: BackupPolicy; record: DrillRecord }): Promise<void>;
}
