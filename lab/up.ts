// Brings a lab up: provisions what is missing, then starts every component as soon as those it needs are ready.
// On a lab that runs it only looks; on one that was killed half way it first takes stock, then starts what is missing.
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { componentsFor, OPTIONAL } from './components/all.ts';
import type { Component } from './components/component.ts';
import { stopLab } from './down.ts';
import { labEnvironment, renderEnvironment } from './environment.ts';
import { LabError } from './errors.ts';
import { type Lab, openLab } from './lab.ts';
import { withLock } from './lock.ts';
import { canRunRealNode, checkMachine, claimMachine } from './machine.ts';
import * as network from './network.ts';
import { partNamed } from './parts.ts';
import { type LabPaths, labPaths } from './paths.ts';
import { allocatePorts } from './ports.ts';
import { findDaemons, isAlive, startTimeOf, stopAll } from './processes.ts';
import { provisionPart } from './provision.ts';
import { type NodeKind, writeWhole } from './state.ts';
import { startComponent } from './supervise.ts';
import { defaultProgress, type Progress, runSteps, type Step } from './tasks.ts';

export interface UpOptions {
  /** Real by default on Linux as root, else simulated. */
  nodes?: NodeKind;
  /** Components on demand, for example s3. */
  with?: readonly string[];
  progress?: Progress;
}

/** Programs that no component runs but that users of the lab need. */
const TOOLS = ['kubectl', 'ip', 'temporal-test-server'];
/** Ports that the lab keeps for others. */
const RESERVED = ['gateway'];

/**
 * Answers the lab's environment when everything is ready.
 * @throws LabError with what to do about it when a part cannot be had or does not start.
 */
export async function up(options: UpOptions = {}): Promise<Record<string, string>> {
  const paths = labPaths();
  for (const name of options.with ?? []) {
    if (!OPTIONAL.some((component) => component.name === name)) {
      throw new LabError(`--with ${name}: known are ${OPTIONAL.map((each) => each.name).join(', ')}`);
    }
  }
  const running = whenRunning(paths, options);
  if (running) return running;
  const onWait = (pid: number) =>
    process.stderr.write(`another lab command (pid ${pid}) is at work, waiting for it ...\n`);
  return withLock(
    paths.lock,
    async () => whenRunning(paths, options) ?? (await bringUp(openLab(paths), options)),
    { onWait },
  );
}

/** The environment of a lab whose every process lives, without any slow look. */
function whenRunning(paths: LabPaths, options: UpOptions): Record<string, string> | undefined {
  if (!existsSync(paths.env)) return undefined;
  const lab = openLab(paths);
  const { phase, nodes, components, processes } = lab.state;
  if (phase !== 'up' || (options.nodes && options.nodes !== nodes)) return undefined;
  if (!components.every((name) => isAlive(processes[name]))) return undefined;
  if (!(options.with ?? []).every((name) => components.includes(name))) return undefined;
  return labEnvironment(lab);
}

async function bringUp(lab: Lab, options: UpOptions): Promise<Record<string, string>> {
  const { state, paths } = lab;
  if (state.phase === 'stopping') await stopLab(lab); // a `down` was killed on its way: half a node is worse than none
  const wasDown = state.phase === 'down';
  const nodes = options.nodes ?? (wasDown ? (canRunRealNode() ? 'real' : 'simulated') : state.nodes);
  if (nodes === 'real') checkMachine();
  if (nodes !== state.nodes) {
    if (!wasDown && Object.values(state.processes).some(isAlive)) {
      throw new LabError(
        `the lab is up with ${state.nodes} nodes: run "npm run lab -- down" first, then up with ${nodes} ones`,
      );
    }
    if (!wasDown) await stopLab(lab);
    rmSync(join(paths.dir, 'data', 'etcd'), { recursive: true, force: true }); // another kind of cluster
    delete state.network;
  }
  if (state.phase === 'starting') await endStrays(lab);
  // While the lab was down, programs may have come, gone or changed version.
  if (wasDown) state.programs = {};
  const extra = [...new Set([...(options.with ?? []), ...(wasDown ? [] : state.components)])];
  const components = componentsFor(nodes, extra);
  state.nodes = nodes;
  state.phase = 'starting';
  state.components = components.map(({ name }) => name);
  await assignPorts(lab, components);
  const started = Date.now();
  const { steps } = plan(lab, components);
  await runSteps(
    `bringing the lab up with ${nodes} nodes in ${paths.dir}`,
    steps,
    options.progress ?? defaultProgress(),
  );
  const environment = labEnvironment(lab);
  writeWhole(paths.env, renderEnvironment(environment), 0o600);
  state.phase = 'up';
  lab.save();
  if (options.progress !== 'none')
    process.stderr.write(`ready after ${((Date.now() - started) / 1000).toFixed(1)} s\n`);
  return environment;
}

