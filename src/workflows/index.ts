/** The registry: every export is a workflow type. */
export { release } from './release.ts';
export { releaseQueue } from './release-queue.ts';
