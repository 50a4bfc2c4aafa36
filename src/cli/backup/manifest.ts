/** `backup manifest --cronjob`. */
import { cronJob } from '../../domain/backup-job/job.ts';
import { badInput } from '../failure.ts';
import type { Session } from '../session.ts';
import { readPolicy } from './policy-file.ts';

export interface ManifestFlags {
  file?: string;
  cronjob?: boolean;
}

export async function manifest(session: Session, flags: ManifestFlags): Promise<void> {
  if (!flags.cronjob) throw badInput('--cronjob is missing: it is the only kind there is');
  const policy = await readPolicy(session, flags.file);
  let object: object;
  try {
    object = cronJob(policy);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw badInput(error.message);
  }
  const { stringify } = await import('yaml');
  session.write(stringify(object, { lineWidth: 0, aliasDuplicateObjects: false }));
}
