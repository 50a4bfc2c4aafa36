/** The words of drills: a restore into a scratch place, compared with the manifest. Plain JSON. */
import type { BackupPolicy } from '../../specs/backup.types.ts';

/** Input of the `drill` workflow. */
export interface DrillInput {
  policy: BackupPolicy;
  /** Id of the backup. */
  backup: string;
  starter: string;
}

/** Answer of the query `status`, and the result of the workflow. */
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
