/**
 * A small image with what mongo:6.0 has and the Jobs of backups use: bash, coreutils, findutils, grep, gzip, mongodump and
 * mongorestore. The last two are the real ones where they are on PATH (or named by MONGODUMP and MONGORESTORE), else
 * stand-ins over the project's own engine.
 */
import { chmodSync, cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { buildNodeImages, importImages } from '../../../lab/images.ts';
import { openLab } from '../../../lab/lab.ts';
import { packLayer } from '../../../lab/oci.ts';
import { run } from '../../../lab/provision/run.ts';
import { programOnPath } from '../backup-engine.support.ts';

const PROGRAMS =
  'bash base64 cat cut date dd find grep gzip head mkdir mv rm sha256sum sleep stat sync tail tee tr wc'.split(
    ' ',
  );
const STAND_IN = fileURLToPath(new URL('./tools/mongodump.ts', import.meta.url));
const REQUIRE =
  "#!/usr/local/bin/node\nimport { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);";

export interface DumpImage {
  reference: string;
  /** The database tools are MongoDB's own. */
  real: boolean;
}

/** Builds the image and imports it into the lab's containerd. */
export async function dumpImage(): Promise<DumpImage> {
  const scratch = mkdtempSync(join(tmpdir(), 'slipway-dump-image-'));
  try {
    const root = join(scratch, 'tools');
    mkdirSync(join(root, 'usr/local/bin'), { recursive: true });
    for (const program of PROGRAMS) await install(root, program);
    const mongodump = programOnPath('mongodump', 'MONGODUMP');
    const mongorestore = programOnPath('mongorestore', 'MONGORESTORE');
    const real = mongodump !== undefined && mongorestore !== undefined;
    if (real) {
      await install(root, 'mongodump', mongodump);
      await install(root, 'mongorestore', mongorestore);
    } else await installStandIns(root);
    const empty = join(scratch, 'app');
    mkdirSync(empty);
    const [base] = await buildNodeImages(
      [{ name: 'slipway-test/mongo', tag: 'base', appDir: empty }],
      scratch,
    );
    if (!base) throw new Error('no image with Node could be made');
    const layer = await packLayer(root, join(scratch, 'tools.tar'));
    const reference = `docker.io/slipway-test/mongo:${layer.digest.slice(7, 19)}`;
    await importImages(openLab(), [
      { ...base, reference, layers: [...base.layers, layer], entrypoint: ['/bin/bash'] },
    ]);
    return { reference, real };
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** A program with the libraries it names, where the image looks for them. */
async function install(root: string, program: string, from?: string): Promise<void> {
  const source = realpathSync(from ?? (await run('which', [program])).trim());
  const put = (file: string, to: string) => {
    mkdirSync(dirname(join(root, to)), { recursive: true });
    cpSync(realpathSync(file), join(root, to));
  };
  put(source, program === 'bash' ? '/bin/bash' : `/usr/bin/${program}`);
  const listing = await run('ldd', [source]).catch(() => ''); // a static program has none
  for (const [, library] of listing.matchAll(/(?:=>\s*)?(\/\S+) \(0x/g))
    put(library as string, library as string);
}

async function installStandIns(root: string): Promise<void> {
  for (const name of ['mongodump', 'mongorestore']) {
    const outfile = join(root, 'usr/local/bin', name);
    await build({
      entryPoints: [STAND_IN],
      outfile,
      bundle: true,
      platform: 'node',
      format: 'esm',
      target: 'node24',
      banner: { js: REQUIRE },
      logLevel: 'error',
    });
    chmodSync(outfile, 0o755);
  }
}
