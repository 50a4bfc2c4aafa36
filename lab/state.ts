// What a lab remembers between commands, in `.lab/state.json`.
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import process from 'node:process';
import { LabError } from './errors.ts';
import type { ProcessRecord } from './processes.ts';

export type NodeKind = 'real' | 'simulated';

export interface Network {
  /** Address range of pods, for example 10.251.0.0/24. */
  pods: string;
  /** The host's own address on the pods' bridge. */
  gateway: string;
  /** Range of ClusterIPs. */
  services: string;
}

export interface LabState {
  version: 1;
  /** 'up' only after everything answered; 'starting' and 'stopping' tell an interrupted command. */
  phase: 'down' | 'starting' | 'up' | 'stopping';
  nodes: NodeKind;
  /** Names of the components that belong to this lab, in start order. */
  components: string[];
  ports: Record<string, number>;
  /** Programs by part name. */
  programs: Record<string, string>;
  network?: Network;
  processes: Record<string, ProcessRecord>;
  /** Kernel settings as they were before the lab changed them. */
  sysctls: Record<string, string>;
  /** Another program had CNI chains in iptables when this lab came up. */
  foreignCni?: boolean;
}

export const emptyState = (): LabState => ({
  version: 1,
  phase: 'down',
  nodes: 'simulated',
  components: [],
  ports: {},
  programs: {},
  processes: {},
  sysctls: {},
});

/** The remembered state, or an empty one when there is none. @throws LabError when the file is not a lab's state. */
export function readState(file: string): LabState {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return emptyState();
    throw error;
  }
  try {
    const state = JSON.parse(text) as LabState;
    if (state.version !== 1) throw new Error(`version is ${String(state.version)}, not 1`);
    return { ...emptyState(), ...state };
  } catch (error) {
    throw new LabError(
      `${file} is not a lab's state (${(error as Error).message}); delete the file after "lab down"`,
    );
  }
}

/** Replaces the file in one step, so that a reader or a crash never sees half of it. */
export function writeState(file: string, state: LabState): void {
  writeWhole(file, `${JSON.stringify(state, null, 2)}\n`);
}

export function writeWhole(file: string, content: string, mode = 0o644): void {
  mkdirSync(dirname(file), { recursive: true });
  const draft = `${file}.${process.pid}.tmp`;
  writeFileSync(draft, content, { mode });
  renameSync(draft, file);
}
