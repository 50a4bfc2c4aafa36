/** What a worker and the process that dumps and restores for it say to each other. Settings are looked up in the engine. */
import type { TransferProgress } from '../../domain/backup/types.ts';
import type { ClusterAccess } from '../../kubernetes/connection.ts';
import type { Resource } from '../../kubernetes/paths.ts';

/** What an engine does; each is the activity's own work, by the activity's name. */
export type EngineJob = 'takeBackup' | 'inspectRestore' | 'restore' | 'restoreDrill' | 'sliceOplog';

export type ToEngine =
  | {
      kind: 'start';
      job: EngineJob;
      input: unknown;
      version: string;
      /** Of the activity, from 1: the engine says what a failure means for the next one. */
      attempt: number;
      /** Whether there is a cluster to ask for objects. */
      cluster: boolean;
    }
  | { kind: 'throttle'; mbPerSecond: number | null }
  | { kind: 'cancel' }
  | { kind: 'object'; id: number; object: unknown }
  | { kind: 'access'; id: number; access: ClusterAccess }
  | { kind: 'refused'; id: number; status: number; reason: string; message: string; retryable: boolean };

export type FromEngine =
  | { kind: 'progress'; progress: Omit<TransferProgress, 'rate'> }
  /** A read of the cluster, which only the worker has credentials for. */
  | { kind: 'get'; id: number; resource: Resource; namespace: string; name: string }
  /** The way to the API server, for what comes out of a pod: more than a message between processes should carry. */
  | { kind: 'access'; id: number }
  | { kind: 'done'; result: unknown }
  | { kind: 'failed'; failure: EngineFailure };

/** A failure as Temporal will have it. */
export interface EngineFailure {
  message: string;
  type: string;
  nonRetryable: boolean;
  details: unknown[];
}
