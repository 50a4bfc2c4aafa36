/** The demo's stage: product-service v1.0.0 in the lab's cluster, and Slipway's two processes beside it. */
import { execFile } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { LabError, labPaths } from '../../lab/index.ts';
import { allocatePorts } from '../../lab/ports.ts';
import { findDaemons, isAlive, type ProcessRecord, spawnDaemon, stopAll } from '../../lab/processes.ts';
import { eventually, healthy, listening } from '../../lab/wait.ts';

export type Environment = Record<string, string>;

const root = new URL('../../', import.meta.url);
const path = (relative: string) => fileURLToPath(new URL(relative, root));
const run = promisify(execFile);

const CALL_MS = 30_000;
const ROLLOUT_MS = 120_000;
const READY_MS = 60_000;
const DRAIN_MS = 15_000;
/** Processes of the demo carry the lab's mark, so `npm run lab -- down` ends those that `--keep` left. */
const PREFIX = 'demo-';

/** Applies the example's manifests and waits until v1.0.0 serves. Answers the address to ask. */
export async function deployExample(env: Environment): Promise<string> {
  await kubectl(env, ['apply', '-f', path('examples/product-service/manifests')]);
  await kubectl(
    env,
    ['-n', 'ecommerce', 'rollout', 'status', 'deployment/product-service', `--timeout=${ROLLOUT_MS / 1000}s`],
    ROLLOUT_MS + CALL_MS,
  );
  const address = await kubectl(
    env,
    '-n ecommerce get service product-service -o jsonpath={.spec.clusterIP}:{.spec.ports[0].port}'.split(' '),
  );
  return `http://${address}/products`;
}

/** What the Deployment runs now: images, replicas, ready pods, and whether a release's record is on it. */
export async function readExample(
  env: Environment,
): Promise<{ image: string; replicas: number; ready: number; record: boolean }> {
  const text = await kubectl(env, '-n ecommerce get deployment product-service -o json'.split(' '));
  const found = JSON.parse(text) as {
    metadata: { annotations?: Record<string, string> };
    spec: { replicas: number; template: { spec: { containers: { image: string }[] } } };
    status: { readyReplicas?: number };
  };
  return {
    image: found.spec.template.spec.containers[0]?.image ?? '',
    replicas: found.spec.replicas,
    ready: found.status.readyReplicas ?? 0,
    record: found.metadata.annotations?.['slipway.dev/release'] !== undefined,
  };
}

async function kubectl(env: Environment, args: string[], timeout = CALL_MS): Promise<string> {
  const { stdout } = await run(env['KUBECTL'] ?? 'kubectl', args, {
    env: { ...process.env, ...env },
    timeout,
    maxBuffer: 16 * 1024 * 1024,
  });
  return stdout.trim();
}

/** Ends what an earlier `npm run demo -- --keep` left. */
export async function endEarlier(): Promise<void> {
  const left = findDaemons(labPaths().dir).filter(({ name }) => name.startsWith(PREFIX));
  await stopAll(left, DRAIN_MS);
}

/** Starts worker and gateway and waits until both are ready. */
export async function startSlipway(env: Environment): Promise<ProcessRecord[]> {
  const gateway = new URL(env['SLIPWAY_GATEWAY_URL'] ?? '');
  if (await listening(Number(gateway.port))) {
    throw new LabError(`port ${gateway.port} is taken: another gateway serves this lab; end it first`);
  }
  const { metrics } = await allocatePorts(['metrics'], {});
  const worker = `127.0.0.1:${metrics}`;
  const started = [
    daemon('worker', 'src/cli.ts', ['worker', '--listen', worker], env),
    daemon('gateway', 'src/cli.ts', ['gateway', '--listen', gateway.host], env),
  ];
  const ready = await eventually(
    async () => {
      if (!started.every(isAlive)) return 'ended';
      return (await healthy(`http://${worker}/readyz`)) && (await healthy(`${gateway.origin}/readyz`));
    },
    { timeoutMs: READY_MS },
  );
  if (ready === true) return started;
  await stopAll(started, DRAIN_MS);
  const what = ready === 'ended' ? 'ended' : `were not ready after ${READY_MS / 1000} s`;
  throw new Error(`worker and gateway ${what}; see ${logFile('worker')} and ${logFile('gateway')}`);
}

/** Steady load that outlives the demo, for `--keep`. */
export function keepTraffic(url: string, rps: number): ProcessRecord {
  return daemon('traffic', 'examples/traffic/main.ts', ['--url', url, '--rps', String(rps)], {});
}

export async function end(processes: ProcessRecord[]): Promise<void> {
  await stopAll(processes, DRAIN_MS);
}

function daemon(name: string, file: string, args: string[], env: Environment): ProcessRecord {
  const { dir, logs } = labPaths();
  mkdirSync(logs, { recursive: true });
  return spawnDaemon({
    labDir: dir,
    name: `${PREFIX}${name}`,
    command: process.execPath,
    args: [path(file), ...args],
    env,
    logFile: logFile(name),
  });
}

export const logFile = (name: string): string => join(labPaths().logs, `${PREFIX}${name}.log`);
