// Programs built from Go modules. `go install` refuses modules that replace others, so each is built from a scratch
// module that requires it and repeats its replacements.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { LabError } from '../errors.ts';
import { run } from './run.ts';

export interface GoBuild {
  module: string;
  version: string;
  /** Paths of commands inside the module. */
  commands: readonly string[];
  ldflags?: string;
  /** Build tags, separated by commas. */
  tags?: string;
  /** The version to put in for the module's own `v0.0.0` requirements (Kubernetes' staging modules). */
  staging?: string;
  onLine?: (line: string) => void;
}

interface GoModFile {
  Require?: { Path: string; Version: string }[];
  Replace?: { Old: { Path: string; Version?: string }; New: { Path: string; Version?: string } }[];
}

/** With -mod=mod the build itself completes go.mod and go.sum; `go mod tidy` would fetch the tests' dependencies too. */
const ENVIRONMENT = { GOFLAGS: '-mod=mod', CGO_ENABLED: '0', GOWORK: 'off' };

/** A build that takes 7 minutes on a machine of its own takes many times that beside others. */
const BUILD_MS = 60 * 60_000;

/** Builds the commands into `folder`/bin. */
export async function buildGo(build: GoBuild, folder: string): Promise<void> {
  const go = (args: string[]) =>
    run('go', args, {
      cwd: folder,
      env: ENVIRONMENT,
      timeoutMs: BUILD_MS,
      ...(build.onLine && { onLine: build.onLine }),
    });
  try {
    await go(['version']);
  } catch {
    throw new LabError(
      `${build.module} is built with Go, which is not on PATH: install Go 1.26 or later from https://go.dev/dl (or a package of it), then try again`,
    );
  }
  const download = JSON.parse(await go(['mod', 'download', '-json', `${build.module}@${build.version}`])) as {
    GoMod: string;
  };
  const theirs = JSON.parse(await go(['mod', 'edit', '-json', download.GoMod])) as GoModFile;
  writeFileSync(join(folder, 'go.mod'), scratchModule(build, theirs));
  const packages = build.commands.map((command) => (command ? `${build.module}/${command}` : build.module));
  const imports = packages.map((name) => `import _ "${name}"`).join('\n');
  writeFileSync(join(folder, 'tools.go'), `//go:build tools\n\npackage tools\n\n${imports}\n`);
  const ldflags = ['-s', '-w', build.ldflags ?? ''].join(' ').trim();
  const tags = build.tags ? ['-tags', build.tags] : [];
  await go([
    'build',
    '-v',
    '-trimpath',
    ...tags,
    '-ldflags',
    ldflags,
    '-o',
    `${join(folder, 'bin')}/`,
    ...packages,
  ]);
}

/** The go.mod of the scratch module. */
export function scratchModule(
  build: Pick<GoBuild, 'module' | 'version' | 'staging'>,
  theirs: GoModFile,
): string {
  const replacements = new Map<string, string>();
  for (const { Old, New } of theirs.Replace ?? []) {
    if (!New.Version) continue; // a folder of their checkout; its module has its own version, see below
    replacements.set(Old.Version ? `${Old.Path} ${Old.Version}` : Old.Path, `${New.Path} ${New.Version}`);
  }
  if (build.staging) {
    for (const { Path, Version } of theirs.Require ?? []) {
      if (Version === 'v0.0.0') replacements.set(Path, `${Path} ${build.staging}`);
    }
  }
  const lines = [...replacements].map(([from, to]) => `replace ${from} => ${to}`);
  return [
    'module slipway.lab/scratch',
    'go 1.26',
    `require ${build.module} ${build.version}`,
    ...lines,
    '',
  ].join('\n');
}
