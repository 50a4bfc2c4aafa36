/** Asking the API server what we may do. */
import type { AccessReview } from '../domain/preflight/types.ts';
import { ACCESS_RULES, type AccessRule } from '../domain/preflight/access.ts';
import type { KubeClient } from './client.ts';
import { KubeError } from './errors.ts';

const PATH = 'apis/authorization.k8s.io/v1/selfsubjectaccessreviews';

/**
 * One review for each verb of the rules (those of a release by default), all at once. Throws KubeError when the API
 * server is away.
 */
export function reviewAccess(
  client: KubeClient,
  namespace: string,
  signal?: AbortSignal,
  rules: readonly AccessRule[] = ACCESS_RULES,
): Promise<AccessReview[]> {
  const wanted = rules.flatMap(({ group, resource, verbs, names = [undefined] }) =>
    verbs.flatMap((verb) => names.map((name) => ({ group, resource, verb, name }))),
  );
  return Promise.all(
    wanted.map(async ({ name, ...attributes }) => ({
      ...attributes,
      allowed: await review(client, namespace, { ...attributes, name }, signal),
    })),
  );
}

async function review(
  client: KubeClient,
  namespace: string,
  resourceAttributes: { group: string; resource: string; verb: string; name: string | undefined },
  signal?: AbortSignal,
): Promise<boolean | null> {
  // As in a Role: `pods/log` is a part of pods.
  const [resource, subresource] = resourceAttributes.resource.split('/');
  const body = {
    apiVersion: 'authorization.k8s.io/v1',
    kind: 'SelfSubjectAccessReview',
    spec: { resourceAttributes: { namespace, ...resourceAttributes, resource, subresource } },
  };
  try {
    const { status } = await client.review<{ status: { allowed: boolean } }>(PATH, body, { signal });
    return status.allowed;
  } catch (error) {
    if (error instanceof KubeError && !error.retryable) return null;
    throw error;
  }
}
