// Container images of the lab, built from what the machine has: Node with its shared libraries, busybox.
import { createHash } from 'node:crypto';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import process from 'node:process';
import type { Lab } from './lab.ts';
import { describeImage, describeLayer, type ImageSpec, type Layer, packLayer, writeLayout } from './oci.ts';
import { cacheDir } from './paths.ts';
import { provision } from './provision.ts';
import { run } from './provision/run.ts';
import { cached } from './provision/store.ts';

export const PAUSE_IMAGE = 'docker.io/slipway/pause:lab';
/** A shell with the usual small tools, for probes and tests. */
export const BUSYBOX_IMAGE = 'docker.io/library/busybox:1.35';

export interface NodeImage {
  /** Repository as in a manifest, for example ecommerce/product-service. */
  name: string;
  tag: string;
  /** Folder whose content becomes /app; its package.json names the dependencies to take from this checkout. */
  appDir: string;
  /** What to run, relative to /app. */
  entry?: string;
  env?: Readonly<Record<string, string>>;
  /** "uid" or "uid:gid"; 1000:3000 when not given. */
  user?: string;
}

/** The full name that containerd keeps for a name as written in a manifest. */
export function fullReference(name: string, tag: string): string {
  const parts = name.split('/');
  const registry = parts.length > 1 && /[.:]|^localhost$/.test(parts[0] as string);
  return `${registry ? '' : parts.length > 1 ? 'docker.io/' : 'docker.io/library/'}${name}:${tag}`;
}

/** Describes images that run a Node program; layers are made in `scratch`, and equal apps share one. */
export async function buildNodeImages(images: readonly NodeImage[], scratch: string): Promise<ImageSpec[]> {
  const base = await nodeLayer();
  const apps = new Map<string, Promise<Layer>>();
  return Promise.all(
    images.map(async (image) => {
      const app = apps.get(image.appDir) ?? appLayer(image.appDir, scratch, apps.size);
      apps.set(image.appDir, app);
      return {
        reference: fullReference(image.name, image.tag),
        layers: [base, await app],
        entrypoint: ['/usr/local/bin/node', `/app/${image.entry ?? 'server.js'}`],
        env: { NODE_ENV: 'production', ...image.env },
        user: image.user ?? '1000:3000',
        workingDir: '/app',
      };
    }),
  );
}

/** Builds one image and imports it into the lab's containerd. Answers its full reference. */
export async function buildNodeImage(lab: Lab, image: NodeImage): Promise<string> {
  return inScratch(async (scratch) => {
    const specs = await buildNodeImages([image], scratch);
    await importImages(lab, specs);
    return (specs[0] as ImageSpec).reference;
  });
}

