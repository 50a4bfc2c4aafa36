/** Images as people read them. */
import type { Release } from '../specs/release.types.ts';

/** One image as it is, several as `container=image` pairs joined by commas. */
export function imageText(images: Record<string, string>): string {
  const entries = Object.entries(images);
  if (entries.length === 1) return entries[0]?.[1] ?? '';
  return entries.map(([container, image]) => `${container}=${image}`).join(',');
}

/** What a release launches, as one text. */
export function releaseImage({ spec }: Release): string {
  return spec.image ?? imageText(spec.images ?? {});
}
