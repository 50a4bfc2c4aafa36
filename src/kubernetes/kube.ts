/** What a process needs to work with one cluster, opened once and shared by all its activities. */
import { KubeClient } from './client.ts';
import { connect, type ConnectionOptions } from './connection.ts';
import { NamespaceCaches } from './namespace-cache.ts';
import type { RequestsOptions } from './requests.ts';

/** One cluster, as a process works with it. */
export interface Kube {
  client: KubeClient;
  caches: NamespaceCaches;
  /** Ends all streams and connections. */
  close(): void;
}

/** Opens the cluster of a kubeconfig, or the pod's own. Throws Error when there is no usable configuration. */
export async function openKube(
  options: ConnectionOptions & Omit<RequestsOptions, 'connection'> = {},
): Promise<Kube> {
  return kubeOf(new KubeClient({ ...options, connection: await connect(options) }));
}

/** The same over a client that is there already. */
export function kubeOf(client: KubeClient): Kube {
  const caches = new NamespaceCaches({ client });
  return {
    client,
    caches,
    close: () => {
      caches.stop();
      client.connection.close();
    },
  };
}
