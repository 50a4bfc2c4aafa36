/** The registry: every export is a workflow type. */
export { release } from './release/release.ts';
export { releaseQueue } from './release/queue.ts';
export { backup } from './backup/backup.ts';
export { drill } from './backup/drill.ts';
export { oplogSlices } from './backup/oplog-slices.ts';
export { policyDeleted } from './backup/policy-deleted.ts';
export { restoreData } from './backup/restore.ts';
export { sourceLock } from './backup/source-lock.ts';
