/** The pod that a restore reads a claim by: made when it is needed, taken away when it is not. */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  ATTEMPT_ANNOTATION,
  boundTo,
  type Claim,
  isLeftOver,
  READER_NAMES,
  readerPod,
} from '../domain/backup-job/reader.ts';
import { RUN_ANNOTATION } from '../domain/backup-job/job.ts';
import { JOB_CONTAINER, jobOf } from '../domain/backup-job/pod.ts';
import { podSight } from '../domain/backup-job/sight.ts';
import type { Pod } from '../domain/workload/objects.types.ts';
import type { KubeClient } from '../kubernetes/client.ts';
import { KubeError } from '../kubernetes/errors.ts';
import { CLAIMS, PODS } from '../kubernetes/paths.ts';
import type { BackupPolicy } from '../specs/backup.types.ts';
import type { ClaimedBackup } from './claim-stream.ts';
import { JobFailedError } from './job-runner.ts';
import { SettingMissingError } from './settings.ts';

const LOOK_EVERY_MS = 500;
/** A node, the volume and the image, in the time that somebody who waits for a restore has. */
const PLACED_WITHIN_MS = 180_000;
/** All readers are at work for other restores: each may take hours, but the next attempt asks again. */
const FREE_WITHIN_MS = 600_000;
const FREE_LOOK_EVERY_MS = 5_000;
/** Longer than the grace of a pod that is deleted. */
const GONE_WITHIN_MS = 60_000;

interface ReaderOptions {
  /** Workflow id and run id: what an earlier attempt of the run has left is taken away. */
  owner: string;
  signal: AbortSignal;
  /** What is waited for, in words. */
  onWait: (note: string) => void;
}

/**
 * Makes a reader of the policy's claim and deletes it when `use` is done, whatever happens. A killed worker's reader goes
 * with the next attempt, with the next restore, or ends by itself.
 * @throws JobFailedError with the reason when it does not start, KubeError, the signal's reason
 */
export async function withReader<T>(
  client: KubeClient,
  policy: BackupPolicy,
  options: ReaderOptions,
  use: (reader: Omit<ClaimedBackup['reader'], 'path'>) => Promise<T>,
): Promise<T> {
  const bound = await whereMounted(client, policy, options.signal);
  const pod = await makeReader(client, policy, bound?.node ?? null, options);
  const { name, namespace } = pod.metadata;
  try {
    await untilRunning(client, pod, bound?.pod ?? null, options);
    return await use({ namespace, pod: name, container: JOB_CONTAINER });
  } finally {
    // Without the signal: also what was cancelled is cleaned up.
    await removePod(client, pod).catch(() => undefined);
  }
}

/** The claim, which has to be there. @throws SettingMissingError */
export async function readClaim(
  client: KubeClient,
  policy: BackupPolicy,
  signal?: AbortSignal,
): Promise<Claim> {
  const { namespace, pvc } = jobOf(policy);
  let claim: Claim;
  try {
    claim = await client.get<Claim>(CLAIMS, namespace, pvc, { signal });
  } catch (error) {
    if (!(error instanceof KubeError) || error.status !== 404) throw error;
    throw new SettingMissingError(
      `destination.job.pvc: there is no PersistentVolumeClaim ${pvc} in namespace ${namespace}`,
    );
  }
  if (claim.status?.phase !== 'Lost') return claim;
  throw new SettingMissingError(
    `destination.job.pvc: the PersistentVolumeClaim ${namespace}/${pvc} has lost its volume`,
  );
}

async function whereMounted(client: KubeClient, policy: BackupPolicy, signal: AbortSignal) {
  const claim = await readClaim(client, policy, signal);
  const { items } = await client.list<Pod>(PODS, jobOf(policy).namespace, { signal });
  return boundTo(claim, items);
}

