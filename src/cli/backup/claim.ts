/** `backup list|show|verify` of a policy with destination.job: short Jobs read the claim. */
import { JobFailedError } from '../../backups/job-runner.ts';
import {
  type Checked,
  claimText,
  lookAtVolume,
  verifiedIn,
  verifyVolume,
  type Volume,
  type VolumeEntry,
} from '../../backups/volume.ts';
import { bytesText, durationText } from '../../domain/amounts.ts';
import { KubeError } from '../../kubernetes/errors.ts';
import type { KubeClient } from '../../kubernetes/client.ts';
import type { BackupPolicy } from '../../specs/backup.types.ts';
import type { JobBackup } from '../../specs/job-manifest.ts';
import { EXIT } from '../exit.ts';
import { Failure } from '../failure.ts';
import { type Format, printData } from '../output.ts';
import { drillCell, drillRows } from '../render/drill.ts';
import { stamp, table } from '../render/text.ts';
import type { Session } from '../session.ts';

export interface Claim {
  client: KubeClient;
  policy: BackupPolicy;
  signal: AbortSignal;
}

interface OutputFlags {
  output?: Format;
}

/** Works on a claim with the person's own kubeconfig; Ctrl-C takes the short Job away. */
export async function atClaim<T>(
  session: Session,
  policy: BackupPolicy,
  use: (claim: Claim) => Promise<T>,
): Promise<T> {
  const kube = await session.openKube({});
  const { signal, stop } = session.interrupted();
  try {
    return await use({ client: kube.client, policy, signal });
  } catch (error) {
    if (error instanceof JobFailedError || error instanceof KubeError)
      throw new Failure('no-answer', EXIT.failed, `${claimText(policy)}: ${error.message}`);
    throw error;
  } finally {
    stop();
    kube.close();
  }
}

function ofPolicy({ entries }: Volume, policy: BackupPolicy): VolumeEntry[] {
  return entries.filter((entry) => !('manifest' in entry) || entry.manifest.policy === policy.metadata.name);
}

export async function listClaim(session: Session, claim: Claim, flags: OutputFlags): Promise<void> {
  const volume = await lookAtVolume(claim.client, claim.policy, claim.signal);
  const rows = ofPolicy(volume, claim.policy)
    .reverse()
    .map((entry) => ({ ...factsOf(entry), drill: volume.drills.get(entry.id) ?? null }));
  if (await printData(session, flags.output, rows)) return;
  if (flags.output === 'name') {
    for (const { id } of rows) session.out(id);
    return;
  }
  if (rows.length === 0) return session.err(`There are no backups at ${volume.location}.`);
  const header = ['BACKUP', 'STATE', 'DATA OF', 'DOCUMENTS', 'SIZE', 'DRILL'];
  const cells = rows.map(({ id, state, at, documents, size, drill }) => [
    id,
    state,
    at === null ? '-' : stamp(at),
    String(documents ?? '-'),
    size === null ? '-' : bytesText(size),
    drillCell(drill),
  ]);
  for (const line of table([header, ...cells])) session.out(line);
  for (const { id, reason } of rows) if (reason !== null) session.err(`${id}: ${reason}`);
}

function factsOf(entry: VolumeEntry) {
  const manifest = 'manifest' in entry ? entry.manifest : null;
  return {
    id: entry.id,
    state: entry.state,
    at: manifest?.startedAt ?? null,
    policy: manifest?.policy ?? null,
    documents: manifest?.documents ?? null,
    bytes: manifest?.bytes ?? null,
    size: manifest?.archive.size ?? null,
    archive: manifest?.archive.name ?? null,
    reason: 'reason' in entry ? entry.reason : null,
  };
}

export async function showClaim(
  session: Session,
  wanted: string,
  claim: Claim,
  flags: OutputFlags,
): Promise<void> {
  const volume = await lookAtVolume(claim.client, claim.policy, claim.signal);
  const manifest = chosen(volume, claim.policy, wanted);
  const drill = volume.drills.get(manifest.id) ?? null;
  if (await printData(session, flags.output, { ...manifest, drill })) return;
  const { archive, startedAt, verifiedAt, namespaces, documents, bytes, dumpMs, proveMs } = manifest;
  const rows = [
    ['Backup', `${manifest.id} of policy ${manifest.policy}`],
    ['Archive', `${archive.name} at ${volume.location}, ${bytesText(archive.size)}, ${archive.compression}`],
    ['SHA-256', archive.sha256],
    ['Made by', manifest.tool],
    ['Begun', stamp(startedAt)],
    ['Verified', `${stamp(verifiedAt)}: read back with the same SHA-256, and to its end by mongorestore`],
    ['Holds', `${documents} documents of ${namespaces} namespaces, ${bytesText(bytes)}`],
    ['Took', `${durationText(dumpMs)}, proof ${durationText(proveMs)}`],
    ...drillRows(drill),
  ];
  for (const line of table(rows)) session.out(line);
}

/** Id of the policy's newest verified backup. */
export async function newestOnClaim({ client, policy, signal }: Claim): Promise<string> {
  const volume = await lookAtVolume(client, policy, signal);
  return chosen(volume, policy, 'latest').id;
}

/** A backup that has a manifest, by its id, or the newest verified one. */
function chosen(volume: Volume, policy: BackupPolicy, wanted: string): JobBackup {
  const [newest] = verifiedIn(volume, policy.metadata.name);
  const named = ofPolicy(volume, policy).find(({ id }) => id === wanted);
  const found = wanted === 'latest' ? newest : named && 'manifest' in named ? named.manifest : undefined;
  if (found) return found;
  const what = wanted === 'latest' ? 'verified backup' : `backup ${wanted}`;
  const why = named && 'reason' in named ? `: ${named.reason}` : '; see slipway backup list';
  throw new Failure('no-backup', EXIT.failed, `there is no ${what} at ${volume.location}${why}`);
}

/** Exit code 1 when one is damaged. */
export async function verifyClaim(
  session: Session,
  ids: string[],
  claim: Claim,
  flags: OutputFlags & { all?: boolean },
): Promise<number> {
  const { client, policy, signal } = claim;
  const volume = await lookAtVolume(client, policy, signal);
  const all = ofPolicy(volume, policy);
  const wanted = flags.all
    ? all.flatMap((entry) => ('manifest' in entry ? [entry.manifest] : []))
    : (ids.length > 0 ? ids : ['latest']).map((id) => chosen(volume, policy, id));
  const unreadable: Checked[] = flags.all
    ? all.flatMap((entry) =>
        'manifest' in entry ? [] : [{ backup: entry.id, whole: false, reason: entry.reason }],
      )
    : [];
  const checked = wanted.length > 0 ? await verifyVolume(client, policy, wanted, signal) : [];
  const results = [...checked, ...unreadable];
  if (!(await printData(session, flags.output, results)))
    for (const { backup, reason } of results) session.out(`${backup}: ${reason ?? 'whole'}`);
  return results.every(({ whole }) => whole) ? EXIT.ok : EXIT.failed;
}
