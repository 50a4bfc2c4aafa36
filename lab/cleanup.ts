// Removes what a real node leaves on the machine, however it ended. Every step looks at the machine itself, not at
// records, touches only what carries the lab's name, and may be repeated.
import { existsSync, lstatSync, readdirSync, readFileSync, readlinkSync, rmdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { cgroupName, cgroupRoots, containerdState, podLogs } from './components/node.ts';
import { messageOf } from './errors.ts';
import { removeRules } from './firewall.ts';
import type { Lab } from './lab.ts';
import { lowerBridge, restoreKernelSettings, unfenceRanges } from './network.ts';
import { findDaemons, stopAll } from './processes.ts';
import { run } from './provision/run.ts';
import { eventually } from './wait.ts';

/** @throws Error that lists what could not be removed. */
export async function cleanNode(lab: Lab): Promise<void> {
  const failures: string[] = [];
  const step = async (what: string, work: () => Promise<void> | void) => {
    try {
      await work();
    } catch (error) {
      failures.push(`${what}: ${messageOf(error)}`);
    }
  };
  await step('containers', () => killCgroups(lab));
  await step('shims', () => stopAll(findDaemons(lab.paths.dir), 0));
  await step('shim sockets', () => removeShimSockets(lab));
  await step('mounts', () => unmountAll(lab));
  await step('iptables', () => removeRules(lab));
  await step('bridge', () => lowerBridge(lab));
  await step('control groups', () => removeCgroups(lab));
  await step('CNI results', () => removeCniResults(lab));
  await step('log links', () => removeLogLinks(lab));
  await step('kernel settings', () => restoreKernelSettings(lab));
  await step('run folder', () => rmSync(lab.paths.run, { recursive: true, force: true }));
  // Last: until here nothing may dial a pod or a ClusterIP and have the packet leave the machine.
  await step('routes', () => unfenceRanges(lab));
  if (failures.length > 0) throw new Error(`could not clean up: ${failures.join('; ')}`);
}

function cgroupFolders(lab: Lab): string[] {
  return cgroupRoots()
    .map((root) => join(root, cgroupName(lab)))
    .filter((folder) => existsSync(folder));
}

function below(folder: string): string[] {
  const children = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return [...children.flatMap((entry) => below(join(folder, entry.name))), folder];
}

function processesIn(folders: readonly string[]): number[] {
  const pids = new Set<number>();
  for (const folder of folders.flatMap(below)) {
    try {
      for (const pid of readFileSync(join(folder, 'cgroup.procs'), 'utf8').split('\n'))
        if (pid) pids.add(Number(pid));
    } catch {
      // gone meanwhile
    }
  }
  pids.delete(0);
  return [...pids];
}

/** Everything in a pod's control group is a pod's process, whatever became of its shim. */
async function killCgroups(lab: Lab): Promise<void> {
  const empty = await eventually(
    () => {
      const pids = processesIn(cgroupFolders(lab));
      for (const pid of pids) {
        try {
          process.kill(pid, 'SIGKILL');
        } catch {
          // ended by itself
        }
      }
      return pids.length === 0;
    },
    { timeoutMs: 15_000, pauseMs: 30 },
  );
  if (!empty) throw new Error(`processes ${processesIn(cgroupFolders(lab)).join(', ')} of pods do not end`);
}

async function removeCgroups(lab: Lab): Promise<void> {
  const removed = await eventually(
    () => {
      for (const folder of cgroupFolders(lab).flatMap(below)) {
        try {
          rmdirSync(folder);
        } catch {
          // its last process is still on the way out
        }
      }
      return cgroupFolders(lab).length === 0;
    },
    { timeoutMs: 10_000, pauseMs: 50 },
  );
  if (!removed) throw new Error(`${cgroupFolders(lab).join(', ')} cannot be removed`);
}

/** Mount points below the given folders, the innermost first. */
export function mountsBelow(mountinfo: string, folders: readonly string[]): string[] {
  const points = mountinfo
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .map((point) =>
      point.replace(/\\(\d{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8))),
    );
  return points.filter((point) => folders.some((folder) => point.startsWith(`${folder}/`))).toReversed();
}

async function unmountAll(lab: Lab): Promise<void> {
  const folders = [lab.paths.run, join(lab.paths.dir, 'data')];
  for (const point of mountsBelow(readFileSync('/proc/self/mountinfo', 'utf8'), folders)) {
    await run('umount', [point]).catch(() => run('umount', ['-l', point]));
  }
}

/** A shim listens in /run/containerd/s and leaves its socket there when it is killed; its name stands in the bundle. */
function removeShimSockets(lab: Lab): void {
  const tasks = join(containerdState(lab), 'io.containerd.runtime.v2.task', 'k8s.io');
  if (!existsSync(tasks)) return;
  for (const task of readdirSync(tasks)) {
    try {
      const socket = readFileSync(join(tasks, task, 'address'), 'utf8').replace(/^unix:\/\//, '');
      if (socket.startsWith('/run/containerd/s/')) rmSync(socket, { force: true });
    } catch {
      // the bundle was never finished
    }
  }
  removeIfEmpty('/run/containerd/s', '/run/containerd');
}

/** Results are named network-container-interface; every pod also has one of the network "cni-loopback". */
function removeCniResults(lab: Lab): void {
  const folder = '/var/lib/cni/results';
  if (!existsSync(folder)) return;
  const ours = new RegExp(`^${cgroupName(lab)}-(\\w+)-`);
  const files = readdirSync(folder);
  const containers = new Set(files.flatMap((file) => ours.exec(file)?.[1] ?? []));
  for (const file of files) {
    if (ours.test(file) || containers.has(file.split('-').at(-2) ?? '')) rmSync(join(folder, file));
  }
  removeIfEmpty(folder, '/var/lib/cni');
}

/** The kubelet links every container's log into /var/log/containers. */
function removeLogLinks(lab: Lab): void {
  const folder = '/var/log/containers';
  rmSync(podLogs(lab), { recursive: true, force: true });
  if (!existsSync(folder)) return;
  for (const name of readdirSync(folder)) {
    const link = join(folder, name);
    if (lstatSync(link).isSymbolicLink() && readlinkSync(link).startsWith(`${podLogs(lab)}/`)) rmSync(link);
  }
  removeIfEmpty(folder);
}

function removeIfEmpty(...folders: string[]): void {
  for (const folder of folders) {
    try {
      rmdirSync(folder);
    } catch {
      return; // somebody else's things are in it
    }
  }
}
