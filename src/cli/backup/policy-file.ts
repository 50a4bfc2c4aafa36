/** How commands of backups find their policy: by name in Temporal, or in a file. */
import { readFile } from 'node:fs/promises';
import { parseBackupPolicy } from '../../specs/backup.ts';
import type { BackupPolicy } from '../../specs/backup.types.ts';
import { withClient } from '../connect.ts';
import { badInput, required } from '../failure.ts';
import type { ConnectFlags, Session } from '../session.ts';

export interface WhichPolicy extends ConnectFlags {
  policy?: string;
  file?: string;
}

/** The policy in a file. Throws SpecError or a Failure that names the file. */
export async function readPolicy(session: Session, flag: string | undefined): Promise<BackupPolicy> {
  const file = required(flag, '--file FILE');
  const source = file === '-' ? 'standard input' : file;
  const text = file === '-' ? await session.readStdin() : await readText(file);
  return parseBackupPolicy(text, { source });
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') throw badInput(`--file: ${file} does not exist`);
    throw badInput(`--file: ${file} cannot be read (${code ?? String(error)})`);
  }
}

/** Exactly one of --policy and --file. */
export async function policyOf(session: Session, flags: WhichPolicy): Promise<BackupPolicy> {
  if (flags.policy !== undefined && flags.file !== undefined) {
    throw badInput('--policy and --file: give one of them');
  }
  if (flags.file !== undefined) return await readPolicy(session, flags.file);
  if (flags.policy === undefined) throw badInput('--policy NAME or --file FILE is missing');
  const { policy } = flags;
  return await withClient(session, flags, (client) => client.backups.policy(policy));
}
