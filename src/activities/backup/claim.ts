/**
 * Restores from the claim of a `destination.job`. The worker finds the backup and makes a pod that reads the claim; the
 * engine reads the archive through it, as often as it reads any other, with all that a restore promises.
 */
import { activityInfo } from '@temporalio/activity';
import { withReader } from '../../backups/claim-reader.ts';
import { resolveUri, SettingMissingError } from '../../backups/settings.ts';
import { pickBackup } from '../../backups/verified.ts';
import {
  holdOnVolume,
  lookAtVolume,
  recordDrillOnVolume,
  releaseOnVolume,
  verifiedIn,
} from '../../backups/volume.ts';
import { jobOf } from '../../domain/backup-job/pod.ts';
import type { BackupChoice, RestoreOrigin } from '../../domain/backup/restore.types.ts';
import { JOB_ACCESS_RULES, READER_ACCESS_RULES } from '../../domain/preflight/access.ts';
import type { KubeClient } from '../../kubernetes/client.ts';
import type { BackupPolicy, UriFrom } from '../../specs/backup.types.ts';
import type { JobBackup } from '../../specs/job-manifest.ts';
import type { Report } from './context.ts';
import type { EngineSetting } from './engine.ts';
import { assertRights, type ClusterSource, clusterOf } from './job.ts';
import type { FromClaim } from './origin.ts';
import type { BackupActivities } from './types.ts';

type Setting = EngineSetting & ClusterSource;
type Work<I, O> = (input: I, from: Setting, signal: AbortSignal, report: Report) => Promise<O>;

/** The policy whose claim an archive lies on; `null`: it lies elsewhere. */
export function claimOf(origin: RestoreOrigin): BackupPolicy | null {
  return 'policy' in origin && 'job' in origin.policy.spec.destination ? origin.policy : null;
}

/**
 * The work of a restore or drill; where its archive lies on a claim, with a pod that reads it. `placesOf`: which backup is
 * meant, and where it is restored to.
 */
export function fromWherever<I extends object, O>(
  work: Work<I & FromClaim, O>,
  placesOf: (input: I) => { origin: RestoreOrigin; target: UriFrom },
): Work<I, O> {
  return async (input, from, signal, report) => {
    const { origin, target } = placesOf(input);
    const policy = claimOf(origin);
    if (!policy || !('policy' in origin))
      return await work({ ...input, claimed: undefined }, from, signal, report);
    const client = clusterOf(from);
    const onWait = (note: string) => report(starting(note));
    await assertRights(client, policy, [...JOB_ACCESS_RULES, ...READER_ACCESS_RULES], signal);
    await assertTarget(target, from);
    onWait('looks for the backup on the claim');
    const { backup, location } = await find(client, policy, origin.backup, signal);
    const path = `${jobOf(policy).mountPath}/${backup.archive.name}`;
    return await withReader(client, policy, { owner: currentRun(), signal, onWait }, (reader) =>
      work({ ...input, claimed: { backup, location, reader: { ...reader, path } } }, from, signal, report),
    );
  };
}

async function find(client: KubeClient, policy: BackupPolicy, choice: BackupChoice, signal: AbortSignal) {
  const volume = await lookAtVolume(client, policy, signal);
  const { location } = volume;
  const { name } = policy.metadata;
  const time = ({ startedAt }: JobBackup) => startedAt;
  const backup = pickBackup(verifiedIn(volume, name), time, choice, `policy ${name} at ${location}`);
  return { backup, location };
}

/** Whose reader it is: the next attempt of the same run may take it away. */
function currentRun(): string {
  const { workflowExecution: run, activityId } = activityInfo();
  return run ? `${run.workflowId}/${run.runId}` : activityId;
}

/** Where the worker may not read the password, a Job made the backup all the same; so this is where it is noticed. */
async function assertTarget(target: UriFrom, from: ClusterSource): Promise<void> {
  try {
    await resolveUri(target, from);
  } catch (error) {
    if (!(error instanceof SettingMissingError) || 'env' in target) throw error;
    throw new SettingMissingError(
      `${error.message}; or restore to the server in a variable of the worker: --into-env NAME`,
    );
  }
}

function starting(note: string) {
  return {
    stage: 'starting' as const,
    bytes: 0,
    totalBytes: 0,
    documents: 0,
    namespace: '',
    namespaces: 0,
    totalNamespaces: 0,
    note,
  };
}

/** See {@link BackupActivities}. */
export async function holdOnClaim(
  policy: BackupPolicy,
  { archive, claimant, until }: Parameters<BackupActivities['holdArchive']>[0],
  from: ClusterSource,
  signal: AbortSignal,
): Promise<void> {
  await holdOnVolume(clusterOf(from), policy, archive, { claimant, until }, signal);
}

/** See {@link BackupActivities}. */
export async function releaseOnClaim(
  policy: BackupPolicy,
  { archive, claimant }: Parameters<BackupActivities['releaseArchive']>[0],
  from: ClusterSource,
  signal: AbortSignal,
): Promise<void> {
  await releaseOnVolume(clusterOf(from), policy, archive, claimant, signal);
}

/** See {@link BackupActivities}. */
export async function recordDrillOnClaim(
  { policy, record }: Parameters<BackupActivities['recordDrill']>[0],
  from: ClusterSource,
  signal: AbortSignal,
): Promise<void> {
  await recordDrillOnVolume(clusterOf(from), policy, record, signal);
}
