// What a backup by mongodump in a Job says about itself: `ID.manifest.json` on the claim, written last. It holds less than
// the manifest of Slipway's own engine, for the tools of the image tell less; and it never says more than was proven.
import { z } from 'zod';
import { backupId, count, storedFile, time } from './manifest-fields.ts';
import { checkStrictly, readJson } from './strict-json.ts';

const jobManifestSchema = z.strictObject({
  kind: z.literal('slipway-job-backup'),
  version: z.literal(1),
  id: backupId,
  policy: z.string().min(1),
  /** Workflow id and run id. */
  owner: z.string().min(1),
  archive: storedFile.extend({ compression: z.enum(['none', 'gzip']) }),
  /** As mongodump counted them. */
  namespaces: count,
  documents: count,
  /** Size of the archive without its compression. */
  bytes: count,
  startedAt: time,
  storedAt: time,
  /** When the archive had been read back: same SHA-256, whole gzip stream, read to its end by mongorestore. */
  verifiedAt: time,
  dumpMs: count,
  proveMs: count,
  tool: z.string(),
});

/** A manifest of a Job's backup that was read and found valid. */
export type JobBackup = z.infer<typeof jobManifestSchema>;

/**
 * Reads a manifest strictly.
 * @throws Error that names the first field that is wrong
 */
export function parseJobManifest(text: string): JobBackup {
  return checkStrictly(jobManifestSchema, readJson(text, 'the manifest'), 'the manifest');
}
