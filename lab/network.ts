// The real node's network on the host: one bridge for pods, fallback routes, and a few rules of our own.
//
// Nothing meant for a pod or a ClusterIP may ever leave the machine. Both ranges are routed to the bridge, and below
// that stand "unreachable" routes that stay in force while the bridge or kube-proxy is away. Nor may a pod reach
// anything beyond the machine: it could only do so with an address that nobody can answer.
//
// Servers of the lab listen on 127.0.0.1 only. Pods reach them under a ClusterIP, which a rule of ours
// turns into the loopback port (kernel setting route_localnet, on the bridge alone).
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { LabError } from './errors.ts';
import type { Lab } from './lab.ts';
import { run } from './provision/run.ts';
import type { Network } from './state.ts';

/** Above every metric in use, so that a real route always wins. */
const FALLBACK_METRIC = '4278198272';
const CANDIDATES = [251, 247, 239, 233, 229, 223];

export const bridgeName = (lab: Lab): string => `slw${lab.paths.id}`;
export const chainName = (lab: Lab): string => `SLIPWAY-${lab.paths.id}`;

/** The nth address of a /16 or /24 range. */
export function addressIn(range: string, nth: number): string {
  const [a, b, c] = range.split('/')[0]?.split('.') ?? [];
  return `${a}.${b}.${c}.${nth}`;
}

/** Ranges that none of the machine's routes touch. */
export function chooseNetwork(routes: string): Network {
  const used = new Set([...routes.matchAll(/\b10\.(\d+)\./g)].map((match) => Number(match[1])));
  const whole = /\b10\.0\.0\.0\/8/.test(routes);
  const free = CANDIDATES.find((second) => whole || (!used.has(second) && !used.has(second + 1)));
  if (free === undefined)
    throw new LabError('no free 10.x range for pods: every one the lab knows is routed on this machine');
  return { pods: `10.${free}.0.0/24`, gateway: `10.${free}.0.1`, services: `10.${free + 1}.0.0/16` };
}

export async function currentRoutes(lab: Lab): Promise<string> {
  return run(lab.program('ip'), ['-4', 'route', 'show', 'table', 'all']);
}

const SYSCTL = (name: string) => `/proc/sys/${name.replaceAll('.', '/')}`;

/** Sets a kernel setting and remembers what it was. */
function setSysctl(lab: Lab, name: string, value: string): void {
  const before = readFileSync(SYSCTL(name), 'utf8').trim();
  if (before === value) return;
  lab.state.sysctls[name] ??= before;
  lab.save();
  writeFileSync(SYSCTL(name), value);
}

/** What the kubelet sets by itself; remembered beforehand, so that `down` can put it back. */
const KUBELET_SETS = [
  'vm.overcommit_memory',
  'vm.panic_on_oom',
  'kernel.panic',
  'kernel.panic_on_oops',
  'kernel.keys.root_maxkeys',
  'kernel.keys.root_maxbytes',
];

export function rememberKernelSettings(lab: Lab): void {
  for (const name of KUBELET_SETS) {
    lab.state.sysctls[name] ??= readFileSync(SYSCTL(name), 'utf8').trim();
  }
  lab.save();
}

export function restoreKernelSettings(lab: Lab): void {
  for (const [name, value] of Object.entries(lab.state.sysctls)) {
    try {
      writeFileSync(SYSCTL(name), value);
    } catch {
      // a setting of an interface that is gone
    }
  }
  lab.state.sysctls = {};
  lab.save();
}

/** Fallback routes, for every kind of node: before anything runs that could dial a pod or a ClusterIP. */
export async function fenceRanges(lab: Lab): Promise<void> {
  const { pods, services } = networkOf(lab);
  for (const range of [pods, services]) {
    await run(lab.program('ip'), ['route', 'replace', 'unreachable', range, 'metric', FALLBACK_METRIC]);
  }
}

/** The fallback routes are known by their metric, whatever the lab remembers. */
export async function unfenceRanges(lab: Lab): Promise<void> {
  const routes = await run(lab.program('ip'), ['-4', 'route', 'show', 'type', 'unreachable']);
  for (const line of routes.split('\n').filter((each) => each.includes(`metric ${FALLBACK_METRIC}`))) {
    const [, range] = line.split(' ');
    await run(lab.program('ip'), ['route', 'del', 'unreachable', range as string, 'metric', FALLBACK_METRIC]);
  }
}

