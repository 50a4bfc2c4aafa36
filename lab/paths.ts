// Where a lab keeps its things. Everything that is global to the machine (bridge, cgroup, run folder) has a name
// derived from the lab's folder, so that a lab never touches what another one made.
import { createHash } from 'node:crypto';
import { homedir } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

export const REPOSITORY = resolve(fileURLToPath(new URL('..', import.meta.url)));

export interface LabPaths {
  /** The lab's folder: SLIPWAY_LAB_DIR or `.lab` in the checkout. */
  dir: string;
  /** Six hex digits that stand for the folder in names of interfaces, cgroups and iptables chains. */
  id: string;
  state: string;
  lock: string;
  env: string;
  kubeconfig: string;
  auditLog: string;
  gatewayToken: string;
  logs: string;
  pki: string;
  data: string;
  config: string;
  /** Sockets and container state: short, because a socket's path may have at most 107 bytes. */
  run: string;
}

type Environment = Record<string, string | undefined>;

export function labPaths(env: Environment = process.env): LabPaths {
  const dir = resolve(env['SLIPWAY_LAB_DIR'] || join(REPOSITORY, '.lab'));
  const id = createHash('sha256').update(dir).digest('hex').slice(0, 6);
  return {
    dir,
    id,
    state: join(dir, 'state.json'),
    lock: join(dir, 'lock'),
    env: join(dir, 'env'),
    kubeconfig: join(dir, 'kubeconfig'),
    auditLog: join(dir, 'audit.log'),
    gatewayToken: join(dir, 'gateway-token'),
    logs: join(dir, 'logs'),
    pki: join(dir, 'pki'),
    data: join(dir, 'data'),
    config: join(dir, 'config'),
    run: `/run/slipway-${id}`,
  };
}

/** The user's cache for downloaded and built programs; a relative XDG_CACHE_HOME is ignored, as its specification says. */
export function cacheDir(env: Environment = process.env): string {
  const base = env['XDG_CACHE_HOME'];
  return join(base && isAbsolute(base) ? base : join(homedir(), '.cache'), 'slipway');
}
