/** The registry: every export is a workflow type. */
export { release } from './release.ts';
export { releaseQueue } from './release-queue.ts';
export { backup } from './backup.ts';
export { drill } from './drill.ts';
export { oplogSlices } from './oplog-slices.ts';
export { restoreData } from './restore.ts';
export { sourceLock } from './source-lock.ts';
