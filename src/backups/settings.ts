/**
 * From the names in a policy to what they stand for: connection strings, keys, credentials. What is read here never goes
 * into a result, an error or a log.
 */
import { readFile } from 'node:fs/promises';
import type { KubeObject } from '../domain/workload/objects.types.ts';
import { KubeError } from '../kubernetes/errors.ts';
import type { KubeClient } from '../kubernetes/client.ts';
import type { ClusterAccess } from '../kubernetes/connection.ts';
import type { Resource } from '../kubernetes/paths.ts';
import type {
  BackupPolicy,
  Destination,
  KeyFrom,
  S3Credentials,
  S3Destination,
  UriFrom,
  UriSecret,
} from '../specs/backup.types.ts';
import { DirectoryStorage } from '../storage/directory.ts';
import { type EncryptionKey, parseKey } from '../storage/encryption.ts';
import type { Storage } from '../storage/storage.ts';

const SECRETS: Resource = { group: '', version: 'v1', plural: 'secrets' };

/** Where names are looked up. */
export interface SettingsSource {
  env: Readonly<Record<string, string | undefined>>;
  /** `null`: this worker has no cluster, so Secrets cannot be read. */
  kube: Pick<KubeClient, 'get'> | null;
  /** The way to what comes out of pods; absent where nothing is read from a claim. */
  access?: () => Promise<ClusterAccess>;
}

/** A setting that is missing or unusable: trying again does not help, somebody has to set it. */
export class SettingMissingError extends Error {
  override name = 'SettingMissingError';
}

/** The connection string. @throws SettingMissingError, and errors of the API server. */
export async function resolveUri(uriFrom: UriFrom, from: SettingsSource): Promise<string> {
  const { text, origin } =
    'env' in uriFrom
      ? {
          text: fromEnvironment(uriFrom.env, from),
          origin: `environment variable ${uriFrom.env} of the worker`,
        }
      : {
          text: await fromSecret(uriFrom.secret, uriFrom.secret.key, from),
          origin: `key ${uriFrom.secret.key} of Secret ${uriFrom.secret.namespace}/${uriFrom.secret.name}`,
        };
  if ('secret' in uriFrom && uriFrom.secret.host !== undefined) return uriOf(uriFrom.secret, text);
  if (!/^mongodb(\+srv)?:\/\//.test(text)) {
    throw new SettingMissingError(`${origin}: a connection string beginning with mongodb:// is needed`);
  }
  return text;
}

/** User and password are escaped; the password comes from the Secret, the rest from the policy. */
function uriOf(
  { host, username = '', authSource, replicaSet, tls, srv }: UriSecret,
  password: string,
): string {
  const options = new URLSearchParams({
    ...(authSource === undefined ? {} : { authSource }),
    ...(replicaSet === undefined ? {} : { replicaSet }),
    ...(tls === undefined ? {} : { tls: String(tls) }),
  });
  const user = `${encodeURIComponent(username)}:${encodeURIComponent(password)}`;
  return `mongodb${srv ? '+srv' : ''}://${user}@${host}/?${options.toString()}`;
}

/** The key of the policy's encryption, if it has one. @throws SettingMissingError without showing what was found. */
export async function resolveKey(
  policy: BackupPolicy,
  from: SettingsSource,
): Promise<EncryptionKey | undefined> {
  const { encryption } = policy.spec;
  if (encryption === null) return undefined;
  const material = await keyMaterial(encryption.keyFrom, from);
  try {
    return parseKey(material);
  } catch (error) {
    throw new SettingMissingError(`spec.encryption.keyFrom: ${(error as Error).message}`);
  }
}

async function keyMaterial(keyFrom: KeyFrom, from: SettingsSource): Promise<string | Uint8Array> {
  if ('env' in keyFrom) return fromEnvironment(keyFrom.env, from);
  if ('secret' in keyFrom) return await fromSecret(keyFrom.secret, keyFrom.secret.key, from);
  try {
    return await readFile(keyFrom.file);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'error';
    throw new SettingMissingError(`spec.encryption.keyFrom.file: ${keyFrom.file} cannot be read (${code})`);
  }
}

/** Opens a directory or a bucket. Close it after use. @throws SettingMissingError. */
export async function openStorage(destination: Destination, from: SettingsSource): Promise<Storage> {
  if ('directory' in destination) return new DirectoryStorage(destination.directory);
  if ('s3' in destination) return await openS3(destination.s3, from);
  throw new SettingMissingError(
    `the archives of a destination.job lie on PVC ${destination.job.namespace}/${destination.job.pvc}, which only pods of the cluster can read`,
  );
}

async function openS3(s3: S3Destination, from: SettingsSource): Promise<Storage> {
  const credentials = s3.credentialsFrom === null ? undefined : await s3Keys(s3.credentialsFrom, from);
  // Its SDK takes 40 MB, which a process that writes to a directory need not have.
  const { S3Storage } = await import('../storage/s3.ts');
  return new S3Storage({
    bucket: s3.bucket,
    prefix: s3.prefix,
    region: s3.region,
    forcePathStyle: s3.forcePathStyle,
    ...(s3.endpoint === null ? {} : { endpoint: s3.endpoint }),
    ...(credentials ? { credentials } : {}),
  });
}

async function s3Keys(credentials: S3Credentials, from: SettingsSource) {
  if ('env' in credentials) {
    const { accessKeyId, secretAccessKey, sessionToken } = credentials.env;
    return {
      accessKeyId: fromEnvironment(accessKeyId, from),
      secretAccessKey: fromEnvironment(secretAccessKey, from),
      ...(sessionToken === undefined ? {} : { sessionToken: fromEnvironment(sessionToken, from) }),
    };
  }
  const { accessKeyIdKey, secretAccessKeyKey, ...secret } = credentials.secret;
  return {
    accessKeyId: await fromSecret(secret, accessKeyIdKey, from),
    secretAccessKey: await fromSecret(secret, secretAccessKeyKey, from),
  };
}

function fromEnvironment(name: string, { env }: SettingsSource): string {
  const value = env[name]?.trim();
  if (value === undefined || value === '')
    throw new SettingMissingError(`environment variable ${name} of the worker is not set`);
  return value;
}

interface Secret extends KubeObject {
  data?: Record<string, string>;
}

async function fromSecret(
  { namespace, name }: { namespace: string; name: string },
  key: string,
  { kube }: SettingsSource,
): Promise<string> {
  if (kube === null)
    throw new SettingMissingError(`Secret ${namespace}/${name}: this worker has no cluster to read it from`);
  let secret: Secret;
  try {
    secret = await kube.get<Secret>(SECRETS, namespace, name);
  } catch (error) {
    if (!(error instanceof KubeError)) throw error;
    if (error.reason === 'NotFound')
      throw new SettingMissingError(`Secret ${namespace}/${name} does not exist`);
    if (error.status === 403)
      throw new SettingMissingError(
        `Secret ${namespace}/${name}: the worker may not read it; add to its Role in ${namespace}: { apiGroups: [""], resources: ["secrets"], resourceNames: ["${name}"], verbs: ["get"] }`,
      );
    throw error;
  }
  const encoded = secret.data?.[key];
  if (encoded === undefined) throw new SettingMissingError(`Secret ${namespace}/${name} has no key ${key}`);
  // A trailing newline is what `kubectl create secret --from-file` leaves; no password or key ends in one.
  return Buffer.from(encoded, 'base64')
    .toString('utf8')
    .replace(/\r?\n$/, '');
}
