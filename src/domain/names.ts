/** Names that several rooms must agree on. */

/** Task queue of workflows and of activities that act. */
export const TASK_QUEUE = 'slipway';
/** Task queue of activities that only watch, for hours, so that they never take a slot from a rollback. */
export const WATCH_TASK_QUEUE = 'slipway-watch';

/** Workflow types of releases, as Temporal knows them. */
export const WORKFLOW = { release: 'release', queue: 'releaseQueue' } as const;

/** The id is the lock: one release at a time for a workload. */
export function releaseId(namespace: string, name: string): string {
  return `release.${namespace}.${name}`;
}

/** Id of the workflow that starts waiting releases one after the other. */
export function releaseQueueId(namespace: string, name: string): string {
  return `release-queue.${namespace}.${name}`;
}

/** Keyword search attributes, registered by `slipway setup` and by every worker at start. */
export const SEARCH_ATTRIBUTES = [
  'SlipwayPhase',
  'SlipwayNamespace',
  'SlipwayWorkload',
  'SlipwayImage',
  'SlipwayStarter',
  'SlipwayKey',
  /** Backups: the policy, and the time of its newest verified backup (ISO 8601, so that it sorts). */
  'SlipwayPolicy',
  'SlipwayLastVerified',
] as const;

/** Field manager of every write of a release. */
export const FIELD_MANAGER = 'slipway';
/** Field manager of `slipway restore deployment`: to a release that still runs it is another hand, and has a name. */
export const RESTORE_MANAGER = 'slipway-restore';
/** Annotation on the workload: the record of a release, enough to undo it without Temporal. */
export const RECORD_ANNOTATION = 'slipway.dev/release';
/** minReadySeconds of a held workload: new pods get traffic but never count as available. About a year. */
export const HELD_MIN_READY_SECONDS = 31_536_000;
/** progressDeadlineSeconds of a held workload; the API wants it larger than minReadySeconds. */
export const HELD_PROGRESS_DEADLINE_SECONDS = 31_536_600;
/** Digest of every observation that says that the workload cannot be seen at the moment. */
export const UNSEEN_DIGEST = 'unseen';
