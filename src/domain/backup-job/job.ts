/**
 * A backup by mongodump in the cluster, as the seed's CronJob does it, with what that lacked: the password is not in an
 * argument, a dump gets its name only when mongorestore has read it to the end, retention never deletes the last ones,
 * and the pod may do nothing else. Pure: policy in, Kubernetes objects out.
 */
import type { BackupPolicy, JobDestination } from '../../specs/backup.types.ts';
import { milliseconds } from '../../specs/duration.ts';
import { type DumpRun, dumpScript, JOB_EXIT } from './script.ts';
import {
  configuration,
  connection,
  JOB_CONTAINER,
  jobOf,
  labelsOf,
  podTemplate,
  quote,
  secretOf,
} from './pod.ts';
import { fingerprint } from '../digest.ts';

/** Label with the policy's name, on everything that Slipway makes for it. */
export const POLICY_LABEL = 'slipway.dev/policy';
/** Label that says what a Job does: `dump`, or one of {@link Errand}; `read` on the pods that restores read by. */
export const TASK_LABEL = 'slipway.dev/task';
/** Annotation with workflow id and run id: whose Job it is, so that a worker finds it again after a crash. */
export const RUN_ANNOTATION = 'slipway.dev/run';
/** Label with the Job's name, on itself and on its pods: one selector finds both. */
export const JOB_LABEL = 'slipway.dev/job';

/** Short Jobs on the claim, beside the dump. */
export type Errand = 'look' | 'verify' | 'delete' | 'sweep' | 'note' | 'release';

const ERRAND_SECONDS = {
  look: 600,
  verify: 86_400,
  delete: 1_800,
  sweep: 600,
  note: 600,
  release: 600,
} as const;
/** What a killed worker leaves of short Jobs goes by itself. */
const ERRAND_TTL_SECONDS = 120;
const LONGEST_NAME = 63;

/** A Job as it is sent to the API server. */
export interface JobManifest {
  apiVersion: 'batch/v1';
  kind: 'Job';
  metadata: {
    name: string;
    namespace: string;
    labels: Record<string, string>;
    annotations: Record<string, string>;
  };
  spec: Record<string, unknown>;
}

/**
 * Name of a run's Job, from the time for which it was planned: `slipway-shop-20261123-020000`. `number` above 1 is for
 * when another run has the name.
 */
export function jobName(policy: string, id: string, number = 1): string {
  const suffix = `-${id.replace(/^dump-/, '')}${number === 1 ? '' : `-${number}`}`;
  return `${shortened(`slipway-${policy}`, LONGEST_NAME - suffix.length)}${suffix}`;
}

/** A prefix that stays unique when it has to be cut. */
function shortened(name: string, length: number): string {
  if (name.length <= length) return name;
  return `${name.slice(0, length - 9)}-${fingerprint(name).slice(0, 8)}`;
}

/** The Job that makes one backup. It repeats a pod that failed, except where that cannot help. */
export function dumpJob(policy: BackupPolicy, run: DumpRun, name: string): JobManifest {
  const job = jobOf(policy);
  const finals = Object.values(JOB_EXIT);
  return jobManifest(policy, name, 'dump', run.owner, {
    backoffLimit: job.backoffLimit,
    activeDeadlineSeconds: Math.round(milliseconds(job.deadline) / 1_000),
    ttlSecondsAfterFinished: Math.round(milliseconds(job.ttl) / 1_000),
    // Never two pods at work on the claim.
    podReplacementPolicy: 'Failed',
    podFailurePolicy: {
      rules: [
        {
          action: 'FailJob',
          onExitCodes: { containerName: JOB_CONTAINER, operator: 'In', values: finals },
        },
        // A node that is drained is no failure of the backup.
        { action: 'Ignore', onPodConditions: [{ type: 'DisruptionTarget', status: 'True' }] },
      ],
    },
    // Pods that failed stay, so that their logs can be read; with OnFailure the Job controller takes them away.
    template: podTemplate(policy, {
      script: dumpScript(policy, run),
      restartPolicy: 'Never',
      withPassword: true,
      labels: slipwayLabels(policy, 'dump', name),
    }),
  });
}

/** A short Job on the claim; it does not get the password. */
export function errandJob(
  policy: BackupPolicy,
  errand: Errand,
  script: string,
  unique: string,
  owner: string,
): JobManifest {
  const suffix = `-${errand}-${unique}`;
  const name = `${shortened(`slipway-${policy.metadata.name}`, LONGEST_NAME - suffix.length)}${suffix}`;
  return jobManifest(policy, name, errand, owner, {
    backoffLimit: 0,
    activeDeadlineSeconds: ERRAND_SECONDS[errand],
    ttlSecondsAfterFinished: ERRAND_TTL_SECONDS,
    template: podTemplate(policy, {
      script,
      restartPolicy: 'Never',
      withPassword: false,
      labels: slipwayLabels(policy, errand, name),
    }),
  });
}

