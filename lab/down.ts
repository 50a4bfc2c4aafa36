// Ends a lab and takes everything of it off the machine, whatever state it was left in. Its data stays.
import { existsSync, rmSync } from 'node:fs';
import { cleanNode } from './cleanup.ts';
import { type Lab, openLab } from './lab.ts';
import { withLock } from './lock.ts';
import { holdsMachine, releaseMachine } from './machine.ts';
import { partNamed } from './parts.ts';
import { labPaths } from './paths.ts';
import { findDaemons, isAlive, type ProcessRecord, stopAll } from './processes.ts';
import { provisionPart } from './provision.ts';

/** Ended after everything that talks to them. */
const LAST = ['kube-apiserver', 'etcd', 'containerd'];
const GRACE_MS = 8_000;

export interface DownOptions {
  /** Deletes the lab's folder too: databases, keys, ports, images. */
  wipe?: boolean;
}

export function down(options: DownOptions = {}): Promise<void> {
  const paths = labPaths();
  // A lab whose folder was deleted still has processes, and perhaps the machine's node.
  if (!existsSync(paths.dir) && !holdsMachine(paths.dir) && findDaemons(paths.dir).length === 0)
    return Promise.resolve();
  return withLock(paths.lock, async () => {
    const lab = openLab(paths);
    await stopLab(lab);
    if (options.wipe) rmSync(paths.dir, { recursive: true, force: true });
  });
}

/** As `down`, for a caller that holds the lab's lock. */
export async function stopLab(lab: Lab): Promise<void> {
  const { state } = lab;
  const cleaning = holdsMachine(lab.paths.dir) || (state.nodes === 'real' && state.phase !== 'down');
  state.phase = 'stopping';
  lab.save();
  const recorded = Object.entries(state.processes).filter(([, record]) => isAlive(record));
  const last = new Set<number>();
  const first: ProcessRecord[] = [];
  for (const [name, record] of recorded) {
    if (LAST.includes(name)) last.add(record.pid);
    else first.push(record);
  }
  await stopAll(first, GRACE_MS);
  for (const name of LAST) {
    const record = state.processes[name];
    // The API server would wait up to a minute for other people's watches.
    if (isAlive(record)) await stopAll([record], name === 'kube-apiserver' ? 2_000 : GRACE_MS);
  }
  await stopAll(findDaemons(lab.paths.dir), 0);
  if (cleaning) {
    for (const name of ['ip', 'iptables'])
      state.programs[name] ??= (await provisionPart(partNamed(name))).path;
    await cleanNode(lab);
    releaseMachine(lab);
  }
  rmSync(lab.paths.env, { force: true });
  state.processes = {};
  state.phase = 'down';
  lab.save();
}
