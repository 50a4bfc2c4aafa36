// The API server and the two controllers beside it.
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { kubernetes, type Lab, serverUrl } from '../lab.ts';
import { addressIn, networkOf } from '../network.ts';
import { kubeconfig, USERS } from '../pki.ts';
import { writeWhole } from '../state.ts';
import { listening } from '../wait.ts';
import { type Component, flags } from './component.ts';

/**
 * Everything that people and Slipway do is logged with who, what and when, but no bodies; of the cluster's own parts only
 * what they write. Benchmarks count requests in this log.
 */
const AUDIT_POLICY = {
  apiVersion: 'audit.k8s.io/v1',
  kind: 'Policy',
  omitStages: ['RequestReceived'],
  rules: [
    {
      level: 'None',
      nonResourceURLs: ['/healthz*', '/readyz*', '/livez*', '/metrics', '/openapi/*', '/version'],
    },
    { level: 'None', resources: [{ group: 'coordination.k8s.io', resources: ['leases'] }] },
    {
      level: 'None',
      userGroups: ['system:nodes', 'system:serviceaccounts:kube-system'],
      verbs: ['get', 'list', 'watch'],
    },
    {
      level: 'None',
      users: [
        ...[
          'system:apiserver',
          'system:kube-controller-manager',
          'system:kube-scheduler',
          'system:kube-proxy',
        ],
        ...[USERS.prometheus.name, USERS.kwok.name],
      ],
      verbs: ['get', 'list', 'watch'],
    },
    { level: 'Metadata' },
  ],
};

/** Writes a user's kubeconfig below the lab's config folder and answers its path. */
export function userConfig(lab: Lab, user: { file: string; name: string }): string {
  const file = join(lab.folder('config'), `${user.file}.kubeconfig`);
  writeWhole(file, kubeconfig(lab.paths.pki, serverUrl(lab), user), 0o600);
  return file;
}

export const apiserver: Component = {
  name: 'kube-apiserver',
  parts: ['kube-apiserver'],
  ports: ['kube-apiserver'],
  after: ['etcd', 'fence'],
  readyTimeoutMs: 60_000,
  launch(lab) {
    const network = networkOf(lab);
    const policy = join(lab.folder('config'), 'audit-policy.json');
    writeWhole(policy, JSON.stringify(AUDIT_POLICY, null, 2));
    writeFileSync(lab.paths.auditLog, '', { flag: 'a', mode: 0o600 });
    writeWhole(lab.paths.kubeconfig, kubeconfig(lab.paths.pki, serverUrl(lab), USERS.admin), 0o600);
    const file = (name: string) => join(lab.paths.pki, name);
    return {
      part: 'kube-apiserver',
      args: flags({
        'bind-address': '127.0.0.1',
        'secure-port': lab.port('kube-apiserver'),
        // It serves on the loopback only, which no endpoint may name: pods reach it under its ClusterIP by a rule of the lab's.
        'advertise-address': network.gateway,
        'endpoint-reconciler-type': 'none',
        'service-cluster-ip-range': network.services,
        'etcd-servers': `https://127.0.0.1:${lab.port('etcd')}`,
        'etcd-cafile': file('ca.crt'),
        'etcd-certfile': file('apiserver-etcd-client.crt'),
        'etcd-keyfile': file('apiserver-etcd-client.key'),
        'tls-cert-file': file('apiserver.crt'),
        'tls-private-key-file': file('apiserver.key'),
        'client-ca-file': file('ca.crt'),
        'authorization-mode': 'Node,RBAC',
        'enable-admission-plugins': 'NodeRestriction', // on top of the defaults: quota, limit ranges, pod security ...
        'allow-privileged': true,
        'service-account-issuer': 'https://kubernetes.default.svc.cluster.local',
        'service-account-key-file': file('sa.pub'),
        'service-account-signing-key-file': file('sa.key'),
        'kubelet-preferred-address-types': 'Hostname',
        'kubelet-certificate-authority': file('ca.crt'),
        'kubelet-client-certificate': file('apiserver-kubelet-client.crt'),
        'kubelet-client-key': file('apiserver-kubelet-client.key'),
        'requestheader-client-ca-file': file('ca.crt'),
        'requestheader-allowed-names': 'front-proxy-client',
        'requestheader-username-headers': 'X-Remote-User',
        'requestheader-group-headers': 'X-Remote-Group',
        'requestheader-extra-headers-prefix': 'X-Remote-Extra-',
        'proxy-client-cert-file': file('front-proxy-client.crt'),
        'proxy-client-key-file': file('front-proxy-client.key'),
        'audit-policy-file': policy,
        'audit-log-path': lab.paths.auditLog,
        'audit-log-maxsize': 200,
        'audit-log-maxbackup': 2,
        profiling: false,
        // Streamed lists need etcd 3.4.25 or 3.5.8. Before an older one the API server breaks every watch that starts at
        // no version, and kwok, which starts all of its watches so, sees pods half a minute late.
        'feature-gates': 'WatchList=false',
      }),
    };
  },
  async ready(lab) {
    const { status } = await kubernetes(lab, 'GET', '/readyz');
    return status === 200;
  },
  async settle(lab) {
    chmodSync(lab.paths.auditLog, 0o600);
  },
};

export const controllerManager: Component = {
  name: 'kube-controller-manager',
  parts: ['kube-controller-manager'],
  ports: ['kube-controller-manager'],
  after: ['kube-apiserver'],
  readyTimeoutMs: 30_000,
  launch(lab) {
    const config = userConfig(lab, USERS.controllerManager);
    const file = (name: string) => join(lab.paths.pki, name);
    return {
      part: 'kube-controller-manager',
      args: flags({
        ...loopback(lab, 'kube-controller-manager', config),
        'service-account-private-key-file': file('sa.key'),
        'root-ca-file': file('ca.crt'),
        'cluster-signing-cert-file': file('ca.crt'),
        'cluster-signing-key-file': file('ca.key'),
        'use-service-account-credentials': true,
      }),
    };
  },
  ready: (lab) => listening(lab.port('kube-controller-manager')),
};

export const scheduler: Component = {
  name: 'kube-scheduler',
  parts: ['kube-scheduler'],
  ports: ['kube-scheduler'],
  after: ['kube-apiserver'],
  readyTimeoutMs: 30_000,
  launch(lab) {
    const config = userConfig(lab, USERS.scheduler);
    return { part: 'kube-scheduler', args: flags(loopback(lab, 'kube-scheduler', config)) };
  },
  ready: (lab) => listening(lab.port('kube-scheduler')),
};

function loopback(lab: Lab, port: string, config: string): Record<string, string | number | boolean> {
  return {
    kubeconfig: config,
    'authentication-kubeconfig': config,
    'authorization-kubeconfig': config,
    'bind-address': '127.0.0.1',
    'secure-port': lab.port(port),
    'leader-elect': false,
    // Thousands of simulated pods would wait minutes for the default of 20 requests a second.
    ...(lab.state.nodes === 'simulated' && { 'kube-api-qps': 300, 'kube-api-burst': 600 }),
    profiling: false,
  };
}

/** The API server's own ClusterIP: the first address of the range. */
export const apiserverClusterAddress = (lab: Lab): string => addressIn(networkOf(lab).services, 1);
