/** `release validate` and `release schema`, and how every command reads a release file. */
import { describeStrategy } from '../render/spec.ts';
import { parseRelease, releaseJsonSchema } from '../../specs/release.ts';
import type { Release } from '../../specs/release.types.ts';
import { type Format, printData, printJson } from '../output.ts';
import type { Session } from '../session.ts';
import { readTextFile } from '../text-file.ts';

export interface SpecFlags {
  file?: string;
  image?: string;
  images?: Record<string, string>;
  reason?: string;
}

/** The release in the file, with what the flags override. Throws SpecError or a Failure that names the file. */
export async function readRelease(session: Session, flags: SpecFlags): Promise<Release> {
  const { text, source } = await readTextFile(session, flags.file);
  const { image, images, reason } = flags;
  return parseRelease(text, { source, overrides: { image, images, reason } });
}

export async function validate(session: Session, flags: SpecFlags & { output?: Format }): Promise<void> {
  const release = await readRelease(session, flags);
  if (await printData(session, flags.output, release)) return;
  const { namespace, name } = release.metadata;
  if (flags.output === 'name') session.out(`${namespace}/${name}`);
  else
    session.out(
      `${flags.file === '-' ? 'standard input' : flags.file} is valid: ${namespace}/${name}, ${describeStrategy(release)}`,
    );
}

export function schema(session: Session): void {
  printJson(session, releaseJsonSchema());
}
