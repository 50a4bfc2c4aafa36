/** Reading a Deployment and writing decisions about it, guarded against everybody else who writes. */
import type { Deployment } from '../domain/workload/objects.types.ts';
import type { Decision } from '../domain/workload/patch.ts';
import type { Target } from '../domain/workload/types.ts';
import type { CallOptions, KubeClient } from './client.ts';
import { KubeError } from './errors.ts';
import { DEPLOYMENTS } from './paths.ts';

/** How often a decision is made anew at once because somebody else wrote in between. */
const CONFLICTS = 5;

interface WriteOptions {
  signal?: AbortSignal | undefined;
  dryRun?: boolean;
  /** Field manager, when it is not the release's. */
  manager?: string;
  /** The workload as seen a moment ago, to save the first read; a patch of an older one is refused and decided anew. */
  glimpse?: Deployment | undefined;
}

/** What a decision has come to; `deployment` is the object after it. */
export type Written =
  | { result: 'patched'; deployment: Deployment }
  | { result: 'nothing' | 'stale'; deployment: Deployment };

/** The Deployment, `null` when there is none. Throws KubeError. */
export async function readDeployment(
  client: KubeClient,
  { namespace, name }: Target,
  options: Pick<CallOptions, 'signal' | 'attempts'> = {},
): Promise<Deployment | null> {
  try {
    return await client.get<Deployment>(DEPLOYMENTS, namespace, name, options);
  } catch (error) {
    if (error instanceof KubeError && error.reason === 'NotFound') return null;
    throw error;
  }
}

/**
 * Reads, decides, and patches with what was read as precondition; when somebody else was faster, decides anew.
 * Throws KubeError: `Gone` when the workload is not there or is another one than `uid`, the reason of a refusal, or
 * what the API server said.
 */
export async function decideAndPatch(
  client: KubeClient,
  target: Target,
  uid: string | null,
  decide: (deployment: Deployment) => Decision,
  options: WriteOptions = {},
): Promise<Written> {
  const { signal, dryRun = false, manager } = options;
  let { glimpse } = options;
  for (let attempt = 1; ; attempt++) {
    const deployment = glimpse ?? (await readDeployment(client, target, { signal }));
    if (!deployment || (uid !== null && deployment.metadata.uid !== uid))
      throw gone(target, deployment !== null);
    const decision = decide(deployment);
    // Only a patch proves, by its precondition, that a glimpse was not out of date.
    if (decision.do !== 'patch' && glimpse) {
      glimpse = undefined;
      continue;
    }
    if (decision.do === 'refuse') throw refusal(target, decision);
    if (decision.do !== 'patch') return { result: decision.do, deployment };
    try {
      const written = await client.patch<Deployment>(DEPLOYMENTS, deployment, decision.patch, {
        signal,
        dryRun,
        manager,
      });
      return { result: 'patched', deployment: written };
    } catch (error) {
      if (!(error instanceof KubeError)) throw error;
      if (error.reason === 'NotFound') throw gone(target, false);
      if (error.reason !== 'Conflict' || attempt >= CONFLICTS) throw error;
      glimpse = undefined;
    }
  }
}

function gone({ namespace, name }: Target, recreated: boolean): KubeError {
  return new KubeError({
    status: 404,
    reason: 'Gone',
    message: recreated
      ? `Deployment ${namespace}/${name} was deleted and made again: it is not the one that the release began with`
      : `Deployment ${namespace}/${name} does not exist`,
    retryable: false,
  });
}

function refusal({ namespace, name }: Target, decision: Decision & { do: 'refuse' }): KubeError {
  const message = `Deployment ${namespace}/${name}: ${decision.message}`;
  return new KubeError({ status: 409, reason: decision.why, message, retryable: false });
}
