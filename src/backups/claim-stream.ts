/** An archive on a claim as a stream, through the pod that reads it. Used where there is no client of the cluster. */
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { readCommand } from '../domain/backup-job/reader.ts';
import type { ClusterAccess } from '../kubernetes/connection.ts';
import { KubeError } from '../kubernetes/errors.ts';
import { type Execution, execOutput } from '../kubernetes/exec.ts';
import { BackupDamagedError } from '../mongodb/backup/archive-file.ts';
import type { JobBackup } from '../specs/job-manifest.ts';

/** A stream that breaks off is taken up again where it broke; so often in a row without a single byte in between. */
const TRIES = 4;
const PAUSE_MS = 1_000;

/** A backup on a claim, and the pod that it comes out of. */
export interface ClaimedBackup {
  backup: JobBackup;
  /** For people. */
  location: string;
  reader: Omit<Execution, 'command'> & { path: string };
}

/**
 * All bytes of the archive, once each. Whoever has read to the end has read what was proven when the backup was made:
 * size and SHA-256 are those of its manifest, however often the stream broke.
 * @throws BackupDamagedError, KubeError, or the signal's reason
 */
export async function* readClaimed(
  { backup, reader: { path, ...pod } }: ClaimedBackup,
  access: () => Promise<ClusterAccess>,
  signal?: AbortSignal,
): AsyncGenerator<Buffer> {
  const { size, sha256 } = backup.archive;
  const damaged = (what: string) => new BackupDamagedError(`backup ${backup.id}: ${what}`);
  const hash = createHash('sha256');
  let read = 0;
  for (let fruitless = 0; read < size; ) {
    const before = read;
    let ended: unknown;
    try {
      for await (const chunk of execOutput(
        await access(),
        { ...pod, command: readCommand(path, read) },
        signal,
      )) {
        read += chunk.length;
        if (read > size) throw damaged(`it has more than ${size} bytes`);
        hash.update(chunk);
        yield chunk;
      }
    } catch (error) {
      if (!(error instanceof KubeError)) throw error;
      ended = error;
    }
    if (read === size) break;
    fruitless = read === before ? fruitless + 1 : 0;
    if (!mayGoOn(ended) || fruitless >= TRIES) {
      if (ended === undefined) throw damaged(`it has ${read} bytes instead of ${size}`);
      throw brokenOff(backup, read, ended);
    }
    await sleep(PAUSE_MS, undefined, signal ? { signal } : {});
  }
  if (hash.digest('hex') !== sha256) throw damaged('its SHA-256 is not the one noted when it was stored');
}

function mayGoOn(ended: unknown): boolean {
  return !(ended instanceof KubeError) || ended.retryable;
}

/** What ails this pod may not ail the next: only a right that is missing stays missing. */
function brokenOff({ id, archive }: JobBackup, read: number, cause: unknown): KubeError {
  const { status, reason, message } = cause as KubeError;
  return new KubeError({
    status,
    reason,
    message: `reading ${id} broke off after ${read} of ${archive.size} bytes: ${message}`,
    retryable: status !== 403,
    cause,
  });
}