export async function inScratch<T>(work: (scratch: string) => Promise<T>): Promise<T> {
  const scratch = mkdtempSync(join(tmpdir(), 'slipway-images-'));
  try {
    return await work(scratch);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** Imports those images that containerd does not have yet, unpacked and ready to run. */
export async function importImages(lab: Lab, images: readonly ImageSpec[]): Promise<void> {
  const ctr = (...args: string[]) =>
    run(lab.program('ctr'), ['-a', join(lab.paths.run, 'containerd.sock'), '-n', 'k8s.io', ...args]);
  const present = await ctr('images', 'ls');
  const missing = images.filter((image) => !hasImage(present, image.reference, describeImage(image).digest));
  if (missing.length === 0) return;
  await inScratch(async (scratch) => {
    const layout = join(scratch, 'layout');
    await writeLayout(layout, missing);
    const archive = join(scratch, 'images.tar');
    await run('tar', ['-C', layout, '-cf', archive, '.']);
    await ctr('images', 'import', archive);
  });
}

/** True when the listing of `ctr images ls` has the reference with that digest. */
export function hasImage(listing: string, reference: string, digest: string): boolean {
  return listing.split('\n').some((line) => {
    const [name, , has] = line.split(/\s+/);
    return name === reference && has === digest;
  });
}

/** pause and busybox, both from busybox-static. */
export async function baseImages(lab: Lab): Promise<ImageSpec[]> {
  const layer = await busyboxLayer(lab.program('busybox'));
  return [
    {
      reference: PAUSE_IMAGE,
      layers: [layer],
      // Process 1 of every pod: sleeps, collects orphans, and goes at once when told.
      entrypoint: ['/bin/sh', '-c', 'trap "exit 0" TERM INT; while :; do sleep 3600 & wait $!; done'],
      user: '65535:65535',
    },
    { reference: BUSYBOX_IMAGE, layers: [layer], entrypoint: ['/bin/sh'] },
  ];
}

async function busyboxLayer(program: string): Promise<Layer> {
  const binary = realpathSync(program);
  return cachedLayer(`busybox-${fileDigest(binary)}`, async (root) => {
    mkdirSync(join(root, 'bin'));
    cpSync(binary, join(root, 'bin', 'busybox'));
    const applets = (await run(binary, ['--list'])).trim().split('\n');
    for (const applet of applets) if (applet !== 'busybox') symlinkSync('busybox', join(root, 'bin', applet));
    commonFiles(root);
  });
}

/** Node, the libraries that it loads, and a shell for `kubectl exec`. */
async function nodeLayer(): Promise<Layer> {
  const node = realpathSync(process.execPath);
  const { busybox } = await provision(['busybox']);
  const shell = realpathSync(busybox?.path as string);
  return cachedLayer(`node-${process.version}-${fileDigest(node)}`, async (root) => {
    const put = (from: string, to: string) => {
      mkdirSync(dirname(join(root, to)), { recursive: true });
      cpSync(realpathSync(from), join(root, to));
    };
    put(node, 'usr/local/bin/node');
    put(shell, 'bin/busybox');
    for (const applet of ['sh', 'ls', 'cat', 'ps', 'wget', 'nc', 'sleep', 'env', 'kill', 'nslookup']) {
      symlinkSync('busybox', join(root, 'bin', applet));
    }
    for (const library of await sharedLibraries(node)) put(library, library);
    commonFiles(root);
  });
}

/** Absolute paths of the libraries (and the loader) that a program names, as ldd finds them. */
async function sharedLibraries(program: string): Promise<string[]> {
  const listing = await run('ldd', [program]);
  const missing = listing.match(/^\s*(\S+) => not found/m);
  if (missing) throw new Error(`${program} needs ${missing[1]}, which this machine does not have`);
  return [...listing.matchAll(/(?:=>\s*)?(\/\S+) \(0x/g)].map((match) => match[1] as string);
}

function commonFiles(root: string): void {
  const write = (file: string, text: string) => {
    mkdirSync(dirname(join(root, file)), { recursive: true });
    writeFileSync(join(root, file), text);
  };
  write(
    'etc/passwd',
    'root:x:0:0:root:/root:/bin/sh\napp:x:1000:3000:app:/:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n',
  );
  write('etc/group', 'root:x:0:\napp:x:3000:\nnogroup:x:65534:\n');
  write('etc/nsswitch.conf', 'hosts: files dns\n');
  mkdirSync(join(root, 'tmp'), { mode: 0o1777 });
}

/** A layer that depends only on what its key names is built once per machine. */
async function cachedLayer(key: string, fill: (root: string) => Promise<void>): Promise<Layer> {
  const folder = await cached(cacheDir(), `layers/${key}`, async (scratch) => {
    const root = join(scratch, 'root');
    mkdirSync(root);
    await fill(root);
    const layer = await packLayer(root, join(scratch, 'layer.tar'));
    rmSync(root, { recursive: true });
    writeFileSync(join(scratch, 'layer.json'), JSON.stringify({ digest: layer.digest, size: layer.size }));
  });
  const known = JSON.parse(readFileSync(join(folder, 'layer.json'), 'utf8')) as Omit<Layer, 'file'>;
  return { file: join(folder, 'layer.tar'), ...known };
}

const fileDigest = (file: string): string =>
  createHash('sha256').update(readFileSync(file)).digest('hex').slice(0, 12);

async function appLayer(appDir: string, scratch: string, nth: number): Promise<Layer> {
  const root = join(scratch, `app-${nth}`);
  const app = join(root, 'app');
  mkdirSync(app, { recursive: true });
  cpSync(appDir, app, { recursive: true, filter: (file) => basename(file) !== 'node_modules' });
  const manifest = join(appDir, 'package.json');
  const done = new Set<string>();
  if (existsSync(manifest)) copyDependencies(manifest, join(app, 'node_modules'), done);
  const file = join(scratch, `app-${nth}.tar`);
  await packLayer(root, file);
  return describeLayer(file);
}

interface Manifest {
  dependencies?: Record<string, string>;
}

/** Copies what a package.json depends on, as Node would find it from there; optional peers stay out. */
function copyDependencies(manifest: string, target: string, done: Set<string>): void {
  const { dependencies = {} } = JSON.parse(readFileSync(manifest, 'utf8')) as Manifest;
  for (const name of Object.keys(dependencies)) {
    if (done.has(name)) continue;
    done.add(name);
    const source = findPackage(name, dirname(manifest));
    cpSync(source, join(target, name), { recursive: true });
    copyDependencies(join(source, 'package.json'), target, done);
  }
}

function findPackage(name: string, from: string): string {
  for (let folder = from; ; folder = dirname(folder)) {
    const candidate = join(folder, 'node_modules', name);
    if (existsSync(join(candidate, 'package.json'))) return candidate;
    if (folder === dirname(folder)) throw new Error(`package ${name}, which ${from} needs, is not installed`);
  }
}