export async function raiseBridge(lab: Lab): Promise<void> {
  const ip = (...args: string[]) => run(lab.program('ip'), args);
  const { gateway, services } = networkOf(lab);
  const bridge = bridgeName(lab);
  await ip('link', 'show', bridge).catch(() => ip('link', 'add', bridge, 'type', 'bridge'));
  await ip('addr', 'replace', `${gateway}/24`, 'dev', bridge);
  await ip('link', 'set', bridge, 'up');
  await ip('route', 'replace', services, 'dev', bridge);
  setSysctl(lab, 'net.ipv4.ip_forward', '1');
  setSysctl(lab, 'net.bridge.bridge-nf-call-iptables', '1');
  writeFileSync(SYSCTL(`net.ipv4.conf.${bridge}.route_localnet`), '1');
}

export async function lowerBridge(lab: Lab): Promise<void> {
  const ip = (...args: string[]) => run(lab.program('ip'), args);
  const bridge = bridgeName(lab);
  const ports = await ip('-o', 'link', 'show', 'master', bridge).catch(() => '');
  for (const [, port] of ports.matchAll(/^\d+: ([^:@]+)/gm))
    await ip('link', 'del', port as string).catch(() => {});
  await ip('link', 'del', bridge).catch(() => {});
}

export interface HostService {
  protocol: 'tcp' | 'udp';
  clusterAddress: string;
  clusterPort: number;
  hostPort: number;
}

export async function iptables(lab: Lab, table: string, ...args: string[]): Promise<string> {
  return run(lab.program('iptables'), ['-w', '10', '-t', table, ...args]);
}

/** Loads the lab's own chains in one step per table; calling again replaces them. */
export async function loadRules(lab: Lab, services: readonly HostService[]): Promise<void> {
  const chain = chainName(lab);
  const bridge = bridgeName(lab);
  const { gateway } = networkOf(lab);
  const nat = services.map(
    ({ protocol, clusterAddress, clusterPort, hostPort }) =>
      `-A ${chain} -d ${clusterAddress}/32 -p ${protocol} -m ${protocol} --dport ${clusterPort} -j DNAT --to-destination 127.0.0.1:${hostPort}`,
  );
  // A pod may talk to pods and to what the rules above lead to. "! -o bridge" is what would leave the machine.
  const filter = [
    `-A ${chain} -i ${bridge} ! -o ${bridge} -j REJECT --reject-with icmp-net-prohibited`,
    `-A ${chain} ! -i ${bridge} -o ${bridge} -j DROP`,
  ];
  // Without this a pod could reach every loopback server of the machine by sending to 127.0.0.1 through the bridge.
  const input = [
    `-A ${chain}-IN -i ${bridge} -d 127.0.0.0/8 -m conntrack ! --ctstate DNAT,ESTABLISHED,RELATED -j DROP`,
    `-A ${chain}-IN ! -i ${bridge} -d ${gateway}/32 ! -s ${gateway}/32 -j DROP`,
  ];
  await restore(lab, ['*nat', `:${chain} - [0:0]`, ...nat, 'COMMIT']);
  await restore(lab, ['*filter', `:${chain} - [0:0]`, `:${chain}-IN - [0:0]`, ...filter, ...input, 'COMMIT']);
  await jump(lab, 'nat', 'PREROUTING', ['-i', bridge, '-j', chain]);
  await jump(lab, 'filter', 'FORWARD', ['-j', chain]);
  await jump(lab, 'filter', 'INPUT', ['-j', `${chain}-IN`]);
}

async function restore(lab: Lab, lines: string[]): Promise<void> {
  const program = join(dirname(lab.program('iptables')), 'iptables-restore');
  await run(program, ['-w', '10', '--noflush'], { input: `${lines.join('\n')}\n` });
}

async function jump(lab: Lab, table: string, from: string, rule: string[]): Promise<void> {
  try {
    await iptables(lab, table, '-C', from, ...rule);
  } catch {
    await iptables(lab, table, '-I', from, '1', ...rule);
  }
}

export function networkOf(lab: Lab): Network {
  if (!lab.state.network) throw new LabError('the lab has no network yet; run "npm run lab -- up"');
  return lab.state.network;
}
