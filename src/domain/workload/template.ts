/** Pod templates: their images, and whether two are the same to the Deployment controller. */
import { canonicalJson, fingerprint } from '../digest.ts';
import type { Container, PodTemplate, ReplicaSet } from './objects.types.ts';

const HASH_LABEL = 'pod-template-hash';

/** All containers of a template, init containers first. Names are unique across both lists. */
function containersOf(template: PodTemplate): Container[] {
  return [...(template.spec.initContainers ?? []), ...template.spec.containers];
}

/** Images by container name; those of `names` only when given. Containers that do not exist are left out. */
export function imagesOf(template: PodTemplate, names?: Iterable<string>): Record<string, string> {
  const wanted = names ? new Set(names) : undefined;
  const images: Record<string, string> = {};
  for (const container of containersOf(template)) {
    if (!wanted || wanted.has(container.name)) images[container.name] = container.image ?? '';
  }
  return images;
}

/** The template with other images; containers that do not exist are ignored. */
export function withImages(template: PodTemplate, images: Record<string, string>): PodTemplate {
  const swap = (container: Container): Container => {
    const image = images[container.name];
    return image === undefined ? container : { ...container, image };
  };
  const { containers, initContainers } = template.spec;
  return {
    ...template,
    spec: {
      ...template.spec,
      containers: containers.map(swap),
      ...(initContainers && { initContainers: initContainers.map(swap) }),
    },
  };
}

/** The template of a ReplicaSet without the label that the Deployment controller adds. */
export function ownTemplate(template: PodTemplate): PodTemplate {
  const labels = template.metadata?.labels;
  if (!labels || !(HASH_LABEL in labels)) return template;
  const { [HASH_LABEL]: _, ...rest } = labels;
  return { ...template, metadata: { ...template.metadata, labels: rest } };
}

/** Whether the Deployment controller takes both for the same revision. */
export function sameTemplate(a: PodTemplate, b: PodTemplate): boolean {
  return comparable(a) === comparable(b);
}

/** Fingerprint of a template, blind to the controller's label. */
export function templateDigest(template: PodTemplate): string {
  return fingerprint(comparable(template));
}

/** Objects read from the API server are never changed in place, so each template is written out once. */
const written = new WeakMap<PodTemplate, string>();

function comparable(template: PodTemplate): string {
  const known = written.get(template);
  if (known !== undefined) return known;
  const own = ownTemplate(template);
  // `creationTimestamp: null` comes and goes with the version of the API server.
  const { creationTimestamp: _, ...metadata } = own.metadata ?? {};
  const text = canonicalJson({ metadata, spec: own.spec });
  written.set(template, text);
  return text;
}

/** pod-template-hash of a ReplicaSet. */
export function hashOf(replicaSet: ReplicaSet): string | null {
  return replicaSet.metadata.labels?.[HASH_LABEL] ?? null;
}

const REVISION_ANNOTATION = 'deployment.kubernetes.io/revision';

/** Revision number that the Deployment controller gave, 0 while it has not. */
export function revisionOf(object: { metadata: { annotations?: Record<string, string> } }): number {
  return Number(object.metadata.annotations?.[REVISION_ANNOTATION] ?? 0) || 0;
}
