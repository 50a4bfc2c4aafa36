// What a backup says about itself. The file `ID.manifest.json` beside an archive is what makes it a backup; it is
// written last, after the archive was read back and proven. It holds no address, no user and no secret.
import { z } from 'zod';
import {
  backupId,
  clusterTime,
  compression,
  count,
  encryption,
  hexDigits,
  storedFile,
  time,
} from './manifest-fields.ts';
import { checkStrictly, readJson } from './strict-json.ts';

const manifestNamespace = z.strictObject({
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

/** Version 1. A field that is added must be optional: manifests that are there stay readable. */
export const manifestSchema = z.strictObject({
  kind: z.literal('slipway-backup'),
  version: z.literal(1),
  id: backupId,
  policy: z.string().min(1),
  /** Which run made it, for example a workflow's id and run: a repeated run finds its own backup. */
  owner: z.string().min(1),
  archive: storedFile.extend({
    compression,
    encryption: encryption.optional(),
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

/** A manifest that was read and found valid. */
export type BackupManifest = z.infer<typeof manifestSchema>;

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
