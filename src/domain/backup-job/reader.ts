/**
 * Pods by which a restore reads an archive on a claim: hardened as those of Jobs, the claim read-only, no password. They
 * do nothing by themselves; the archive comes out of them by exec. Pure: policy in, objects out.
 */
import type { BackupPolicy } from '../../specs/backup.types.ts';
import type { KubeObject, Pod } from '../workload/objects.types.ts';
import { type JobManifest, POLICY_LABEL, RUN_ANNOTATION, slipwayLabels } from './job.ts';
import { jobOf, labelsOf, podTemplate, quote } from './pod.ts';

/** A Role can allow exec into pods of known names and no others; so many restores read in a namespace at a time. */
export const READER_NAMES = ['slipway-backup-reader-1', 'slipway-backup-reader-2', 'slipway-backup-reader-3'];
/** Annotation that tells the creations of one run apart. */
export const ATTEMPT_ANNOTATION = 'slipway.dev/attempt';

/** A reader whose worker has died ends by itself: nothing has been read for this long. */
const IDLE_SECONDS = 900;
/** Longer than the longest attempt of a restore. */
const DEADLINE_SECONDS = 90_000;
/** Nobody waits this long for a reader to start, so one that has not is nobody's. */
const ABANDONED_MS = 900_000;

interface Reader {
  name: string;
  /** Workflow id and run id. */
  owner: string;
  attempt: string;
  /** Name of the one node that can mount the claim now. */
  node: string | null;
}

/** A pod as it is sent to the API server. */
interface PodManifest {
  apiVersion: 'v1';
  kind: 'Pod';
  metadata: JobManifest['metadata'];
  spec: Record<string, unknown>;
}

export function readerPod(policy: BackupPolicy, { name, owner, attempt, node }: Reader): PodManifest {
  const { spec } = podTemplate(policy, {
    script: waitingScript(policy),
    restartPolicy: 'Never',
    withPassword: false,
    readOnly: true,
  });
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace: jobOf(policy).namespace,
      labels: { ...labelsOf(policy), ...slipwayLabels(policy, 'read', name) },
      annotations: { [RUN_ANNOTATION]: owner, [ATTEMPT_ANNOTATION]: attempt },
    },
    spec: {
      ...spec,
      activeDeadlineSeconds: DEADLINE_SECONDS,
      ...(node === null ? {} : { affinity: onNode(node) }),
    },
  };
}

/** The scheduler still decides, and says why when that node takes no pod. */
function onNode(node: string) {
  const term = { matchFields: [{ key: 'metadata.name', operator: 'In', values: [node] }] };
  return {
    nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [term] } },
  };
}

/** Whoever reads is a second process of the container. */
function waitingScript(policy: BackupPolicy): string {
  return `cd ${quote(jobOf(policy).mountPath)}
idle=0
while [ "$idle" -lt ${IDLE_SECONDS} ]; do
  sleep 5
  processes=(/proc/[0-9]*)
  if [ "\${#processes[@]}" -gt 1 ]; then idle=0; else idle=$((idle + 5)); fi
done
echo 'nobody has read for ${IDLE_SECONDS} s'`;
}

/** What prints a file from a byte on. */
export function readCommand(path: string, from: number): string[] {
  return ['dd', `if=${path}`, 'bs=1M', 'iflag=skip_bytes', `skip=${from}`, 'status=none'];
}

/** Whether the pod that has a reader's name may be taken away: an earlier attempt's, or one that nobody uses any more. */
export function isLeftOver(pod: Pod, owner: string, now: number): boolean {
  if (pod.metadata.labels?.[POLICY_LABEL] === undefined) return false; // not one of ours
  if (pod.metadata.annotations?.[RUN_ANNOTATION] === owner) return true;
  const phase = pod.status?.phase ?? 'Pending';
  if (phase === 'Succeeded' || phase === 'Failed') return true;
  return phase === 'Pending' && now - Date.parse(pod.metadata.creationTimestamp) > ABANDONED_MS;
}

export interface Claim extends KubeObject {
  spec?: { accessModes?: string[] };
  status?: { phase?: string };
}

/** A claim that only one node can mount, and the pod that has it there now; `null`: the scheduler is free. */
export function boundTo(claim: Claim, pods: readonly Pod[]): { node: string; pod: string } | null {
  const modes = claim.spec?.accessModes ?? [];
  if (modes.some((mode) => mode === 'ReadWriteMany' || mode === 'ReadOnlyMany')) return null;
  for (const { metadata, spec, status } of pods) {
    const { phase = 'Pending' } = status ?? {};
    if (spec.nodeName === undefined || phase === 'Succeeded' || phase === 'Failed') continue;
    const volumes = (spec['volumes'] ?? []) as { persistentVolumeClaim?: { claimName: string } }[];
    if (volumes.some(({ persistentVolumeClaim }) => persistentVolumeClaim?.claimName === claim.metadata.name))
      return { node: spec.nodeName, pod: metadata.name };
  }
  return null;
}
