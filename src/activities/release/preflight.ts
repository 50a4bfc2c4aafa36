/** Reads everything that preflight judges, all at once. */
import type { KubeObject } from '../../domain/workload/objects.types.ts';
import { preflight } from '../../domain/preflight/preflight.ts';
import type { PreflightFacts, Readable } from '../../domain/preflight/types.ts';
import type { Actor, Preflight } from '../../domain/workload/types.ts';
import type { Release } from '../../specs/release.types.ts';
import { reviewAccess } from '../../kubernetes/access.ts';
import { KubeError } from '../../kubernetes/errors.ts';
import type { Kube } from '../../kubernetes/kube.ts';
import {
  AUTOSCALERS,
  DEPLOYMENTS,
  LIMIT_RANGES,
  PODS,
  REPLICA_SETS,
  RESOURCE_QUOTAS,
  type Resource,
} from '../../kubernetes/paths.ts';
import { selectorText } from '../../kubernetes/selector.ts';
import { readDeployment } from '../../kubernetes/workload.ts';

/** Reads and judges. Throws KubeError only when trying again may help; everything else becomes a finding. */
export async function runPreflight(
  kube: Kube,
  { release, actor }: { release: Release; actor: Actor },
  signal: AbortSignal,
): Promise<Preflight> {
  return preflight(await readFacts(kube, release.metadata, signal), release, actor);
}

async function readFacts(
  { client }: Kube,
  target: { namespace: string; name: string },
  signal: AbortSignal,
): Promise<PreflightFacts> {
  const { namespace, name } = target;
  const list = <T extends KubeObject>(resource: Resource, labelSelector?: string): Promise<Readable<T>> =>
    readable(() => client.list<T>(resource, namespace, { signal, ...(labelSelector && { labelSelector }) }));
  const reading = readable(async () => ({ items: [await readDeployment(client, target, { signal })] }));
  const below = async <T extends KubeObject>(resource: Resource): Promise<Readable<T>> => {
    const read = await reading;
    const deployment = 'items' in read ? read.items[0] : null;
    return deployment ? list<T>(resource, selectorText(deployment.spec.selector)) : { items: [] };
  };
  const [read, replicaSets, pods, quotas, limitRanges, autoscalers, access] = await Promise.all([
    reading,
    below<never>(REPLICA_SETS),
    below<never>(PODS),
    list<never>(RESOURCE_QUOTAS),
    list<never>(LIMIT_RANGES),
    list<never>(AUTOSCALERS),
    reviewAccess(client, namespace, signal),
  ]);
  const deployment = 'items' in read ? (read.items[0] ?? null) : null;
  const unreadable = 'unreadable' in read ? read.unreadable : null;
  const others = deployment || unreadable ? { items: [] } : await list(DEPLOYMENTS);
  const neighbours = 'items' in others ? others.items.map(({ metadata }) => metadata.name) : [];
  return {
    namespace,
    name,
    deployment,
    unreadable,
    neighbours,
    replicaSets,
    pods,
    quotas,
    limitRanges,
    autoscalers,
    access,
  };
}

/** What the API server refuses for good is a fact; what may pass is thrown. */
async function readable<T>(read: () => Promise<{ items: T[] }>): Promise<Readable<T>> {
  try {
    return { items: (await read()).items };
  } catch (error) {
    if (error instanceof KubeError && !error.retryable) return { unreadable: error.message };
    throw error;
  }
}
