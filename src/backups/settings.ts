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
import { EncryptionError, type EncryptionKey, parseKey, WrongKeyError } from '../storage/encryption.ts';
import type { Storage } from '../storage/storage.ts';

const KEY_FIELD = 'spec.encryption.keyFrom';
const OLDER_FIELD = 'spec.encryption.olderKeys';

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

/** The key that new files of the policy are encrypted with, if any. @throws SettingMissingError without showing what was found. */
export async function resolveKey(
  policy: BackupPolicy,
  from: SettingsSource,
): Promise<EncryptionKey | undefined> {
  const { encryption } = policy.spec;
  return encryption === null ? undefined : await keyAt(KEY_FIELD, encryption.keyFrom, from);
}

/** The keys that a policy names, to read with what was encrypted at any time. */
export interface PolicyKeys {
  /** The key of this id. Throws {@link WrongKeyError}, which says where to name it. */
  find: (keyId: string) => EncryptionKey;
  has: (keyId: string) => boolean;
  /** Each of them could be looked up here. */
  complete: boolean;
}

/** One that cannot be looked up matters only when it is needed. @throws errors of the API server that may pass */
export async function policyKeys(policy: BackupPolicy, from: SettingsSource): Promise<PolicyKeys> {
  const { encryption } = policy.spec;
  const places: [string, KeyFrom][] =
    encryption === null
      ? []
      : [
          [KEY_FIELD, encryption.keyFrom],
          ...(encryption.olderKeys ?? []).map((place, i): [string, KeyFrom] => [
            `${OLDER_FIELD}[${i}]`,
            place,
          ]),
        ];
  const keys: { field: string; key: EncryptionKey }[] = [];
  const problems: string[] = [];
  for (const [field, place] of places) {
    try {
      keys.push({ field, key: await keyAt(field, place, from) });
    } catch (error) {
      if (!(error instanceof SettingMissingError)) throw error;
      problems.push(error.message);
    }
  }
  const there = keys.map(({ field, key }) => `${field} is key ${key.id}`);
  const known = [...there, ...problems].join('; ') || 'the policy names no key';
  const has = (keyId: string) => keys.some(({ key }) => key.id === keyId);
  return {
    has,
    complete: problems.length === 0,
    find(keyId) {
      const found = keys.find(({ key }) => key.id === keyId);
      if (found) return found.key;
      const where = encryption === null ? KEY_FIELD : OLDER_FIELD;
      throw new WrongKeyError(
        `encrypted with key ${keyId}, which is not there (${known}). Say in ${where} of policy ${policy.metadata.name} where that key is`,
      );
    },
  };
}

async function keyAt(field: string, place: KeyFrom, from: SettingsSource): Promise<EncryptionKey> {
  try {
    return parseKey(await keyMaterial(place, from));
  } catch (error) {
    if (error instanceof EncryptionError || error instanceof SettingMissingError)
      throw new SettingMissingError(`${field}: ${error.message}`);
    throw error;
  }
}

async function keyMaterial(place: KeyFrom, from: SettingsSource): Promise<string | Uint8Array> {
  if ('env' in place) return fromEnvironment(place.env, from);
  if ('secret' in place) return await fromSecret(place.secret, place.secret.key, from);
  try {
    return await readFile(place.file);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'error';
    throw new SettingMissingError(`${place.file} cannot be read (${code})`);
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
