/** `-o`: the same facts for people and for programs. */
import { Option } from 'commander';
import type { Session } from './session.ts';

export type Format = 'json' | 'yaml' | 'wide' | 'name';

export function outputOption(formats: Format[]): Option {
  return new Option('-o, --output <format>', 'data in place of text').choices(formats);
}

export function printJson(session: Session, value: unknown): void {
  session.out(JSON.stringify(value, null, 2));
}

/** Prints `value` when a data format is asked for; returns whether it was. */
export async function printData(
  session: Session,
  format: Format | undefined,
  value: unknown,
): Promise<boolean> {
  if (format === 'json') printJson(session, value);
  else if (format === 'yaml') {
    const { stringify } = await import('yaml');
    session.write(stringify(value, { lineWidth: 0, aliasDuplicateObjects: false }));
  } else return false;
  return true;
}
