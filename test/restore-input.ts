import type { RestoreInput, RestoreSelection } from '../src/domain/backup/restore.types.ts';
import type { BackupPolicy } from '../src/specs/backup.types.ts';

interface Change extends Partial<Omit<RestoreInput, 'selection'>> {
  selection?: Partial<RestoreSelection>;
}

/** A restore of all of a policy's newest backup to where it came from, that waits for an approval. */
export function restoreOf(policy: BackupPolicy, { selection, ...change }: Change = {}): RestoreInput {
  return {
    origin: { policy, backup: { latest: true } },
    target: { uriFrom: policy.spec.source.uriFrom },
    selection: { databases: null, collections: null, rename: [], users: false, ...selection },
    dryRun: false,
    starter: 'ann',
    approved: false,
    backupBefore: null,
    approvalExpires: '1h',
    ...change,
  };
}
