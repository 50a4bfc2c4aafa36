/** How commands of backups find their policy: by name in Temporal, or in a file. */
import { parseBackupPolicy } from '../../specs/backup.ts';
import type { BackupPolicy } from '../../specs/backup.types.ts';
import { withClient } from '../connect.ts';
import { badInput } from '../failure.ts';
import type { ConnectFlags, Session } from '../session.ts';
import { readTextFile } from '../text-file.ts';

export interface WhichPolicy extends ConnectFlags {
  policy?: string;
  file?: string;
}

/** The policy in a file. Throws SpecError or a Failure that names the file. */
export async function readPolicy(session: Session, flag: string | undefined): Promise<BackupPolicy> {
  const { text, source } = await readTextFile(session, flag);
  return parseBackupPolicy(text, { source });
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
