// The images of examples/product-service: one source, one image a version, told apart by APP_VERSION alone.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { buildNodeImages, importImages, inScratch } from './images.ts';
import type { Lab } from './lab.ts';
import { REPOSITORY } from './paths.ts';

export const EXAMPLE_TAGS = ['v1.0.0', 'v1.1.0', 'v1.2.0', 'v1.3.0', 'v1.4.0'];

/** Builds and imports what containerd does not have yet; a checkout without the example has none. */
export async function importExampleImages(lab: Lab): Promise<void> {
  const appDir = join(REPOSITORY, 'examples', 'product-service', 'app');
  if (!existsSync(appDir)) return;
  await inScratch(async (scratch) => {
    const images = EXAMPLE_TAGS.map((tag) => ({
      name: 'ecommerce/product-service',
      tag,
      appDir,
      env: { APP_VERSION: tag },
    }));
    await importImages(lab, await buildNodeImages(images, scratch));
  });
}
