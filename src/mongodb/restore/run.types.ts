// What goes into a restore and what comes out of it.
import type { BackupManifest } from '../../specs/manifest.ts';
import type { Bytes } from '../../storage/compression.ts';
import type { ReadingKey } from '../../storage/encryption.ts';
import type { ClusterTime } from '../dump/consistency.ts';
import type { FailedDocument } from '../raw-write.ts';
import type { RestoreItem, RestorePlan, RestoreSelection } from './plan.ts';
import type { RollForward } from './roll-forward.ts';

export type RestorePhase = 'verify' | 'load' | 'compare' | 'replay' | 'indexes' | 'swap' | 'users' | 'done';

export interface RestoreProgress {
  phase: RestorePhase;
  /** What is worked on, for example `shop.orders`. */
  namespace: string;
  /** Uncompressed bytes and documents handled in this phase, and the whole where it is known. */
  bytes: number;
  documents: number;
  totalBytes: number;
  namespacesDone: number;
  namespacesTotal: number;
}

export interface RestoreSource extends RestoreSelection {
  /**
   * Opens the stored file from its beginning; called once to prove and once to load. A piece need only be good until the
   * next is asked for.
   */
  open: (signal?: AbortSignal) => Promise<Bytes>;
  key?: ReadingKey | undefined;
  /** When given, the archive must be the one that this manifest describes. */
  manifest?: BackupManifest | undefined;
  /** Carries what the archive holds forward to a later moment. Made for the same selection. */
  rollForward?: RollForward | undefined;
}

export interface RestoreOptions extends RestoreSource {
  /** Names this restore; the same id again resumes it. Letters, digits and `-`, at most 40. */
  id: string;
  /** Allows that existing collections are replaced. Default false: then the restore refuses before it writes. */
  replace?: boolean | undefined;
  /** Merges users and roles when the archive holds them and everything is restored under its own name. Default true. */
  usersAndRoles?: boolean | undefined;
  /** Replays the archive's oplog, if it has one, so that the data is of one moment. Default true. */
  replayOplog?: boolean | undefined;
  /** Leaves out oplog entries after this time. */
  oplogUntil?: ClusterTime | undefined;
  signal?: AbortSignal | undefined;
  onProgress?: (progress: RestoreProgress) => void;
}

export interface RestoreResult {
  restored: {
    source: string;
    target: string;
    kind: RestoreItem['kind'];
    documents: number;
    bytes: number;
    replaced: boolean;
  }[];
  skipped: RestorePlan['skipped'];
  usersAndRoles: boolean;
  documents: number;
  bytes: number;
  /** Milliseconds for each phase. */
  timings: Partial<Record<RestorePhase, number>>;
}

/** Some documents did not go in, or came out different; nothing was swapped and the staging collections are gone. */
export class RestoreFailedError extends Error {
  override name = 'RestoreFailedError';
  /** The documents that the server refused, at most 1000 of them. */
  readonly failed: readonly FailedDocument[];
  constructor(message: string, failed: readonly FailedDocument[] = []) {
    super(message);
    this.failed = failed;
  }
}
