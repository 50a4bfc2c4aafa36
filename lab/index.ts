// What tests, benchmarks and the demo may call. All functions work on the lab of SLIPWAY_LAB_DIR (default `.lab`).
import { componentNamed } from './components/all.ts';
import { LabError } from './errors.ts';
import { openLab } from './lab.ts';
import { withLock } from './lock.ts';
import { labPaths } from './paths.ts';
import { isAlive, signal as send } from './processes.ts';
import { startComponent, stopComponent } from './supervise.ts';
import { eventually } from './wait.ts';

export { down } from './down.ts';
export { readEnv } from './environment.ts';
export { LabError } from './errors.ts';
export { labPaths } from './paths.ts';
export { provision } from './provision.ts';
export { type UpOptions, up } from './up.ts';

/** Starts one component with the data it had and waits until it answers; does nothing when it runs. */
export function start(name: string): Promise<void> {
  const component = componentNamed(name);
  const { lock } = labPaths();
  return withLock(lock, () => startComponent(openLab(), component));
}

/** Ends one component in the orderly way. */
export function stop(name: string): Promise<void> {
  const component = componentNamed(name);
  return withLock(labPaths().lock, () => stopComponent(openLab(), component.name));
}

export async function restart(name: string): Promise<void> {
  await stop(name);
  await start(name);
}

/**
 * Sends a signal to one component's process. With SIGKILL it answers when the process is gone.
 * @throws LabError when the component does not run.
 */
export async function kill(name: string, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
  const record = openLab().state.processes[componentNamed(name).name];
  if (!isAlive(record)) throw new LabError(`${name} does not run`);
  send(record, signal);
  if (signal !== 'SIGKILL') return;
  const gone = await eventually(() => !isAlive(record), { timeoutMs: 10_000, pauseMs: 5 });
  if (!gone) throw new Error(`${name} (pid ${record.pid}) did not end within 10 s after SIGKILL`);
}

export interface ComponentStatus {
  name: string;
  pid?: number;
  alive: boolean;
}

export interface LabStatus {
  dir: string;
  phase: 'down' | 'starting' | 'up' | 'stopping';
  nodes: 'real' | 'simulated';
  components: ComponentStatus[];
}

/** What the lab's records and the process table say; asks no server. */
export function status(): LabStatus {
  const { paths, state } = openLab();
  const components = state.components.map((name) => {
    const record = state.processes[name];
    const alive = isAlive(record);
    return { name, alive, ...(alive && record && { pid: record.pid }) };
  });
  return { dir: paths.dir, phase: state.phase, nodes: state.nodes, components };
}
