/** The pods of Jobs that back up: hardened, and with the password in no argument. Pure: policy in, objects out. */
import type { BackupPolicy, JobDestination, UriSecret } from '../../specs/backup.types.ts';

/** Name of the one container. */
export const JOB_CONTAINER = 'backup';

interface PodOptions {
  /** Bash, run with -euo pipefail. */
  script: string;
  restartPolicy: 'Never' | 'OnFailure';
  /** Only who talks to MongoDB gets the password. */
  withPassword: boolean;
  labels?: Record<string, string>;
  /** The claim is only read. */
  readOnly?: boolean;
}

/** A pod as a Job, a CronJob or nobody makes it. */
interface PodTemplate {
  metadata: { labels: Record<string, string> };
  spec: Record<string, unknown>;
}

/** What all Jobs and the CronJob have in common. */
export function podTemplate(policy: BackupPolicy, options: PodOptions): PodTemplate {
  const job = jobOf(policy);
  const secret = secretOf(policy);
  return {
    metadata: { labels: { ...labelsOf(policy), ...options.labels } },
    spec: {
      restartPolicy: options.restartPolicy,
      // The first process of a container hears no SIGTERM, and a dump that was cancelled must not end well after all.
      ...(options.restartPolicy === 'Never' ? { terminationGracePeriodSeconds: 1 } : {}),
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
          name: JOB_CONTAINER,
          image: job.image,
          command: ['/bin/bash', '-euo', 'pipefail', '-c', options.script],
          ...(options.withPassword
            ? {
                env: [
                  {
                    name: 'MONGO_PASSWORD',
                    valueFrom: { secretKeyRef: { name: secret.name, key: secret.key } },
                  },
                ],
              }
            : {}),
          resources: job.resources,
          terminationMessagePolicy: 'FallbackToLogsOnError',
          securityContext: {
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ['ALL'] },
          },
          volumeMounts: [
            { name: 'backup', mountPath: job.mountPath, ...(options.readOnly ? { readOnly: true } : {}) },
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

/** Throws RangeError when the policy has no destination.job. */
export function jobOf(policy: BackupPolicy): JobDestination {
  const { destination } = policy.spec;
  if (!('job' in destination))
    throw new RangeError('spec.destination: found no job; allowed here: destination.job');
  return destination.job;
}

/** The Secret of the source; a policy with destination.job has one. */
export function secretOf(policy: BackupPolicy): UriSecret {
  const { uriFrom } = policy.spec.source;
  if ('env' in uriFrom) throw new RangeError('spec.source.uriFrom: found env; allowed here: secret');
  return uriFrom.secret;
}

export function labelsOf(policy: BackupPolicy): Record<string, string> {
  return { 'app.kubernetes.io/name': 'mongodb-backup', 'app.kubernetes.io/instance': policy.metadata.name };
}

/** Bash that writes the password from `variable` into a file in memory, for arguments can be read in /proc. */
export function configuration({ host }: UriSecret, variable: string): string {
  // With a host the Secret holds the password, otherwise the whole connection string. A YAML string in single quotes doubles them.
  const field = host === undefined ? 'uri' : 'password';
  return `q="'"; printf "${field}: '%s'\\n" "\${${variable}//$q/$q$q}" > /tmp/mongo.yaml`;
}

/** Arguments of mongodump and mongorestore that are no secret. */
export function connection({ host, username, authSource = 'admin', replicaSet, tls }: UriSecret): string {
  if (host === undefined) return '';
  const target = replicaSet === undefined ? host : `${replicaSet}/${host}`;
  return `--host=${quote(target)} --username=${quote(username ?? '')} --authenticationDatabase=${quote(authSource)}${tls ? ' --ssl' : ''}`;
}

/** A word of a shell, whatever is in it. */
export function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