/** `job`: name of the Job, or of a pod that has none. */
export function slipwayLabels(
  policy: BackupPolicy,
  task: 'dump' | 'read' | Errand,
  job: string,
): Record<string, string> {
  return {
    'app.kubernetes.io/managed-by': 'slipway',
    [POLICY_LABEL]: policy.metadata.name,
    [TASK_LABEL]: task,
    [JOB_LABEL]: job,
  };
}

function jobManifest(
  policy: BackupPolicy,
  name: string,
  task: 'dump' | Errand,
  owner: string,
  spec: Record<string, unknown>,
): JobManifest {
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: {
      name,
      namespace: jobOf(policy).namespace,
      labels: { ...labelsOf(policy), ...slipwayLabels(policy, task, name) },
      annotations: { [RUN_ANNOTATION]: owner },
    },
    spec,
  };
}

/** The plain CronJob, for clusters without Slipway. Throws RangeError when the policy has no destination.job. */
export function cronJob(policy: BackupPolicy): object {
  const job = jobOf(policy);
  const { schedule, retention } = policy.spec;
  for (const rule of ['hourly', 'daily', 'weekly', 'monthly', 'yearly'] as const) {
    if (retention[rule] !== undefined)
      throw new RangeError(
        `spec.retention.${rule}: the plain CronJob keeps by days, last and keepAtLeast only; it would delete what this rule keeps`,
      );
  }
  const [hour, minute] = 'at' in schedule ? schedule.at.split(':').map(Number) : [];
  return {
    apiVersion: 'batch/v1',
    kind: 'CronJob',
    metadata: { name: policy.metadata.name, namespace: job.namespace, labels: labelsOf(policy) },
    spec: {
      schedule: 'at' in schedule ? `${minute} ${hour} * * *` : schedule.cron,
      timeZone: schedule.timezone,
      concurrencyPolicy: 'Forbid',
      startingDeadlineSeconds: 3_600,
      successfulJobsHistoryLimit: job.history.successful,
      failedJobsHistoryLimit: job.history.failed,
      jobTemplate: {
        spec: {
          backoffLimit: job.backoffLimit,
          activeDeadlineSeconds: Math.round(milliseconds(job.deadline) / 1_000),
          template: podTemplate(policy, {
            script: script(policy, job),
            restartPolicy: 'OnFailure',
            withPassword: true,
          }),
        },
      },
    },
  };
}

/**
 * Passwords go through a configuration file in memory, for arguments can be read in /proc. A failed or cut dump keeps
 * its temporary name. mongorestore reads it to its end with nothing selected, which finds what is cut off or out of
 * order; it does not compare checksums, so this proves less than Slipway's own engine does.
 */
function script(policy: BackupPolicy, job: JobDestination): string {
  const { compression, retention, source } = policy.spec;
  const secret = secretOf(policy);
  const gzip = compression === 'gzip' ? ' --gzip' : '';
  const ending = compression === 'gzip' ? 'gz' : 'archive';
  const [database] = source.databases ?? [];
  const keep = Math.max(retention.keepAtLeast, retention.last ?? 0);
  const days = retention.days ?? 7;
  return `umask 077
cd ${quote(job.mountPath)}
${configuration(secret, 'MONGO_PASSWORD')}
name="dump-$(date -u +%Y%m%d-%H%M%S).${ending}"
rm -f .dump-*.partial
trap 'rm -f ".$name.partial"' EXIT
mongodump --config=/tmp/mongo.yaml ${connection(secret)}${database === undefined ? '' : ` --db=${quote(database)}`}${gzip} --archive=".$name.partial"
mongorestore --config=/tmp/mongo.yaml ${connection(secret)}${gzip} --archive=".$name.partial" --nsInclude='nothing.nothing'
sync ".$name.partial"
mv -n ".$name.partial" "$name"
echo "backup $name $(stat -c %s "$name") bytes"
# Retention: the newest ${keep} stay whatever their age; ages count from this backup, which has just been read to its end.
ls -1 | grep -E '^dump-[0-9]{8}-[0-9]{6}\\.${ending}$' | sort -r | tail -n +${keep + 1} | while read -r old; do
  if [ "$(find "$old" -maxdepth 0 -type f -mtime +${days} | wc -l)" = 1 ]; then rm -- "$old"; echo "deleted $old"; fi
done`;
}
