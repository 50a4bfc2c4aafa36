/**
 * Builds dist/: command and engine as a few modules that start fast, the worker as a module beside its native packages,
 * and the workflows as the one script that Temporal's sandbox runs. `node scripts/bundle.ts engine FOLDER` builds the engine
 * alone, anywhere.
 */
import { chmodSync, existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type Metafile, type Plugin } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));
const dist = join(root, 'dist');
const source = (path: string) => join(root, 'src', path);
const { version, engines } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  version: string;
  engines: { node: string };
};
const target = `node${engines.node.replace(/^\D*/, '')}`;

/** CommonJS packages inside an ES module still ask for `require`. */
const REQUIRE =
  "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);";

/** Modules that serve until they are stopped. */
const SERVERS = ['worker', 'gateway'];

/** The driver asks for these when a connection needs them; who wants them installs them beside us. */
const DRIVER_EXTRAS = [
  '@aws-sdk/credential-providers',
  '@mongodb-js/zstd',
  'gcp-metadata',
  'kerberos',
  'mongodb-client-encryption',
  'snappy',
  'socks',
];

const common = {
  bundle: true,
  format: 'esm',
  platform: 'node',
  target,
  outdir: dist,
  absWorkingDir: root,
  banner: { js: REQUIRE },
  define: { SLIPWAY_VERSION: JSON.stringify(version) },
  sourcemap: false,
  legalComments: 'none',
  logLevel: 'warning',
  metafile: true,
} as const;

/** Leaves an import of `entry` as an import of the file that another build makes of it. */
function separate(entry: string, output: string): Plugin {
  return {
    name: `separate ${output}`,
    setup(builder) {
      builder.onResolve({ filter: /^\.\.?\// }, ({ path, importer }) =>
        resolve(dirname(importer), path) === source(entry) ? { path: output, external: true } : undefined,
      );
    },
  };
}

/** What is started often, with what it needs of its packages inside: one file is read faster than five hundred. */
async function bundleWhole(
  name: 'cli' | 'engine',
  external: string[],
  outdir = dist,
  beside: { in: string; out: string }[] = [],
): Promise<Metafile> {
  const { metafile } = await build({
    ...common,
    outdir,
    entryPoints: [{ in: source(`${name}.ts`), out: name }, ...beside],
    // What is imported when it is needed stays a file of its own.
    splitting: true,
    // Not the identifiers: errors and Temporal's serialisers know classes by their names.
    minifyWhitespace: true,
    minifySyntax: true,
    chunkNames: `${name}/[name]-[hash]`,
    plugins: SERVERS.map((server) => separate(`${server}.ts`, `../${server}.js`)),
    external,
  });
  return metafile;
}

/** The code of its thread lies beside the chunks, one of which starts it. */
function bundleEngine(outdir?: string): Promise<Metafile> {
  const thread = { in: source('storage/hash-thread.ts'), out: 'engine/hash-thread' };
  return bundleWhole('engine', DRIVER_EXTRAS, outdir, [thread]);
}

/** What serves keeps its packages outside: some are native, and all must share one copy of Temporal's context. */
async function bundleServer(name: string): Promise<Metafile> {
  const { metafile } = await build({ ...common, entryPoints: [source(`${name}.ts`)], packages: 'external' });
  return metafile;
}

async function bundleWorkflows(): Promise<string> {
  const { bundleWorkflowCode } = await import('@temporalio/worker');
  const quiet = () => undefined;
  const { code } = await bundleWorkflowCode({
    workflowsPath: source('workflows/index.ts'),
    logger: { log: quiet, trace: quiet, debug: quiet, info: quiet, warn: console.warn, error: console.error },
  });
  const file = join(dist, 'workflow-bundle.js');
  writeFileSync(file, code);
  return file;
}

function report(file: string): void {
  console.log(
    `${relative(root, file).padEnd(28)} ${(statSync(file).size / 1_024).toFixed(0).padStart(6)} KiB`,
  );
}

async function bundleAll(): Promise<void> {
  rmSync(dist, { recursive: true, force: true });
  const bundles = await Promise.all([
    bundleWhole('cli', ['@temporalio/worker', '@temporalio/core-bridge']),
    bundleEngine(),
    ...SERVERS.filter(exists).map(bundleServer),
  ]);
  for (const { outputs } of bundles) {
    for (const file of Object.keys(outputs)) report(join(root, file));
  }
  chmodSync(join(dist, 'cli.js'), 0o755);
  if (exists('workflows/index')) report(await bundleWorkflows());
}

/** While a part is not written yet, the others can still be built. */
function exists(name: string): boolean {
  const found = existsSync(source(`${name}.ts`));
  if (!found) console.warn(`src/${name}.ts does not exist yet, so it is left out`);
  return found;
}

const [part, folder] = process.argv.slice(2);
if (part === 'engine' && folder !== undefined) await bundleEngine(resolve(folder));
else await bundleAll();
