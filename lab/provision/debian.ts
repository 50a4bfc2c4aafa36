// Programs from Debian packages, unpacked into the cache instead of installed: no root needed, no service started,
// nothing on the system changed. Libraries that the system lacks are unpacked beside them and found through a wrapper.
import {
  existsSync,
  lstatSync,
  readdirSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import process from 'node:process';
import { LabError } from '../errors.ts';
import { run } from './run.ts';
import { makeExecutable } from './store.ts';

const PROGRAM_FOLDERS = ['usr/bin', 'usr/sbin', 'bin', 'sbin'];
/** Dependencies that no program needs to run. */
const LEFT_OUT = /^(libjs-|node-|python3|perl|adduser|netbase|tzdata|debconf)/;

/**
 * Unpacks the package and what it needs into `scratch`; wrappers name `final`, where the folder will be.
 * A `file` outside the usual program folders gets a wrapper too, if it is a program.
 */
export async function fetchDebian(
  { package: name, file }: { package: string; file: string },
  scratch: string,
  final: string,
): Promise<void> {
  const packages = await closure(name);
  await run('apt-get', ['download', '-q', ...packages], { cwd: scratch });
  const root = join(scratch, 'root');
  for (const archive of readdirSync(scratch).filter((entry) => entry.endsWith('.deb'))) {
    await run('dpkg', ['-x', join(scratch, archive), root]);
    rmSync(join(scratch, archive));
  }
  await run('mkdir', ['-p', join(scratch, 'bin')]);
  wrap(scratch, final, file);
  for (const folder of PROGRAM_FOLDERS) {
    if (!existsSync(join(root, folder)) || lstatSync(join(root, folder)).isSymbolicLink()) continue;
    for (const program of readdirSync(join(root, folder))) wrap(scratch, final, `${folder}/${program}`);
  }
}

/** Where a file of an unpacked package is to be run: its wrapper if it is a program, else the file or folder itself. */
export function fileInPackage(folder: string, file: string): string {
  const wrapper = join(folder, 'bin', basename(file));
  return existsSync(wrapper) ? wrapper : join(folder, 'root', file);
}

/** The package with those of its dependencies that are not installed. */
async function closure(name: string): Promise<string[]> {
  for (const tool of ['apt-get', 'dpkg']) {
    try {
      await run(tool, ['--version']);
    } catch {
      throw new LabError(
        `${name} comes from Debian's packages, but ${tool} is not here: install ${name} by other means and put it on PATH`,
      );
    }
  }
  const simulate = () => run('apt-get', ['install', '-s', '--no-install-recommends', '--reinstall', name]);
  let plan: string;
  try {
    plan = await simulate();
  } catch (error) {
    if (process.getuid?.() !== 0) {
      throw new LabError(`apt does not know the package ${name}: run "sudo apt-get update", then try again`);
    }
    await run('apt-get', ['update', '-q']);
    plan = await simulate().catch(() => {
      throw error;
    });
  }
  const wanted = [...plan.matchAll(/^Inst (\S+)/gm)].map((match) => match[1] as string);
  return [...new Set([name, ...wanted.filter((each) => !LEFT_OUT.test(each))])];
}

function wrap(scratch: string, final: string, file: string): void {
  const program = join(scratch, 'root', file);
  try {
    if (!statSync(realpathSync(program)).isFile()) return;
  } catch {
    return; // a link to something that only an installation makes
  }
  const root = join(final, 'root');
  const libraries = libraryFolders(join(scratch, 'root')).map((folder) => folder.replace(scratch, final));
  const name = basename(file);
  // What update-alternatives would do on installation: plain names for the nf_tables variants.
  const names = (name.includes('-nft') ? [name, name.replace('-nft', '')] : [name]).filter(
    (each) => !existsSync(join(scratch, 'bin', each)) && !isLink(join(scratch, 'bin', each)),
  );
  if (libraries.length === 0) {
    for (const each of names) symlinkSync(join(root, file), join(scratch, 'bin', each));
    return;
  }
  const path = libraries.join(':');
  const lines = ['#!/bin/sh', `export LD_LIBRARY_PATH="${path}\${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"`];
  const plugins = libraries
    .map((folder) => join(folder, 'xtables'))
    .find((folder) => existsSync(folder.replace(final, scratch)));
  if (plugins) lines.push(`export XTABLES_LIBDIR="${plugins}"`);
  // The link itself is run, not its target: a multi-call program tells by its name what it is to do.
  lines.push(`exec "${join(root, file)}" "$@"`, '');
  for (const each of names) {
    writeFileSync(join(scratch, 'bin', each), lines.join('\n'));
    makeExecutable(join(scratch, 'bin', each));
  }
}

function isLink(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() ?? false;
}

/** Folders with shared libraries; private ones lie one level deeper, where only an installed program would look. */
function libraryFolders(root: string): string[] {
  const top = ['usr/lib', 'lib']
    .map((folder) => join(root, folder))
    .filter((folder) => existsSync(folder) && !isLink(folder))
    .flatMap((folder) => foldersIn(folder).filter((each) => each.endsWith('-linux-gnu')));
  const hasLibrary = (folder: string) => readdirSync(folder).some((name) => /^lib.+\.so(\.|$)/.test(name));
  return [...top, ...top.flatMap(foldersIn).filter(hasLibrary)];
}

function foldersIn(folder: string): string[] {
  const entries = readdirSync(folder, { withFileTypes: true });
  return entries.filter((entry) => entry.isDirectory()).map((entry) => join(folder, entry.name));
}
