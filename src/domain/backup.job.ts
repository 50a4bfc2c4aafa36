/**
 * A backup by mongodump in the cluster, as the seed's CronJob does it, with what that lacked: the password is not in an
 * argument, a dump gets its name only when mongorestore has read it to the end, retention never deletes the last ones,
 * and the pod may do nothing else. Pure: policy in, Kubernetes objects out.
 */
import type { BackupPolicy, JobDestination, UriSecret } from '../specs/backup.types.ts';
import { milliseconds } from '../specs/duration.ts';

/** What {@link cronJob} and the Job of a run have in common. */
function podTemplate(policy: BackupPolicy, job: JobDestination, command: string): object {
  const secret = secretOf(policy);
  return {
    metadata: { labels: labelsOf(policy) },
    spec: {
      restartPolicy: 'OnFailure',
      ...(job.serviceAccount === null ? {} : { serviceAccountName: job.serviceAccount }),
      automountServiceAccountToken: false,
      securityContext: {
        runAsNonRoot: true,
        runAsUser: 1000,
        runAsGroup: 3000,
        fsGroup: 2000,
        fsGroupChangePolicy: 'OnRootMismatch',
        seccompProfile: { type: 'RuntimeDefault' },
      },
      containers: [
        {
          name: 'backup',
          image: job.image,
          command: ['/bin/bash', '-euo', 'pipefail', '-c', command],
          env: [
            { name: 'MONGO_PASSWORD', valueFrom: { secretKeyRef: { name: secret.name, key: secret.key } } },
          ],
          resources: job.resources,
          securityContext: {
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ['ALL'] },
          },
          volumeMounts: [
            { name: 'backup', mountPath: job.mountPath },
            { name: 'tmp', mountPath: '/tmp' },
          ],
        },
      ],
      volumes: [
        { name: 'backup', persistentVolumeClaim: { claimName: job.pvc } },
        { name: 'tmp', emptyDir: { medium: 'Memory', sizeLimit: '16Mi' } },
      ],
    },
  };
}

/** The plain CronJob, for clusters without Slipway. Throws RangeError when the policy has no destination.job. */
export function cronJob(policy: BackupPolicy): object {
  const job = jobOf(policy);
  const { schedule } = policy.spec;
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
          template: podTemplate(policy, job, script(policy, job)),
        },
      },
    },
  };
}

function jobOf(policy: BackupPolicy): JobDestination {
  const { destination } = policy.spec;
  if (!('job' in destination))
    throw new RangeError('spec.destination: found no job; allowed here: destination.job');
  return destination.job;
}

function secretOf(policy: BackupPolicy): UriSecret {
  const { uriFrom } = policy.spec.source;
  if ('env' in uriFrom) throw new RangeError('spec.source.uriFrom: found env; allowed here: secret');
  return uriFrom.secret;
}

function labelsOf(policy: BackupPolicy): Record<string, string> {
  return { 'app.kubernetes.io/name': 'mongodb-backup', 'app.kubernetes.io/instance': policy.metadata.name };
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
${configuration(secret)}
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

function configuration({ host }: UriSecret): string {
  // With a host the Secret holds the password, otherwise the whole connection string. A YAML string in single quotes doubles them.
  const field = host === undefined ? 'uri' : 'password';
  return `printf "${field}: '%s'\\n" "\${MONGO_PASSWORD//\\'/\\'\\'}" > /tmp/mongo.yaml`;
}

function connection({ host, username, authSource = 'admin', replicaSet, tls }: UriSecret): string {
  if (host === undefined) return '';
  const target = replicaSet === undefined ? host : `${replicaSet}/${host}`;
  return `--host=${quote(target)} --username=${quote(username ?? '')} --authenticationDatabase=${quote(authSource)}${tls ? ' --ssl' : ''}`;
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
