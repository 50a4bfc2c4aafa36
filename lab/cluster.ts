// What the lab puts into its cluster: names for the servers on the host, and rights for its own readers.
import { clusterDnsAddress } from './components/node.ts';
import { apiserverClusterAddress } from './components/control-plane.ts';
import { applyObject, kubernetes, type Lab } from './lab.ts';
import { addressIn, type HostService, networkOf } from './network.ts';
import { USERS } from './pki.ts';
import { eventually } from './wait.ts';

/** Where the example's services and the seed's manifests live. */
export const NAMESPACE = 'ecommerce';

export const mongodbClusterAddress = (lab: Lab): string => addressIn(networkOf(lab).services, 27);

/**
 * The servers that pods reach under a ClusterIP. Their Services have no endpoints on purpose: an endpoint
 * may not be a loopback address, and these servers listen nowhere else (see network.ts).
 */
export function hostServices(lab: Lab): HostService[] {
  const dns = { clusterAddress: clusterDnsAddress(lab), clusterPort: 53, hostPort: lab.port('coredns') };
  return [
    {
      protocol: 'tcp',
      clusterAddress: apiserverClusterAddress(lab),
      clusterPort: 443,
      hostPort: lab.port('kube-apiserver'),
    },
    {
      protocol: 'tcp',
      clusterAddress: mongodbClusterAddress(lab),
      clusterPort: 27017,
      hostPort: lab.port('mongod'),
    },
    { protocol: 'tcp', ...dns },
    { protocol: 'udp', ...dns },
  ];
}

function service(name: string, namespace: string, clusterIP: string, ports: unknown[]) {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {
      name,
      namespace,
      annotations: {
        'slipway.dev/lab': 'served by the host; the lab rewrites the address, so there are no endpoints',
      },
    },
    spec: { clusterIP, ports },
  };
}

export async function prepareCluster(lab: Lab): Promise<void> {
  const rbac = '/apis/rbac.authorization.k8s.io/v1';
  await makeNamespace(lab);
  await applyObject(lab, `${rbac}/clusterrolebindings/slipway-lab-readers`, {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRoleBinding',
    metadata: { name: 'slipway-lab-readers' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'slipway-lab-reader' },
    subjects: [USERS.prometheus, USERS.coredns].map(({ name }) => ({
      apiGroup: 'rbac.authorization.k8s.io',
      kind: 'User',
      name,
    })),
  });
  await applyObject(lab, `${rbac}/clusterroles/slipway-lab-reader`, {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRole',
    metadata: { name: 'slipway-lab-reader' },
    rules: [
      {
        apiGroups: [''],
        resources: ['pods', 'services', 'endpoints', 'nodes', 'namespaces'],
        verbs: ['list', 'watch'],
      },
      { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: ['list', 'watch'] },
      { nonResourceURLs: ['/metrics'], verbs: ['get'] },
    ],
  });
  if (lab.state.nodes !== 'real') return;
  await applyObject(
    lab,
    '/api/v1/namespaces/kube-system/services/kube-dns',
    service('kube-dns', 'kube-system', clusterDnsAddress(lab), [
      { name: 'dns', port: 53, protocol: 'UDP' },
      { name: 'dns-tcp', port: 53, protocol: 'TCP' },
    ]),
  );
  await applyObject(
    lab,
    `/api/v1/namespaces/${NAMESPACE}/services/mongodb`,
    service('mongodb', NAMESPACE, mongodbClusterAddress(lab), [
      { name: 'mongodb', port: 27017, protocol: 'TCP' },
    ]),
  );
}

/** Made only when it is missing: from then on it belongs to whoever applies the example's manifests. */
async function makeNamespace(lab: Lab): Promise<void> {
  const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } };
  const annotations = { 'kubectl.kubernetes.io/last-applied-configuration': JSON.stringify(namespace) };
  const body = { ...namespace, metadata: { name: NAMESPACE, annotations } };
  const { status } = await kubernetes(lab, 'POST', '/api/v1/namespaces?fieldManager=slipway-lab', body);
  if (status >= 300 && status !== 409) throw new Error(`creating namespace ${NAMESPACE}: HTTP ${status}`);
}

const ACCOUNTS_TIMEOUT_MS = 20_000;

/** The controller manager makes each namespace's default account a moment after the namespace; until then no pod is admitted. */
export async function awaitAccounts(lab: Lab): Promise<void> {
  for (const namespace of ['default', NAMESPACE]) {
    const path = `/api/v1/namespaces/${namespace}/serviceaccounts/default`;
    const there = await eventually(async () => (await kubernetes(lab, 'GET', path)).status === 200, {
      timeoutMs: ACCOUNTS_TIMEOUT_MS,
    });
    if (!there)
      throw new Error(
        `namespace ${namespace} got no default service account; see kube-controller-manager's log`,
      );
  }
}
