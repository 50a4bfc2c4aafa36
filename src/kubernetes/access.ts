/** Asking the API server what we may do. */
import type { AccessReview } from '../domain/preflight.types.ts';
import { ACCESS_RULES } from '../domain/preflight-access.ts';
import type { KubeClient } from './client.ts';
import { KubeError } from './errors.ts';

const PATH = 'apis/authorization.k8s.io/v1/selfsubjectaccessreviews';

/** One review for each verb that a release needs, all at once. Throws KubeError when the API server is away. */
export function reviewAccess(
  client: KubeClient,
  namespace: string,
  signal?: AbortSignal,
): Promise<AccessReview[]> {
  const wanted = ACCESS_RULES.flatMap(({ group, resource, verbs }) =>
    verbs.map((verb) => ({ group, resource, verb })),
  );
  return Promise.all(
    wanted.map(async (attributes) => ({
      ...attributes,
      allowed: await review(client, namespace, attributes, signal),
    })),
  );
}

async function review(
  client: KubeClient,
  namespace: string,
  resourceAttributes: { group: string; resource: string; verb: string },
  signal?: AbortSignal,
): Promise<boolean | null> {
  const body = {
    apiVersion: 'authorization.k8s.io/v1',
    kind: 'SelfSubjectAccessReview',
    spec: { resourceAttributes: { namespace, ...resourceAttributes } },
  };
  try {
    const { status } = await client.review<{ status: { allowed: boolean } }>(PATH, body, { signal });
    return status.allowed;
  } catch (error) {
    if (error instanceof KubeError && !error.retryable) return null;
    throw error;
  }
}
