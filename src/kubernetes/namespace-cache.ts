/**
 * Live copies of the Deployments, ReplicaSets and pods of namespaces, shared by everybody in the process who waits for
 * a workload: three streams a namespace, however many wait, and no polling.
 */
import type {
  Deployment,
  KubeObject,
  Pod,
  ReplicaSet,
  WorkloadObjects,
} from '../domain/workload/objects.types.ts';
import { controllerOf } from '../domain/workload/owner.ts';
import type { KubeClient } from './client.ts';
import { ListWatch, type ListWatchTiming } from './list-watch.ts';
import { DEPLOYMENTS, PODS, REPLICA_SETS } from './paths.ts';

interface NamespaceCachesOptions {
  client: KubeClient;
  /** How long the streams of a namespace outlive the last one who waited, since waiting often goes on in a moment. */
  lingerMs?: number;
  timing?: Partial<ListWatchTiming>;
}

/** The copies of all namespaces in which somebody waits. */
export class NamespaceCaches {
  readonly #options: NamespaceCachesOptions;
  readonly #caches = new Map<string, { cache: NamespaceCache; users: number; idle?: NodeJS.Timeout }>();

  constructor(options: NamespaceCachesOptions) {
    this.#options = options;
  }

  /** Borrows the copy of a namespace; dispose of the lease to give it back. */
  lease(namespace: string): NamespaceLease {
    let entry = this.#caches.get(namespace);
    if (!entry) {
      const { client, timing } = this.#options;
      entry = { cache: new NamespaceCache(client, namespace, timing), users: 0 };
      this.#caches.set(namespace, entry);
    }
    const held = entry;
    held.users += 1;
    clearTimeout(held.idle);
    let given = false;
    return {
      cache: held.cache,
      [Symbol.dispose]: () => {
        if (given) return;
        given = true;
        held.users -= 1;
        if (held.users === 0) this.#retire(namespace, held);
      },
    };
  }

  /** The copy of a namespace if somebody waits there, `undefined` otherwise. */
  peek(namespace: string): NamespaceCache | undefined {
    return this.#caches.get(namespace)?.cache;
  }

  /** Ends all streams. */
  stop(): void {
    for (const { cache, idle } of this.#caches.values()) {
      clearTimeout(idle);
      cache.stop();
    }
    this.#caches.clear();
  }

  #retire(namespace: string, entry: { cache: NamespaceCache; idle?: NodeJS.Timeout }): void {
    entry.idle = setTimeout(() => {
      entry.cache.stop();
      this.#caches.delete(namespace);
    }, this.#options.lingerMs ?? 60_000);
    entry.idle.unref();
  }
}

interface NamespaceLease extends Disposable {
  readonly cache: NamespaceCache;
}

/** The copy of one namespace. */
export class NamespaceCache {
  readonly #deployments: ListWatch<Deployment>;
  readonly #replicaSets: ListWatch<ReplicaSet>;
  readonly #pods: ListWatch<Pod>;
  /** UIDs by the UID of their controller, so that a workload is put together without a search. */
  readonly #children = new Map<string, Set<string>>();
  readonly #listeners = new Map<string, Set<() => void>>();

  constructor(client: KubeClient, namespace: string, timing?: Partial<ListWatchTiming>) {
    const onSight = (): void => {
      for (const listeners of this.#listeners.values()) for (const listener of listeners) listener();
    };
    const common = { client, namespace, onSight, ...(timing && { timing }) };
    this.#deployments = new ListWatch<Deployment>({
      ...common,
      resource: DEPLOYMENTS,
      onChange: ({ metadata }) => this.#notify(metadata.uid),
    });
    this.#replicaSets = new ListWatch<ReplicaSet>({
      ...common,
      resource: REPLICA_SETS,
      onChange: (replicaSet, gone) => {
        delete replicaSet.metadata.managedFields;
        this.#notify(this.#file(replicaSet, gone));
      },
    });
    this.#pods = new ListWatch<Pod>({
      ...common,
      resource: PODS,
      onChange: (pod, gone) => {
        // A good part of a pod's size, and nobody reads it.
        delete pod.metadata.managedFields;
        const replicaSet = this.#replicaSets.items.get(this.#file(pod, gone) ?? '');
        this.#notify(replicaSet && controllerOf(replicaSet));
      },
    });
  }

  /** Resolves when all three copies are complete. Rejects with a KubeError when reading is forbidden. */
  async synced(): Promise<void> {
    await Promise.all([this.#deployments.synced, this.#replicaSets.synced, this.#pods.synced]);
  }

  /**
   * Since when at least one of the copies has not been kept up to date, by `performance.now()`; `null` while all are.
   * Who subscribed to a workload is called when this changes.
   */
  get lostSince(): number | null {
    const since = this.#copies.map(({ lostSince }) => lostSince);
    const known = since.filter((time) => time !== null);
    return known.length > 0 ? Math.min(...known) : null;
  }

  /** What the API server said last where a copy is not kept up to date, in its words or the network's. */
  get lostWhy(): string | null {
    return this.#copies.map(({ lostWhy }) => lostWhy).find((why) => why !== null) ?? null;
  }

  get #copies() {
    return [this.#deployments, this.#replicaSets, this.#pods];
  }

  /** A workload as the copies have it, `null` when there is no Deployment of this UID. */
  workload(uid: string): WorkloadObjects | null {
    const deployment = this.#deployments.items.get(uid);
    if (!deployment) return null;
    const replicaSets = this.#childrenOf(uid, this.#replicaSets.items);
    const pods = replicaSets.flatMap(({ metadata }) => this.#childrenOf(metadata.uid, this.#pods.items));
    return { deployment, replicaSets, pods };
  }

  /** Takes in a Deployment that was just read or written, so that nobody looks at an older one. */
  offer(deployment: Deployment): void {
    for (const copy of this.#copies) copy.nudge();
    this.#deployments.offer(deployment);
  }

  /** Calls back on each change of a workload or of anything below it, until the returned function is called. */
  subscribe(uid: string, listener: () => void): () => void {
    const listeners = this.#listeners.get(uid) ?? new Set();
    this.#listeners.set(uid, listeners);
    listeners.add(listener);
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0) this.#listeners.delete(uid);
    };
  }

  stop(): void {
    this.#deployments.stop();
    this.#replicaSets.stop();
    this.#pods.stop();
  }

  #notify(uid: string | undefined): void {
    if (uid === undefined) return;
    for (const listener of this.#listeners.get(uid) ?? []) listener();
  }

  #childrenOf<T>(uid: string, items: ReadonlyMap<string, T>): T[] {
    return [...(this.#children.get(uid) ?? [])].flatMap((child) => items.get(child) ?? []);
  }

  #file(object: KubeObject, gone: boolean): string | undefined {
    const parent = controllerOf(object);
    if (parent === undefined) return undefined;
    const children = this.#children.get(parent) ?? new Set();
    if (gone) children.delete(object.metadata.uid);
    else children.add(object.metadata.uid);
    if (children.size > 0) this.#children.set(parent, children);
    else this.#children.delete(parent);
    return parent;
  }
}
