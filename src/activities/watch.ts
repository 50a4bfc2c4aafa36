/** Waiting for a workload to look different, on the shared live copies: no polling, however long it takes. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Observed, observe } from '../domain/observe.ts';
import type { Deployment, Pod, ReplicaSet, WorkloadObjects } from '../domain/objects.types.ts';
import { controllerOf } from '../domain/owner.ts';
import type { Observation } from '../domain/workload.types.ts';
import type { Kube } from '../kubernetes/kube.ts';
import type { NamespaceCache } from '../kubernetes/namespace-cache.ts';
import { PODS, REPLICA_SETS } from '../kubernetes/paths.ts';
import { selectorText } from '../kubernetes/selector.ts';
import { readDeployment } from '../kubernetes/workload.ts';
import type { WatchInput } from './release.types.ts';

/** Changes come in bursts (a ReplicaSet, its pods, the Deployment's status); one answer for a burst is enough. */
const COALESCE_MS = 60;
/** Timers of Node end at 24.8 days. */
const MAX_TIMER_MS = 86_400_000;

/** Resolves with the first observation whose digest is not `seen`. Throws KubeError, or the signal's reason. */
export async function watchWorkload(
  kube: Kube,
  input: WatchInput,
  signal: AbortSignal,
): Promise<Observation> {
  const { target, uid } = input;
  using lease = kube.caches.lease(target.namespace);
  const { cache } = lease;
  // One fresh read, so that what this very release wrote a moment ago is never overlooked.
  const [fresh] = await Promise.all([
    readDeployment(kube.client, target, signal),
    abortable(cache.synced(), signal),
  ]);
  if (fresh?.metadata.uid !== uid) return look(kube, null, input).observation;
  cache.offer(fresh);
  const wake = wakeUp(cache, uid);
  try {
    for (;;) {
      const { observation, due } = look(kube, cache.workload(uid), input);
      if (observation.digest === input.seen) {
        await wake.next(due === null ? null : due - kube.client.now(), signal);
      } else if (isUrgent(observation) || input.seen === null) {
        return observation;
      } else {
        await sleep(COALESCE_MS, undefined, { signal });
        const { observation: settled } = look(kube, cache.workload(uid), input);
        if (settled.digest !== input.seen) return settled;
      }
    }
  } finally {
    wake.dispose();
  }
}

/** Reads once, past all copies. Throws KubeError, or the signal's reason. */
export async function observeWorkload(
  kube: Kube,
  input: WatchInput,
  signal: AbortSignal,
): Promise<Observation> {
  const deployment = await readDeployment(kube.client, input.target, signal);
  const objects = deployment && (await readWorkload(kube, deployment, signal));
  return look(kube, objects, input).observation;
}

/** A Deployment with its ReplicaSets and pods, read from the API server. Throws KubeError, or the signal's reason. */
async function readWorkload(
  kube: Kube,
  deployment: Deployment,
  signal: AbortSignal,
): Promise<WorkloadObjects> {
  const { namespace, uid } = deployment.metadata;
  const options = { labelSelector: selectorText(deployment.spec.selector), signal };
  const [replicaSets, pods] = await Promise.all([
    kube.client.list<ReplicaSet>(REPLICA_SETS, namespace, options),
    kube.client.list<Pod>(PODS, namespace, options),
  ]);
  const own = replicaSets.items.filter((replicaSet) => controllerOf(replicaSet) === uid);
  return { deployment, replicaSets: own, pods: pods.items };
}

function look(kube: Kube, objects: WorkloadObjects | null, input: WatchInput): Observed {
  return observe(objects, input, kube.client.now());
}

function isUrgent({ problems, drift, missing }: Observation): boolean {
  return missing || problems.length > 0 || drift.length > 0;
}

interface WakeUp {
  /** Resolves at the next change since the last call, or after `ms`. Throws the signal's reason. */
  next(ms: number | null, signal: AbortSignal): Promise<void>;
  dispose(): void;
}

function wakeUp(cache: NamespaceCache, uid: string): WakeUp {
  let changed = Promise.withResolvers<void>();
  const unsubscribe = cache.subscribe(uid, () => changed.resolve());
  return {
    async next(ms, signal) {
      const timer =
        ms === null ? undefined : setTimeout(changed.resolve, Math.min(Math.max(ms, 1), MAX_TIMER_MS));
      try {
        await abortable(changed.promise, signal);
      } finally {
        clearTimeout(timer);
        changed = Promise.withResolvers();
      }
    },
    dispose: unsubscribe,
  };
}

/** Waits for a promise no longer than the signal allows, and leaves no listener behind. */
async function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const aborted = Promise.withResolvers<never>();
  const onAbort = (): void => aborted.reject(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
