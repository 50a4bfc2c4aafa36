/** Who made an object. */
import type { KubeObject } from './objects.types.ts';

/** UID of the object that controls this one. */
export function controllerOf({ metadata }: KubeObject): string | undefined {
  return metadata.ownerReferences?.find(({ controller }) => controller)?.uid;
}
