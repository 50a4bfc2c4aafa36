// What a backup says about itself. The file `ID.manifest.json` beside an archive is what makes it a backup; it is
// written last, after the archive was read back and proven. It holds no address, no user and no secret.
import { z } from 'zod';
import { checkStrictly, readJson } from './strict-json.ts';

const hexDigits = (digits: number) =>
  z.string().regex(new RegExp(`^[0-9a-f]{${digits}}$`), `${digits} hexadecimal digits`);
const count = z.int().nonnegative();
const time = z.iso.datetime();
const clusterTime = z.strictObject({ t: count, i: count });

/** Letters, digits and `._-`: the name is part of file names. */
export const backupId = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,150}$/, 'letters, digits and ._-, at most 151');

export const manifestNamespace = z.strictObject({
  db: z.string(),
  /** As the archive's blocks name it: `system.buckets.X` for a time-series X. */
  collection: z.string(),
  /** The name people know. */
  name: z.string(),
  type: z.enum(['collection', 'view', 'timeseries', '']),
  documents: count,
  bytes: count,
  /** CRC-64/XZ over the documents. */
  crc: hexDigits(16),
  /** Sum of XXH64 over the documents: equal for equal content in any order. */
  contentSum: hexDigits(16),
  indexes: z.array(z.string()),
});

export const manifestSchema = z.strictObject({
  kind: z.literal('slipway-backup'),
  version: z.literal(1),
  id: backupId,
  policy: z.string().min(1),
  /** Which run made it, for example a workflow's id and run: a repeated run finds its own backup. */
  owner: z.string().min(1),
  archive: z.strictObject({
    name: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$/),
    size: count,
    sha256: hexDigits(64),
    compression: z.enum(['none', 'gzip', 'zstd']),
    encryption: z.strictObject({ keyId: hexDigits(16) }).optional(),
    /** SHA-256 of the uncompressed archive up to its first block, which no CRC of the format protects. */
    preludeSha256: hexDigits(64),
  }),
  source: z.strictObject({
    serverVersion: z.string(),
    topology: z.enum(['standalone', 'replicaSet', 'sharded']),
  }),
  consistency: z.discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('snapshot'), clusterTime, except: z.array(z.string()) }),
    z.strictObject({ kind: z.literal('oplog'), from: clusterTime, to: clusterTime }),
    z.strictObject({ kind: z.literal('none'), reason: z.string() }),
  ]),
  namespaces: z.array(manifestNamespace),
  documents: count,
  /** Uncompressed BSON. */
  bytes: count,
  warnings: z.array(z.string()),
  startedAt: time,
  /** When the last byte was stored. */
  storedAt: time,
  /** When the archive had been read back and found whole. */
  verifiedAt: time,
  toolVersion: z.string(),
});

export type BackupManifest = z.infer<typeof manifestSchema>;
export type ManifestNamespace = z.infer<typeof manifestNamespace>;

/**
 * Reads a manifest strictly.
 * @throws Error that names the first field that is wrong
 */
export function parseManifest(text: string): BackupManifest {
  const json = readJson(text, 'the manifest');
  if ((json as { kind?: unknown } | null)?.kind === 'slipway-job-backup') {
    throw new Error(
      'it was made by mongodump in a Job, which has another manifest; slipway restore --archive brings it back',
    );
  }
  return checkStrictly(manifestSchema, json, 'the manifest');
}