/** Daemons that were started but not recorded before their starter was killed. Shims belong to containers and stay. */
async function endStrays(lab: Lab): Promise<void> {
  const known = new Set(
    Object.values(lab.state.processes)
      .filter(isAlive)
      .map(({ pid }) => pid),
  );
  const strays = findDaemons(lab.paths.dir).filter(({ pid }) => {
    if (known.has(pid) || known.has(parentOf(pid))) return false;
    return !commandOf(pid).startsWith('containerd-shim');
  });
  await stopAll(strays, 5_000);
}

const commandOf = (pid: number): string => (startTimeOf(pid) ? read(`/proc/${pid}/comm`).trim() : '');
const parentOf = (pid: number): number => Number(/^PPid:\s*(\d+)/m.exec(read(`/proc/${pid}/status`))?.[1]);

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

async function assignPorts(lab: Lab, components: readonly Component[]): Promise<void> {
  const owner = new Map(components.flatMap(({ name, ports }) => ports.map((port) => [port, name] as const)));
  // The gateway is not the lab's: whatever listens on its port may well be the gateway.
  const inUse = (port: string) =>
    RESERVED.includes(port) || isAlive(lab.state.processes[owner.get(port) ?? '']);
  const ports = await allocatePorts([...owner.keys(), ...RESERVED], lab.state.ports, inUse);
  Object.assign(lab.state.ports, ports);
  lab.save();
}

/** All steps of bringing up; the ones that others wait for have names of their own. */
function plan(lab: Lab, components: readonly Component[]): { steps: Step[] } {
  const real = lab.state.nodes === 'real';
  const parts = [
    ...new Set([
      ...components.flatMap((component) => component.parts),
      ...TOOLS,
      ...(real ? ['busybox'] : []),
    ]),
  ];
  const needed = (names: readonly string[]) => names.map((name) => `program ${name}`);
  const steps: Step[] = [
    ...parts.map((name) => ({
      name: `program ${name}`,
      after: [],
      run: (tell: Tell) => findProgram(lab, name, tell),
    })),
    {
      name: 'fence',
      after: needed(real ? ['ip', 'iptables'] : ['ip']),
      run: async () => {
        await prepareRanges(lab);
      },
    },
    { name: 'certificates', after: ['fence'], run: () => certificates(lab) },
    {
      name: 'cluster',
      after: ['kube-apiserver'],
      run: async () => (await import('./cluster.ts')).prepareCluster(lab),
    },
    {
      name: 'accounts',
      after: ['cluster', 'kube-controller-manager'],
      run: async () => (await import('./cluster.ts')).awaitAccounts(lab),
    },
    ...components.map((component) => ({
      name: component.name,
      after: [...component.after, ...needed(component.parts)],
      run: () => startComponent(lab, component),
    })),
  ];
  if (real) steps.push(...nodeSteps(lab));
  return { steps };
}

type Tell = (what: string) => void;

async function findProgram(lab: Lab, name: string, tell: Tell): Promise<void> {
  const known = lab.state.programs[name];
  const { variable } = partNamed(name);
  if (known && existsSync(known) && (process.env[variable] ?? known) === known) return;
  const { path } = await provisionPart(partNamed(name), { onProgress: (_, what) => tell(what) });
  lab.state.programs[name] = path;
  lab.save();
}

/** Before anything runs that could dial a pod or a ClusterIP; without root nothing of the lab does. */
async function prepareRanges(lab: Lab): Promise<void> {
  const { state } = lab;
  if (state.nodes === 'real') {
    await claimMachine(lab);
    state.network ??= network.chooseNetwork(await network.currentRoutes(lab));
    lab.save();
    await network.fenceRanges(lab);
    return;
  }
  // Benchmarking addresses: never routed on the internet, and nothing of a simulated lab dials them.
  state.network ??= { pods: '198.18.0.0/16', gateway: '198.18.0.1', services: '198.19.0.0/16' };
  lab.save();
}

async function certificates(lab: Lab): Promise<void> {
  const { makeCertificates } = await import('./pki.ts');
  await makeCertificates(lab.paths.pki, network.addressIn(network.networkOf(lab).services, 1));
}

function nodeSteps(lab: Lab): Step[] {
  return [
    {
      name: 'network',
      after: ['fence', 'certificates'],
      run: async () => {
        const { hostServices } = await import('./cluster.ts');
        network.rememberKernelSettings(lab);
        await network.raiseBridge(lab);
        await network.loadRules(lab, hostServices(lab));
      },
    },
    {
      name: 'base-images',
      after: ['containerd', 'program busybox'],
      run: async () => {
        const { baseImages, importImages } = await import('./images.ts');
        await importImages(lab, await baseImages(lab));
      },
    },
    {
      name: 'example-images',
      after: ['containerd', 'program busybox'],
      run: async () => {
        const { importExampleImages } = await import('./example-images.ts');
        await importExampleImages(lab);
      },
    },
  ];
}
