/**
 * Backups that a Job of the cluster makes. The worker makes the Job, watches it, reads what it says and cleans up; it
 * reads no Secret for that and needs no way to MongoDB or to the volume.
 */
import { createHash } from 'node:crypto';
import { readClaim } from '../../backups/claim-reader.ts';
import { JobFailedError, resultText, runErrand, watchToEnd } from '../../backups/job-runner.ts';
import { resolveUri, SettingMissingError, type SettingsSource } from '../../backups/settings.ts';
import { claimText, lookAtVolume, pruneVolume, verifiedIn } from '../../backups/volume.ts';
import { dumpJob, jobName, POLICY_LABEL, RUN_ANNOTATION, TASK_LABEL } from '../../domain/backup-job/job.ts';
import { jobOf, secretOf } from '../../domain/backup-job/pod.ts';
import { sweepScript } from '../../domain/backup-job/script.ts';
import { everRan, isFinished, type Job } from '../../domain/backup-job/sight.ts';
import type { BackupSummary, PruneSummary } from '../../domain/backup/types.ts';
import { accessFindings, type AccessRule, JOB_ACCESS_RULES } from '../../domain/preflight/access.ts';
import { reviewAccess } from '../../kubernetes/access.ts';
import type { KubeClient } from '../../kubernetes/client.ts';
import { deleteJob, ensureJob, listJobs, podsOf } from '../../kubernetes/jobs.ts';
import { connectMongo } from '../../mongodb/connect.ts';
import type { BackupPolicy } from '../../specs/backup.types.ts';
import { type JobBackup, parseJobManifest } from '../../specs/job-manifest.ts';
import type { Report } from './context.ts';
import { serverKey } from './source.ts';
import type { PruneInput, TakeInput } from './types.ts';

/** Other runs of the same second are rare, and a name is never given up in between. */
const NAMES = 9;
/** A worker that cannot reach the server must not make a backup wait. */
const IDENTIFY_MS = 3_000;

/** What these activities work with. */
export interface ClusterSource extends SettingsSource {
  kube: KubeClient | null;
}

export function clusterOf({ kube }: ClusterSource): KubeClient {
  if (kube) return kube;
  throw new SettingMissingError('destination.job: this worker has no cluster (SLIPWAY_KUBERNETES=off)');
}

/** See `identifyJobSource` in {@link BackupActivities}. */
export async function identifyJobSource(
  { policy }: { policy: BackupPolicy },
  from: ClusterSource,
): Promise<{ keys: string[] }> {
  const { namespace, name, key, host } = secretOf(policy);
  const address = JSON.stringify(['address', namespace, ...(host?.split(',').sort() ?? [name, key])]);
  const keys = [createHash('sha256').update(address).digest('hex').slice(0, 24)];
  try {
    const uri = await resolveUri(policy.spec.source.uriFrom, from);
    const client = await connectMongo(uri, {
      serverSelectionTimeoutMS: IDENTIFY_MS,
      connectTimeoutMS: IDENTIFY_MS,
    });
    try {
      keys.push(await serverKey(client));
    } finally {
      await client.close();
    }
  } catch {
    // The Job needs neither the worker's right to the Secret nor its way to the server.
  }
  return { keys };
}

/** @throws SettingMissingError with the rules that the worker's Role lacks */
export async function assertRights(
  client: KubeClient,
  policy: BackupPolicy,
  rules: readonly AccessRule[],
  signal: AbortSignal,
): Promise<void> {
  const { namespace } = jobOf(policy);
  const access = await reviewAccess(client, namespace, signal, rules);
  const missing = accessFindings({ access, namespace }, rules).filter(({ level }) => level === 'error');
  if (missing.length === 0) return;
  throw new SettingMissingError(missing.map(({ message, fix }) => `${message}; ${fix}`).join('; '));
}

/** Permissions, claim, image and volume, before anything is written. */
export async function prepareByJob(
  policy: BackupPolicy,
  from: ClusterSource,
  signal: AbortSignal,
): Promise<{ lastVerified: string | null; lastDrill: string | null }> {
  const client = clusterOf(from);
  await assertRights(client, policy, JOB_ACCESS_RULES, signal);
  await readClaim(client, policy, signal);
  const volume = await lookAtVolume(client, policy, signal);
  const backups = verifiedIn(volume, policy.metadata.name);
  const drills = backups.flatMap(({ id }) => volume.drills.get(id)?.at ?? []);
  return { lastVerified: backups[0]?.startedAt ?? null, lastDrill: drills.sort().at(-1) ?? null };
}

function ownerOf({ workflow }: Pick<TakeInput, 'workflow'>): string {
  return `${workflow.id}/${workflow.run}`;
}

function dumpsOf(client: KubeClient, policy: BackupPolicy, signal?: AbortSignal): Promise<Job[]> {
  const labels = { [POLICY_LABEL]: policy.metadata.name, [TASK_LABEL]: 'dump' };
  return listJobs(client, jobOf(policy).namespace, labels, signal);
}

