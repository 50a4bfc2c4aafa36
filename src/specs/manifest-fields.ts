/** The fields that manifests of backups, of a Job's backups and of slices of the oplog have in common. */
import { z } from 'zod';

export const count = z.int().nonnegative();
/** ISO 8601, in UTC. */
export const time = z.iso.datetime();
/** A time of the cluster as the oplog has it: seconds since the epoch, and a count within the second. */
export const clusterTime = z.strictObject({ t: count, i: count });

/** Letters, digits and `._-`: the name is part of file names. */
export const backupId = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,150}$/, 'letters, digits and ._-, at most 151');

export const hexDigits = (digits: number) =>
  z.string().regex(new RegExp(`^[0-9a-f]{${digits}}$`), `${digits} hexadecimal digits`);

/** The stored file that a manifest speaks for; `size` in bytes. */
export const storedFile = z.strictObject({
  name: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$/),
  size: count,
  sha256: hexDigits(64),
});

/** With which the engine compresses. */
export const compression = z.enum(['none', 'gzip', 'zstd']);
/** Of an encrypted file: which key, not the key. */
export const encryption = z.strictObject({ keyId: hexDigits(16) });
