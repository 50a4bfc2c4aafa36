// A real node: containerd, kubelet and kube-proxy on this machine.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { PAUSE_IMAGE } from '../images.ts';
import { kubernetes, type Lab } from '../lab.ts';
import { bridgeName, networkOf } from '../network.ts';
import { USERS } from '../pki.ts';
import { writeWhole } from '../state.ts';
import { healthy } from '../wait.ts';
import { type Component, flags } from './component.ts';
import { userConfig } from './control-plane.ts';

export const NODE_NAME = 'localhost';
export const containerdSocket = (lab: Lab): string => join(lab.paths.run, 'containerd.sock');
export const containerdState = (lab: Lab): string => join(lab.paths.run, 'containerd');
export const cgroupName = (lab: Lab): string => `slipway-${lab.paths.id}`;

/** CNI plugins and kube-proxy call iptables; containerd calls runc and its shim. */
const searchPath = (lab: Lab, parts: readonly string[]): string =>
  [
    ...new Set(parts.map((part) => dirname(lab.program(part)))),
    process.env['PATH'] ?? '',
    '/usr/sbin:/sbin',
  ].join(':');

const toml = JSON.stringify; // a JSON string is a TOML basic string

function containerdConfig(lab: Lab): string {
  const cri = 'plugins."io.containerd.grpc.v1.cri"';
  return `version = 2
root = ${toml(lab.folder('data', 'containerd'))}
state = ${toml(containerdState(lab))}
[grpc]
  address = ${toml(containerdSocket(lab))}
[plugins."io.containerd.internal.v1.opt"]
  path = ${toml(join(lab.paths.run, 'opt'))}
[${cri}]
  sandbox_image = ${toml(PAUSE_IMAGE)}
  # The machine may lack CAP_SYS_RESOURCE: never ask for a lower score than containerd's own.
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
[${cri}.cni]
  bin_dir = ${toml(lab.program('cni-plugins'))}
  conf_dir = ${toml(lab.folder('config', 'cni'))}
[${cri}.containerd]
  snapshotter = "overlayfs"
[${cri}.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[${cri}.containerd.runtimes.runc.options]
  BinaryName = ${toml(lab.program('runc'))}
  Root = ${toml(join(lab.paths.run, 'runc'))}
`;
}

function cniConfig(lab: Lab) {
  const { pods } = networkOf(lab);
  return {
    cniVersion: '0.4.0',
    name: cgroupName(lab),
    plugins: [
      {
        type: 'bridge',
        bridge: bridgeName(lab),
        isGateway: true,
        ipMasq: false, // nothing leaves the machine, see network.ts
        hairpinMode: true,
        ipam: {
          type: 'host-local',
          ranges: [[{ subnet: pods }]],
          routes: [{ dst: '0.0.0.0/0' }],
          dataDir: join(lab.paths.run, 'addresses'),
        },
      },
      { type: 'portmap', capabilities: { portMappings: true } },
    ],
  };
}

/**
 * Images are imported, never pulled. Whatever is not there is looked for through a proxy at a closed port: refused at
 * once, and no registry, not even a name server, is asked.
 */
const NO_REGISTRY = {
  ...Object.fromEntries(
    ['HTTP_PROXY', 'HTTPS_PROXY', 'http_proxy', 'https_proxy'].map((name) => [name, 'http://127.0.0.1:9']),
  ),
  NO_PROXY: '',
  no_proxy: '',
};

export const containerd: Component = {
  name: 'containerd',
  parts: ['containerd', 'ctr', 'runc', 'cni-plugins', 'iptables', 'ip'],
  ports: [],
  after: ['network'],
  readyTimeoutMs: 30_000,
  launch(lab) {
    const config = join(lab.folder('config'), 'containerd.toml');
    writeWhole(config, containerdConfig(lab));
    writeWhole(join(lab.folder('config', 'cni'), '10-lab.conflist'), JSON.stringify(cniConfig(lab), null, 2));
    mkdirSync(lab.paths.run, { recursive: true, mode: 0o711 });
    return {
      part: 'containerd',
      args: flags({ config }),
      env: { PATH: searchPath(lab, ['iptables', 'containerd', 'runc']), ...NO_REGISTRY },
    };
  },
  async ready(lab) {
    const { run } = await import('../provision/run.ts');
    await run(lab.program('ctr'), ['-a', containerdSocket(lab), '--timeout', '2s', 'version'], {
      timeoutMs: 5_000,
    });
    return true;
  },
};

const CGROUPS = '/sys/fs/cgroup';

/** The mounted cgroup v1 hierarchies, or the one v2 hierarchy. */
export function cgroupRoots(): string[] {
  if (existsSync(join(CGROUPS, 'cgroup.controllers'))) return [CGROUPS];
  return readdirSync(CGROUPS)
    .map((name) => join(CGROUPS, name))
    .filter((folder) => existsSync(join(folder, 'cgroup.procs')));
}

/** The group under which the kubelet puts all pods; the kubelet wants it to exist in every hierarchy. */
function makeCgroups(lab: Lab): void {
  for (const root of cgroupRoots()) {
    const group = join(root, cgroupName(lab));
    mkdirSync(group, { recursive: true });
    if (existsSync(join(root, 'cgroup.controllers'))) {
      const all = readFileSync(join(root, 'cgroup.controllers'), 'utf8').trim().split(' ');
      const wanted = all.filter((name) =>
        ['cpu', 'cpuset', 'memory', 'pids', 'io', 'hugetlb'].includes(name),
      );
      for (const folder of [root, group]) {
        writeFileSync(join(folder, 'cgroup.subtree_control'), wanted.map((name) => `+${name}`).join(' '));
      }
    }
    for (const file of ['cpuset.cpus', 'cpuset.mems']) {
      // v1 only: a new cpuset is empty, and an empty one takes no process
      if (root === CGROUPS || !existsSync(join(group, file))) continue;
      writeFileSync(join(group, file), readFileSync(join(root, file), 'utf8'));
    }
  }
}

