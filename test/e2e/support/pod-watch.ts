/** Counts the pods of a namespace that serve, at every change of any of them: no moment between two looks is missed. */
import type { Pod } from '../../../src/domain/workload/objects.types.ts';
import { KubeClient } from '../../../src/kubernetes/client.ts';
import type { Connection } from '../../../src/kubernetes/connection.ts';
import { ListWatch } from '../../../src/kubernetes/list-watch.ts';
import { PODS } from '../../../src/kubernetes/paths.ts';

export class PodWatch {
  /** Fewest pods that served and most pods that were there, terminating ones left out. */
  readonly extremes = { serving: Number.POSITIVE_INFINITY, pods: 0 };
  readonly #copy: ListWatch<Pod>;

  private constructor(connection: Connection, namespace: string) {
    this.#copy = new ListWatch<Pod>({
      client: new KubeClient({ connection, version: 'pod-watch' }),
      resource: PODS,
      namespace,
      onChange: () => this.#count(),
    });
  }

  static async open(connection: Connection, namespace: string): Promise<PodWatch> {
    const watch = new PodWatch(connection, namespace);
    await watch.#copy.synced;
    watch.extremes.serving = Number.POSITIVE_INFINITY;
    watch.#count();
    return watch;
  }

  close(): { serving: number; pods: number } {
    this.#copy.stop();
    return this.extremes;
  }

  #count(): void {
    const pods = [...this.#copy.items.values()].filter(({ metadata }) => !metadata.deletionTimestamp);
    const serving = pods.filter((pod) =>
      pod.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True'),
    );
    this.extremes.serving = Math.min(this.extremes.serving, serving.length);
    this.extremes.pods = Math.max(this.extremes.pods, pods.length);
  }
}
