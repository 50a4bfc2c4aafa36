/** `release validate` and `release schema`, and how every command reads a release file. */
import { readFile } from 'node:fs/promises';
import { describeStrategy } from '../render/spec.ts';
import { parseRelease, releaseJsonSchema } from '../../specs/release.ts';
import type { Release } from '../../specs/release.types.ts';
import { badInput, required } from '../failure.ts';
import { type Format, printData, printJson } from '../output.ts';
import type { Session } from '../session.ts';

export interface SpecFlags {
  file?: string;
  image?: string;
  images?: Record<string, string>;
  reason?: string;
}

/** The release in the file, with what the flags override. Throws SpecError or a Failure that names the file. */
export async function readRelease(session: Session, flags: SpecFlags): Promise<Release> {
  const file = required(flags.file, '--file FILE');
  const source = file === '-' ? 'standard input' : file;
  const text = file === '-' ? await session.readStdin() : await readText(file);
  const { image, images, reason } = flags;
  return parseRelease(text, { source, overrides: { image, images, reason } });
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') throw badInput(`--file: ${file} does not exist`);
    if (code === 'EISDIR')
      throw badInput(`--file: ${file} is a directory; allowed: one file, or - for standard input`);
    if (code === 'EACCES') throw badInput(`--file: ${file} may not be read (permission denied)`);
    throw badInput(`--file: ${file} cannot be read (${code ?? String(error)})`);
  }
}

export async function validate(session: Session, flags: SpecFlags & { output?: Format }): Promise<void> {
  const release = await readRelease(session, flags);
  if (await printData(session, flags.output, release)) return;
  const { namespace, name } = release.metadata;
  if (flags.output === 'name') session.out(`${namespace}/${name}`);
  else session.out(`${flags.file} is valid: ${namespace}/${name}, ${describeStrategy(release)}`);
}

export function schema(session: Session): void {
  printJson(session, releaseJsonSchema());
}