async function makeReader(
  client: KubeClient,
  policy: BackupPolicy,
  node: string | null,
  { owner, signal, onWait }: ReaderOptions,
): Promise<Pod> {
  const attempt = randomBytes(6).toString('hex');
  const until = performance.now() + FREE_WITHIN_MS;
  for (;;) {
    for (const name of READER_NAMES) {
      const pod = await takeName(client, readerPod(policy, { name, owner, attempt, node }), signal);
      if (pod) return pod;
    }
    if (performance.now() > until) {
      throw new KubeError({
        status: 0,
        reason: 'Timeout',
        message: `other restores read in namespace ${jobOf(policy).namespace} all the time; its readers are ${READER_NAMES.join(', ')}`,
        retryable: true,
      });
    }
    onWait(`waits for a reader of namespace ${jobOf(policy).namespace}, which other restores use`);
    await sleep(FREE_LOOK_EVERY_MS, undefined, { signal });
  }
}

/** The pod, or `null` when another restore has the name. */
async function takeName(
  client: KubeClient,
  manifest: ReturnType<typeof readerPod>,
  signal: AbortSignal,
): Promise<Pod | null> {
  const { namespace, name, annotations } = manifest.metadata;
  for (let again = true; ; again = false) {
    try {
      return await client.create<Pod>(PODS, namespace, manifest, { signal });
    } catch (error) {
      if (!(error instanceof KubeError) || error.reason !== 'AlreadyExists') throw error;
    }
    const there = await podOf(client, namespace, name, signal);
    if (!there) continue;
    // An earlier try of this very request got through without an answer.
    if (there.metadata.annotations?.[ATTEMPT_ANNOTATION] === annotations[ATTEMPT_ANNOTATION]) return there;
    const owner = annotations[RUN_ANNOTATION] ?? '';
    if (!again || !isLeftOver(there, owner, client.now())) return null;
    await removePod(client, there, signal);
  }
}

async function podOf(
  client: KubeClient,
  namespace: string,
  name: string,
  signal?: AbortSignal,
): Promise<Pod | null> {
  try {
    return await client.get<Pod>(PODS, namespace, name, { signal });
  } catch (error) {
    if (error instanceof KubeError && error.status === 404) return null;
    throw error;
  }
}

async function untilRunning(
  client: KubeClient,
  { metadata: { namespace, name, uid } }: Pod,
  holder: string | null,
  { signal, onWait }: ReaderOptions,
): Promise<void> {
  const because =
    holder === null ? '' : ` (the claim can be mounted by one node only, and pod ${holder} has it there)`;
  for (;;) {
    const pod = await podOf(client, namespace, name, signal);
    if (pod?.metadata.uid !== uid) throw lost(`pod ${namespace}/${name} was deleted before it ran`);
    const sight = podSight(pod, client.now(), PLACED_WITHIN_MS);
    if (sight.state === 'running') return;
    if (sight.state === 'taken') throw lost(sight.reason);
    if (sight.state === 'failed')
      throw new JobFailedError('failed', `reading the claim: ${sight.reason}${because}`);
    onWait(`${sight.note}${because}`);
    await sleep(LOOK_EVERY_MS, undefined, { signal });
  }
}

function lost(message: string): KubeError {
  return new KubeError({ status: 0, reason: 'Gone', message, retryable: true });
}

/** Deletes a pod and waits until its name is free. */
async function removePod(client: KubeClient, pod: Pod, signal?: AbortSignal): Promise<void> {
  const { namespace, name, uid } = pod.metadata;
  try {
    await client.delete(PODS, pod, { signal });
  } catch (error) {
    if (!(error instanceof KubeError) || error.status !== 404) throw error;
  }
  const until = performance.now() + GONE_WITHIN_MS;
  while ((await podOf(client, namespace, name, signal))?.metadata.uid === uid) {
    if (performance.now() > until) throw lost(`pod ${namespace}/${name} does not go`);
    await sleep(LOOK_EVERY_MS, undefined, signal ? { signal } : {});
  }
}