/** Makes the run's Job, or finds it again, and gives what it has proven. */
export async function takeByJob(
  input: TakeInput,
  from: ClusterSource,
  signal: AbortSignal,
  report: Report,
): Promise<BackupSummary> {
  const client = clusterOf(from);
  const { policy } = input;
  await othersEnded(client, input, signal, report);
  const job = await claimJob(client, input, signal);
  try {
    const pod = await watchToEnd(client, job, { signal, report });
    const text = await resultText(client, pod, signal);
    return summaryOf(await provenBy(client, input, text, signal), claimText(policy));
  } finally {
    if (!signal.aborted) await trimHistory(client, policy).catch(() => undefined);
  }
}

/** The Job of a workflow that was terminated goes on without it; two dumps of one policy at once do not. */
async function othersEnded(
  client: KubeClient,
  input: TakeInput,
  signal: AbortSignal,
  report: Report,
): Promise<void> {
  for (const job of await dumpsOf(client, input.policy, signal)) {
    if (isFinished(job) || job.metadata.annotations?.[RUN_ANNOTATION] === ownerOf(input)) continue;
    const note = `waits for Job ${job.metadata.name} of another run of this policy`;
    await watchToEnd(client, job, {
      signal,
      report: (progress) => report({ ...progress, stage: 'starting', note }),
    }).catch((error: unknown) => {
      if (!(error instanceof JobFailedError)) throw error;
    });
  }
}

async function claimJob(client: KubeClient, input: TakeInput, signal: AbortSignal): Promise<Job> {
  const { policy, id } = input;
  for (let number = 1; number <= NAMES; number++) {
    const name = jobName(policy.metadata.name, id, number);
    const job = await ensureJob(client, dumpJob(policy, { id, owner: ownerOf(input) }, name), signal);
    if (job) return job;
  }
  throw new JobFailedError('failed', `the names of Jobs for ${id} are all taken by other runs`);
}

/** The manifest, as the container gave it; when its pod is gone, as it lies on the claim. */
async function provenBy(
  client: KubeClient,
  input: TakeInput,
  text: string | undefined,
  signal: AbortSignal,
): Promise<JobBackup> {
  const { policy } = input;
  const isOurs = (backup: JobBackup) =>
    backup.owner === ownerOf(input) && backup.policy === policy.metadata.name;
  const told = text === undefined ? null : readable(text);
  if (told && isOurs(told)) return told;
  const found = verifiedIn(await lookAtVolume(client, policy, signal), policy.metadata.name).find(isOurs);
  if (found) return found;
  throw new JobFailedError(
    'failed',
    `its Job says that it has ended well, but there is no backup of this run on ${claimText(policy)}`,
  );
}

/** What cannot be read is looked for on the claim. */
function readable(text: string): JobBackup | null {
  try {
    return parseJobManifest(text);
  } catch {
    return null;
  }
}

function summaryOf(backup: JobBackup, location: string): BackupSummary {
  const { id, archive, startedAt, namespaces, documents, bytes, dumpMs, proveMs } = backup;
  return {
    id,
    archive: archive.name,
    location,
    at: startedAt,
    consistency: `none: ${backup.tool || 'mongodump'} reads one collection after the other`,
    namespaces,
    documents,
    bytes,
    size: archive.size,
    sha256: archive.sha256,
    dumpMs,
    proveMs,
    warnings: [],
  };
}

/** As a CronJob keeps its Jobs: so many that ended well, so many that failed, the newest of each. */
async function trimHistory(client: KubeClient, policy: BackupPolicy): Promise<void> {
  const { history } = jobOf(policy);
  const finished = (await dumpsOf(client, policy))
    .filter(isFinished)
    .sort((a, b) => Date.parse(b.metadata.creationTimestamp) - Date.parse(a.metadata.creationTimestamp));
  const good = finished.filter(({ status }) => (status?.succeeded ?? 0) > 0);
  const bad = finished.filter((job) => !good.includes(job));
  const surplus = [...good.slice(history.successful), ...bad.slice(history.failed)];
  for (const job of surplus) await deleteJob(client, job);
}

/** Ends the Job of a run that was given up, and removes what it has left on the claim. */
export async function sweepByJob(
  input: Pick<TakeInput, 'policy' | 'workflow'>,
  from: ClusterSource,
  signal: AbortSignal,
): Promise<void> {
  const client = clusterOf(from);
  const { policy } = input;
  const owner = ownerOf(input);
  let left = false;
  for (const job of await dumpsOf(client, policy, signal)) {
    if (job.metadata.annotations?.[RUN_ANNOTATION] !== owner) continue;
    const ran = everRan(await podsOf(client, job, signal));
    // One that has failed by itself has swept, and stays for its logs to be read.
    if (isFinished(job)) continue;
    await deleteJob(client, job, { wait: true, signal });
    left ||= ran;
  }
  if (left) await runErrand(client, policy, 'sweep', sweepScript(policy, owner), signal);
}

/** Decides anew and deletes; the clocks of three machines and of Temporal have to agree. */
export async function pruneByJob(
  { policy, now }: PruneInput,
  from: ClusterSource,
  signal: AbortSignal,
): Promise<PruneSummary> {
  const client = clusterOf(from);
  const clocks = [
    { name: 'the worker', time: Date.now() },
    { name: 'Temporal', time: Date.parse(now) },
    { name: 'the API server', time: client.now() },
  ];
  return await pruneVolume(client, policy, clocks, signal);
}
