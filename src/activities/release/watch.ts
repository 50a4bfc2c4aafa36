/** Waiting for a workload to look different, on the shared live copies: no polling, however long it takes. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Observed, observe, unseen } from '../../domain/workload/observe.ts';
import { UNSEEN_DIGEST } from '../../domain/names.ts';
import type { Deployment, Pod, ReplicaSet, WorkloadObjects } from '../../domain/workload/objects.types.ts';
import { controllerOf } from '../../domain/workload/owner.ts';
import type { Observation } from '../../domain/workload/types.ts';
import { KubeError } from '../../kubernetes/errors.ts';
import type { Kube } from '../../kubernetes/kube.ts';
import type { NamespaceCache } from '../../kubernetes/namespace-cache.ts';
import { PODS, REPLICA_SETS } from '../../kubernetes/paths.ts';
import { selectorText } from '../../kubernetes/selector.ts';
import { readDeployment } from '../../kubernetes/workload.ts';
import type { WatchInput } from './types.ts';

/** Changes come in bursts (a ReplicaSet, its pods, the Deployment's status); one answer for a burst is enough. */
const COALESCE_MS = 60;
/** API servers are restarted one after the other; a shorter silence is not worth a word. */
const LOST_AFTER_MS = 3_000;
/** The first list of a large namespace takes its time. */
const FIRST_LIST_MS = 10_000;
const SILENCE = 'the API server does not answer';
/** While nobody answers, this often somebody asks beside the streams: they do not tell of permissions that were lost. */
const PROBE_MS = 30_000;
/** Between a stream that is there again and a read that still fails. */
const PAUSE_MS = 500;
/** Timers of Node end at 24.8 days. */
const MAX_TIMER_MS = 86_400_000;

/**
 * Resolves with the first observation whose digest is not `seen`; that the workload cannot be seen for the time being is
 * one too. Throws KubeError, or the signal's reason.
 */
export async function watchWorkload(
  kube: Kube,
  input: WatchInput,
  signal: AbortSignal,
): Promise<Observation> {
  using lease = kube.caches.lease(input.target.namespace);
  const { cache } = lease;
  const wake = wakeUp(cache, input.uid);
  try {
    const first = await firstLook(kube, cache, wake, input, signal);
    if (first) return first;
    for (;;) {
      const now = performance.now();
      const lostFrom = cache.lostSince === null ? null : cache.lostSince + LOST_AFTER_MS;
      if (lostFrom !== null && (lostFrom <= now || input.seen === UNSEEN_DIGEST)) {
        if (input.seen !== UNSEEN_DIGEST) return unseen(kube.client.now(), cache.lostWhy ?? SILENCE);
        await wake.next(null, signal);
        continue;
      }
      const { observation, due } = look(kube, cache.workload(input.uid), input);
      if (observation.digest === input.seen) {
        const inMs = [
          due === null ? null : due - kube.client.now(),
          lostFrom === null ? null : lostFrom - now,
        ];
        await wake.next(soonest(inMs), signal);
      } else if (isUrgent(observation) || input.seen === null) {
        return observation;
      } else {
        await sleep(COALESCE_MS, undefined, { signal });
        const { observation: settled } = look(kube, cache.workload(input.uid), input);
        if (settled.digest !== input.seen) return settled;
      }
    }
  } finally {
    wake.dispose();
  }
}

/**
 * One fresh read, so that what this very release wrote a moment ago is never overlooked; then the copies are waited for.
 * Answers what is to be told at once: that the workload is gone, or that nobody answers.
 */
async function firstLook(
  kube: Kube,
  cache: NamespaceCache,
  wake: WakeUp,
  input: WatchInput,
  signal: AbortSignal,
): Promise<Observation | null> {
  const { target, uid, seen } = input;
  const known = seen === UNSEEN_DIGEST;
  for (;;) {
    // The streams try again by themselves, for all who wait; one more who asks would only be a burden.
    if (known && cache.lostSince !== null) await wake.next(PROBE_MS, signal);
    try {
      const fresh = await readDeployment(kube.client, target, { signal, ...(known && { attempts: 1 }) });
      if (fresh?.metadata.uid !== uid) return look(kube, null, input).observation;
      cache.offer(fresh);
      const patience = known ? null : FIRST_LIST_MS;
      if (await within(abortable(cache.synced(), signal), patience)) return null;
      return unseen(kube.client.now(), cache.lostWhy ?? SILENCE);
    } catch (error) {
      if (!(error instanceof KubeError) || !error.retryable) throw error;
      if (!known) return unseen(kube.client.now(), error.message);
      await sleep(PAUSE_MS, undefined, { signal });
    }
  }
}

/** Reads once, past all copies. Throws KubeError, or the signal's reason. */
export async function observeWorkload(
  kube: Kube,
  input: WatchInput,
  signal: AbortSignal,
): Promise<Observation> {
  const deployment = await readDeployment(kube.client, input.target, { signal });
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

/** Waits for a promise, at most so long; whether it was kept. Its failure is thrown. */
async function within(promise: Promise<void>, ms: number | null): Promise<boolean> {
  if (ms === null) return await promise.then(() => true);
  let timer: NodeJS.Timeout | undefined;
  const over = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), ms);
  });
  try {
    return await Promise.race([promise.then(() => true), over]);
  } finally {
    clearTimeout(timer);
  }
}

function soonest(times: (number | null)[]): number | null {
  const known = times.filter((time) => time !== null);
  return known.length > 0 ? Math.min(...known) : null;
}
