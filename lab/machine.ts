// What a real node asks of the machine, told in one sentence before anything is started.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import process from 'node:process';
import { LabError } from './errors.ts';
import { foreignChains } from './firewall.ts';
import type { Lab } from './lab.ts';
import { readState } from './state.ts';
import { labPaths } from './paths.ts';

/** kube-proxy's chains have fixed names, hence one real node a machine. */
const CLAIM = '/run/slipway-node';

export const canRunRealNode = (): boolean => process.platform === 'linux' && process.getuid?.() === 0;

/** @throws LabError that says what is missing. */
export function checkMachine(): void {
  if (process.platform !== 'linux') {
    throw new LabError(`real nodes need Linux, and this is ${process.platform}: use --nodes simulated`);
  }
  if (process.getuid?.() !== 0) {
    throw new LabError(
      'real nodes need root (containers, bridge, iptables): run as root, or use --nodes simulated',
    );
  }
  for (const [what, path] of [
    ['overlayfs', '/proc/filesystems'],
    ['control groups', '/sys/fs/cgroup'],
    ['bridges that iptables sees (modprobe br_netfilter)', '/proc/sys/net/bridge/bridge-nf-call-iptables'],
  ] as const) {
    const there =
      existsSync(path) && (what !== 'overlayfs' || readFileSync(path, 'utf8').includes('overlay'));
    if (!there)
      throw new LabError(`real nodes need ${what}, which this kernel does not offer: use --nodes simulated`);
  }
}

/** Claims the machine's one real node for this lab. @throws LabError when another lab or another Kubernetes has it. */
export async function claimMachine(lab: Lab): Promise<void> {
  const holder = machineHolder();
  if (holder === lab.paths.dir) return;
  if (holder && readState(labPaths({ SLIPWAY_LAB_DIR: holder }).state).phase !== 'down') {
    throw new LabError(
      `the lab in ${holder} runs the machine's real node: end it with SLIPWAY_LAB_DIR=${holder} npm run lab -- down, or use --nodes simulated`,
    );
  }
  const foreign = await foreignChains(lab);
  if (foreign.kubernetes) {
    throw new LabError(
      'another Kubernetes runs on this machine (its KUBE-SERVICES chain is in iptables): stop it, or use --nodes simulated',
    );
  }
  lab.state.foreignCni = foreign.cni;
  lab.save();
  mkdirSync('/run', { recursive: true });
  writeFileSync(CLAIM, lab.paths.dir);
}

/** True when the lab in this folder has claimed the machine's real node and not given it back. */
export function holdsMachine(dir: string): boolean {
  return machineHolder() === dir;
}

/** The folder of the lab that has the machine's real node. */
export function machineHolder(): string | undefined {
  return existsSync(CLAIM) ? readFileSync(CLAIM, 'utf8').trim() : undefined;
}

export function releaseMachine(lab: Lab): void {
  if (holdsMachine(lab.paths.dir)) rmSync(CLAIM, { force: true });
}
