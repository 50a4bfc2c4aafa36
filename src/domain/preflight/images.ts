/** Which container gets which image. */
import type { ReleaseBody } from '../../specs/release.types.ts';
import { nearest } from '../../specs/errors.ts';
import type { PodTemplate } from '../workload/objects.types.ts';
import { imagesOf } from '../workload/template.ts';
import type { Finding } from '../workload/types.ts';

interface ImageChoice {
  /** Images to launch by container, `null` when they cannot be told. */
  images: Record<string, string> | null;
  findings: Finding[];
}

/** Finds the containers that a release names, or the one it means without naming it. */
export function chooseImages(spec: ReleaseBody, template: PodTemplate, workload: string): ImageChoice {
  const live = imagesOf(template);
  const wanted = spec.images ?? meant(spec.image ?? '', template, workload);
  if (!wanted) {
    const names = template.spec.containers.map(({ name }) => name);
    return refused(
      'container-ambiguous',
      `spec.image fits one container, but there are ${names.length} (${names.join(', ')}) and none is called ${workload}`,
      `name the container: spec.images: { ${names[0] ?? 'container'}: ${spec.image} }`,
    );
  }
  const unknown = Object.keys(wanted).filter((name) => !(name in live));
  if (unknown.length > 0) {
    const findings = unknown.map((name): Finding => {
      const near = nearest(name, Object.keys(live));
      return {
        check: 'container-unknown',
        level: 'error',
        message: `spec.images names container "${name}", the pod template has ${Object.keys(live).join(', ')}`,
        ...(near && { fix: `did you mean ${near}?` }),
      };
    });
    return { images: null, findings };
  }
  if (Object.entries(wanted).every(([name, image]) => live[name] === image)) {
    const found = Object.entries(wanted).map(([name, image]) => `${name} runs ${image}`);
    return refused(
      'image-unchanged',
      `nothing to release: ${found.join(', ')} already`,
      'name another image',
      wanted,
    );
  }
  return { images: wanted, findings: [] };
}

function meant(image: string, template: PodTemplate, workload: string): Record<string, string> | null {
  const { containers } = template.spec;
  const only = containers.length === 1 ? containers[0] : containers.find(({ name }) => name === workload);
  return only ? { [only.name]: image } : null;
}

function refused(
  check: string,
  message: string,
  fix: string,
  images: Record<string, string> | null = null,
): ImageChoice {
  return { images, findings: [{ check, level: 'error', message, fix }] };
}
