/** Where commands find backups: at the destination itself, so that they work when all else is gone. */
import { stat } from 'node:fs/promises';
import { openStorage, type PolicyKeys, policyKeys, type SettingsSource } from '../../backups/settings.ts';
import { notOfTheFuture, verifiedBackups } from '../../backups/verified.ts';
import type { BackupPolicy } from '../../specs/backup.types.ts';
import { DirectoryStorage } from '../../storage/directory.ts';
import type { Storage } from '../../storage/storage.ts';
import { EXIT } from '../exit.ts';
import { badInput, Failure } from '../failure.ts';
import type { Session } from '../session.ts';
import { atClaim, type Claim, newestOnClaim } from './claim.ts';
import { policyOf, type WhichPolicy } from './policy-file.ts';

export interface PlaceFlags extends WhichPolicy {
  directory?: string;
}

interface Place {
  storage: Storage;
  /** `null`: everything in the directory. */
  policy: BackupPolicy | null;
  /** Undefined without a policy, or when a cluster that has some does not answer. */
  keys: PolicyKeys | undefined;
}

/** Opens the destination as this process sees it: its directory, its variables; or the claim of a destination.job. */
export async function atPlace<T>(
  session: Session,
  flags: PlaceFlags,
  useClaim: (claim: Claim) => Promise<T>,
  use: (place: Place) => Promise<T>,
): Promise<T> {
  if (flags.directory !== undefined) {
    if (flags.policy !== undefined || flags.file !== undefined) {
      throw badInput('--directory: does not go with --policy and --file, which say where to look');
    }
    return await use({ storage: new DirectoryStorage(flags.directory), policy: null, keys: undefined });
  }
  const policy = await policyOf(session, flags);
  if ('job' in policy.spec.destination) return await atClaim(session, policy, useClaim);
  return await withSettings(session, policy, async (from) => {
    const storage = await openStorage(policy.spec.destination, from);
    await assertHere(policy);
    try {
      return await use({ storage, policy, keys: await policyKeys(policy, from).catch(() => undefined) });
    } finally {
      await storage.close();
    }
  });
}

/** What is there on the worker's machine cannot be seen from another. */
export function whoseDirectory({ spec }: BackupPolicy): string {
  return 'directory' in spec.destination
    ? " of this machine, and the policy means the worker's: run the command where the worker is"
    : '';
}

/** Secrets are read with the person's own kubeconfig, and only when the policy names some. */
async function withSettings<T>(
  session: Session,
  policy: BackupPolicy,
  use: (from: SettingsSource) => Promise<T>,
): Promise<T> {
  const { destination, encryption } = policy.spec;
  if (!JSON.stringify([destination, encryption]).includes('"secret"'))
    return await use({ env: session.env, kube: null });
  const kube = await session.openKube({});
  try {
    return await use({ env: session.env, kube: kube.client });
  } finally {
    kube.close();
  }
}

async function assertHere(policy: BackupPolicy): Promise<void> {
  const { destination } = policy.spec;
  if (!('directory' in destination)) return;
  if (await stat(destination.directory).catch(() => undefined)) return;
  throw new Failure(
    'no-answer',
    EXIT.failed,
    `there is no directory ${destination.directory}${whoseDirectory(policy)}, for example kubectl -n slipway-system exec deploy/slipway-worker -- node /app/dist/cli.js backup list`,
  );
}

/** Id of a policy's newest verified backup. Throws Failure `no-backup`. */
export async function newestBackup(session: Session, policy: BackupPolicy): Promise<string> {
  if ('job' in policy.spec.destination) return await atClaim(session, policy, newestOnClaim);
  return await withSettings(session, policy, async (from) => {
    const storage = await openStorage(policy.spec.destination, from);
    await assertHere(policy);
    try {
      const [newest] = notOfTheFuture(await verifiedBackups(storage, policy.metadata.name));
      if (newest) return newest.id;
      throw new Failure(
        'no-backup',
        EXIT.failed,
        `policy ${policy.metadata.name} has no verified backup at ${storage.location}`,
      );
    } finally {
      await storage.close();
    }
  });
}
