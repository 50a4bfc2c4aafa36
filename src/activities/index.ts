/** All activities of a worker, built from what they work on. */
import { createReleaseActivities, type ReleaseDependencies } from './release/release.ts';
import type { ReleaseActivities } from './release/types.ts';

type ActivityDependencies = ReleaseDependencies;

export function createActivities(dependencies: ActivityDependencies): ReleaseActivities {
  return createReleaseActivities(dependencies);
}
