/**
 * Counts the pods of a namespace that serve and those that are asked for, at every change of any of them: no moment between
 * two looks is missed. Surge bounds what ReplicaSets ask for; a pod that is to go may outlive its order by a moment, by
 * Kubernetes' own doing.
 */
import type { Pod, ReplicaSet } from '../../../src/domain/workload/objects.types.ts';
import { KubeClient } from '../../../src/kubernetes/client.ts';
import type { Connection } from '../../../src/kubernetes/connection.ts';
import { ListWatch } from '../../../src/kubernetes/list-watch.ts';
import { PODS, REPLICA_SETS } from '../../../src/kubernetes/paths.ts';

export class PodWatch {
  /** Fewest pods that served, terminating ones left out, and most pods that were asked for. */
  readonly extremes = { serving: Number.POSITIVE_INFINITY, pods: 0 };
  readonly #pods: ListWatch<Pod>;
  readonly #replicaSets: ListWatch<ReplicaSet>;

  private constructor(connection: Connection, namespace: string) {
    const client = new KubeClient({ connection, version: 'pod-watch' });
    const onChange = () => this.#count();
    this.#pods = new ListWatch<Pod>({ client, resource: PODS, namespace, onChange });
    this.#replicaSets = new ListWatch<ReplicaSet>({ client, resource: REPLICA_SETS, namespace, onChange });
  }

  static async open(connection: Connection, namespace: string): Promise<PodWatch> {
    const watch = new PodWatch(connection, namespace);
    await Promise.all([watch.#pods.synced, watch.#replicaSets.synced]);
    watch.extremes.serving = Number.POSITIVE_INFINITY;
    watch.#count();
    return watch;
  }

  close(): { serving: number; pods: number } {
    this.#pods.stop();
    this.#replicaSets.stop();
    return this.extremes;
  }

  #count(): void {
    const pods = [...this.#pods.items.values()].filter(({ metadata }) => !metadata.deletionTimestamp);
    const serving = pods.filter((pod) =>
      pod.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True'),
    );
    this.extremes.serving = Math.min(this.extremes.serving, serving.length);
    const asked = [...this.#replicaSets.items.values()].reduce(
      (sum, { spec }) => sum + (spec?.replicas ?? 0),
      0,
    );
    this.extremes.pods = Math.max(this.extremes.pods, asked);
  }
}