export const kubeletRoot = (lab: Lab): string => join(lab.paths.dir, 'data', 'kubelet');
export const podLogs = (lab: Lab): string => join(lab.paths.dir, 'data', 'pod-logs');

function kubeletConfig(lab: Lab) {
  const file = (name: string) => join(lab.paths.pki, name);
  return {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    address: '127.0.0.1',
    port: lab.port('kubelet'),
    readOnlyPort: 0,
    healthzBindAddress: '127.0.0.1',
    healthzPort: lab.port('kubelet-healthz'),
    tlsCertFile: file('kubelet-server.crt'),
    tlsPrivateKeyFile: file('kubelet-server.key'),
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true },
      x509: { clientCAFile: file('ca.crt') },
    },
    authorization: { mode: 'Webhook' },
    containerRuntimeEndpoint: `unix://${containerdSocket(lab)}`,
    podLogsDir: podLogs(lab),
    volumePluginDir: lab.folder('data', 'volume-plugins'),
    cgroupDriver: 'cgroupfs',
    cgroupRoot: `/${cgroupName(lab)}`,
    failCgroupV1: false,
    failSwapOn: false,
    localStorageCapacityIsolation: false,
    enforceNodeAllocatable: [],
    makeIPTablesUtilChains: false,
    maxPods: 200,
    // Images are imported, not pulled: one that is collected would be gone.
    imageGCHighThresholdPercent: 100,
    evictionHard: { 'memory.available': '100Mi', 'nodefs.available': '0%', 'imagefs.available': '0%' },
    clusterDomain: 'cluster.local',
    clusterDNS: [clusterDnsAddress(lab)],
  };
}

export function clusterDnsAddress(lab: Lab): string {
  const [a, b] = networkOf(lab).services.split('.');
  return `${a}.${b}.0.10`;
}

export const kubelet: Component = {
  name: 'kubelet',
  parts: ['kubelet'],
  ports: ['kubelet', 'kubelet-healthz'],
  after: ['kube-apiserver', 'containerd', 'base-images'],
  readyTimeoutMs: 45_000,
  launch(lab) {
    makeCgroups(lab);
    const config = join(lab.folder('config'), 'kubelet.json');
    writeWhole(config, JSON.stringify(kubeletConfig(lab), null, 2));
    mkdirSync(podLogs(lab), { recursive: true });
    return {
      part: 'kubelet',
      args: flags({
        config,
        kubeconfig: userConfig(lab, USERS.kubelet),
        'root-dir': lab.folder('data', 'kubelet'),
        'hostname-override': NODE_NAME,
        'node-ip': networkOf(lab).gateway, // a loopback address is refused
      }),
      env: { PATH: searchPath(lab, ['iptables', 'containerd', 'runc']) },
    };
  },
  ready: (lab) => nodeReady(lab, NODE_NAME),
};

/** True when the node's last report says Ready and is fresh. */
export async function nodeReady(lab: Lab, name: string): Promise<boolean> {
  const { status, body } = await kubernetes(lab, 'GET', `/api/v1/nodes/${name}`);
  if (status !== 200) return false;
  const { conditions = [] } = (body as { status: { conditions?: { type: string; status: string }[] } })
    .status;
  if (!conditions.some(({ type, status: value }) => type === 'Ready' && value === 'True')) return false;
  return healthy(`http://127.0.0.1:${lab.port('kubelet-healthz')}/healthz`);
}

export const proxy: Component = {
  name: 'kube-proxy',
  parts: ['kube-proxy', 'iptables'],
  ports: ['kube-proxy', 'kube-proxy-healthz'],
  after: ['kube-apiserver', 'network'],
  readyTimeoutMs: 30_000,
  launch(lab) {
    const config = join(lab.folder('config'), 'kube-proxy.json');
    const settings = {
      apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
      kind: 'KubeProxyConfiguration',
      mode: 'iptables',
      bindAddress: networkOf(lab).gateway, // stands for the node's address; nothing listens there
      metricsBindAddress: `127.0.0.1:${lab.port('kube-proxy')}`,
      healthzBindAddress: `127.0.0.1:${lab.port('kube-proxy-healthz')}`,
      clientConnection: { kubeconfig: userConfig(lab, USERS.proxy) },
      clusterCIDR: networkOf(lab).pods,
      hostnameOverride: NODE_NAME,
      iptables: { localhostNodePorts: false, syncPeriod: '30s', minSyncPeriod: '100ms' },
      conntrack: {
        maxPerCore: 0,
        min: 0,
        tcpEstablishedTimeout: '0s',
        tcpCloseWaitTimeout: '0s',
        udpTimeout: '0s',
        udpStreamTimeout: '0s',
      },
    };
    writeWhole(config, JSON.stringify(settings, null, 2));
    return { part: 'kube-proxy', args: flags({ config }), env: { PATH: searchPath(lab, ['iptables']) } };
  },
  ready: (lab) => healthy(`http://127.0.0.1:${lab.port('kube-proxy-healthz')}/healthz`),
};
