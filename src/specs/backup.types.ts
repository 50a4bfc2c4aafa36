/**
 * What a backup policy is, after `specs/backup.ts` has parsed and defaulted it. Plain JSON, free of zod. It travels in
 * workflow histories, so it holds names of environment variables, files and Secrets, never what is in them.
 */
import type { Duration } from './duration.ts';

/** What is backed up, when, where to, and how long it is kept. */
export interface BackupPolicy {
  apiVersion: 'slipway/v1';
  kind: 'BackupPolicy';
  metadata: { name: string };
  spec: BackupPolicyBody;
}

interface BackupPolicyBody {
  source: BackupSource;
  schedule: BackupScheduleSpec;
  destination: Destination;
  compression: Compression;
  /** `null`: archives are not encrypted by Slipway. */
  encryption: Encryption | null;
  retention: Retention;
  /** `null`: backups are verified but never test-restored. */
  drill: DrillSpec | null;
  /** `null`: nobody is told when backups stop. */
  alarm: { noVerifiedBackupFor: Duration } | null;
  /** Upper bound of the dump in megabytes (10^6 bytes of BSON) a second; `null`: none. May be changed while it runs. */
  throttle: { mbPerSecond: number } | null;
  /** `null`: only the moments of backups can be restored. */
  pointInTime: PointInTime | null;
}

/** Continuous slices of the oplog. Needs a replica set. */
export interface PointInTime {
  /** How often a slice is stored, at least; a busy server gets more. */
  sliceEvery: Duration;
  /** How far back every moment stays reachable; `null`: as far as there are backups. */
  keepFor: Duration | null;
}

interface BackupSource {
  uriFrom: UriFrom;
  /** Only these databases; `null`: all that mongodump would take. Not together with `include`. */
  databases: string[] | null;
  /** Namespaces to take, `db.collection` with `*` for any text. Empty: all. */
  include: string[];
  /** Namespaces to leave out; wins over `include` and `databases`. */
  exclude: string[];
}

/** Where the worker finds the connection string: in its environment, or in a Secret. */
export type UriFrom = { env: string } | { secret: UriSecret };

/** With `host` the key holds the password, without it the whole connection string. */
export interface UriSecret {
  namespace: string;
  name: string;
  key: string;
  /** `host`, `host:port` or several, comma separated; `mongodb+srv` is used with `srv: true`. */
  host?: string;
  username?: string;
  authSource?: string;
  replicaSet?: string;
  tls?: boolean;
  srv?: boolean;
}

/** When backups run: once a local day, or by a cron expression of five fields. `timezone` is an IANA name. */
export type BackupScheduleSpec = { at: string; timezone: string } | { cron: string; timezone: string };

/** Exactly one place. */
export type Destination = { directory: string } | { s3: S3Destination } | { job: JobDestination };

/** A place in an S3 bucket. `prefix` has no slash at either end. */
export interface S3Destination {
  /** `null`: AWS itself. */
  endpoint: string | null;
  region: string;
  bucket: string;
  /** Put before every object's name, without slashes at the ends; empty: none. */
  prefix: string;
  /** Bucket in the path instead of in the host name. */
  forcePathStyle: boolean;
  /** `null`: the AWS SDK's own chain (variables, profile, instance role). */
  credentialsFrom: S3Credentials | null;
}

/** Names of what holds the keys, never the keys. */
export type S3Credentials =
  | { env: { accessKeyId: string; secretAccessKey: string; sessionToken?: string } }
  | { secret: { namespace: string; name: string; accessKeyIdKey: string; secretAccessKeyKey: string } };

/** The seed's CronJob as a Job: mongodump of the image writes to a volume of the cluster. */
export interface JobDestination {
  namespace: string;
  image: string;
  pvc: string;
  mountPath: string;
  serviceAccount: string | null;
  /** Pods that may fail before the Job does. */
  backoffLimit: number;
  /** The Job is stopped after this time. */
  deadline: Duration;
  /** The cluster itself deletes a finished Job after this time, also when Slipway is gone. */
  ttl: Duration;
  history: { successful: number; failed: number };
  resources: { requests: Record<string, string>; limits: Record<string, string> };
}

type Compression = 'none' | 'gzip' | 'zstd';

interface Encryption {
  keyFrom: KeyFrom;
  /** What older backups are read with. Policies that were applied before there was the field do not have it. */
  olderKeys?: KeyFrom[];
}

/** 32 bytes, as 64 hexadecimal digits or base64. The manifest names the key by an id that is derived from it. */
export type KeyFrom =
  | { env: string }
  | { file: string }
  | { secret: { namespace: string; name: string; key: string } };

/** Which backups stay. A backup stays when any rule keeps it; ages count from the newest verified backup. */
export interface Retention {
  /** All of the last so many days. */
  days?: number;
  /** The newest so many. */
  last?: number;
  /** The newest of each of the last so many hours, days, ISO weeks, months, years that have one. */
  hourly?: number;
  daily?: number;
  weekly?: number;
  monthly?: number;
  yearly?: number;
  /** Never fewer verified backups than this, whatever the other rules say. At least 1. */
  keepAtLeast: number;
}

interface DrillSpec {
  /** A drill follows the first verified backup that is at least this much younger than the last drill. */
  every: Duration;
  /** Server that restores are tried on; `null`: the source itself, in databases with a prefix of their own. */
  into: { uriFrom: UriFrom } | null;
}
