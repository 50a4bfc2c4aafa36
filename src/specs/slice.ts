// What a slice of the oplog says about itself. Its file is written last, after the data was read back; without it the
// data is no slice. It holds no address, no user and no secret.
import { z } from 'zod';
import { clusterTime, compression, count, encryption, storedFile, time } from './manifest-fields.ts';
import { checkStrictly, readJson } from './strict-json.ts';

const sliceManifestSchema = z.strictObject({
  kind: z.literal('slipway-oplog-slice'),
  version: z.literal(1),
  policy: z.string().min(1),
  /** Slices of one number follow each other without a break; a gap begins the next number. */
  chain: z.int().positive(),
  /** The slice holds the entries after `from`, up to and including `to`; both are entries that were seen. */
  from: clusterTime,
  to: clusterTime,
  /** Election term of the entry at `to`: with its time it names the entry for ever. */
  term: z.int(),
  /** When that entry was written, by the primary's clock, in milliseconds: another server may have one of the same name. */
  wall: z.int().default(-1),
  /** First and last entry that is stored; `null`: none concerned the policy. */
  first: clusterTime.nullable(),
  last: clusterTime.nullable(),
  entries: count,
  /** Uncompressed BSON. */
  bytes: count,
  data: storedFile.extend({ compression, encryption: encryption.optional() }).nullable(),
  /** Whose entries are stored. Another filter begins another chain. */
  filter: z.strictObject({
    databases: z.array(z.string()),
    include: z.array(z.string()),
    exclude: z.array(z.string()),
  }),
  /** In a chain's first slice: why it could not go on from the chain before. */
  gap: z.strictObject({ after: clusterTime, reason: z.string() }).nullable(),
  storedAt: time,
  toolVersion: z.string(),
});

/** A slice's manifest that was read and found valid. */
export type SliceManifest = z.infer<typeof sliceManifestSchema>;

/**
 * Reads a slice's manifest strictly.
 * @throws Error that names the first field that is wrong
 */
export function parseSliceManifest(text: string): SliceManifest {
  const what = 'the manifest of the slice';
  return checkStrictly(sliceManifestSchema, readJson(text, what), what);
}
