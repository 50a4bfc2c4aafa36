/** From what went wrong with MongoDB or a storage to what Temporal should do about it. */
import { ApplicationFailure } from '@temporalio/common';
import { BACKUP_FAILURE } from '../../domain/backup/failures.ts';
import { KubeError } from '../../kubernetes/errors.ts';

/** MongoDB's codes for credentials and privileges: Unauthorized, AuthenticationFailed. */
const REFUSED_CODES = new Set([13, 18, 8000]);
/** Full or read-only for good: worth a few tries while somebody makes room, not hours. */
const FULL = new Set(['ENOSPC', 'EDQUOT']);
const REFUSED = new Set(['EACCES', 'EPERM', 'EROFS', 'ENOENT', 'ENOTDIR']);
/** Not as asked, and asking again changes nothing. */
const REFUSED_PLANS = new Set(['RestorePlanError', 'OplogReplayError', 'SliceRefusedError']);
const DAMAGED = new Set(['BackupDamagedError', 'ArchiveCorruptError', 'EncryptionError']);

/** What zlib says of bytes that are wrong or missing. */
const DAMAGED_CODES = new Set(['Z_DATA_ERROR', 'Z_BUF_ERROR', 'ERR_ZSTD_DECOMPRESSION_FAILED']);
/** Once more, for it may have been the reading; a new archive is written anew. */
const DAMAGED_ATTEMPTS = 2;

/** Attempts after which a full destination ends the run. */
const FULL_ATTEMPTS = 3;

const JOB_FAILURES = {
  refused: BACKUP_FAILURE.sourceRefused,
  full: BACKUP_FAILURE.destinationFull,
  failed: BACKUP_FAILURE.jobFailed,
} as const;

/** The failure to throw for an error; `attempt` counts from 1. Messages hold no credentials. */
export function backupFailureOf(error: unknown, attempt: number): unknown {
  if (error instanceof ApplicationFailure || !(error instanceof Error)) return error;
  const message = withoutCredentials(error.message);
  const { name } = error;
  const codes = codesOf(error);
  if (codes.some((code) => typeof code === 'number' && REFUSED_CODES.has(code))) {
    return ApplicationFailure.nonRetryable(`MongoDB refuses: ${message}`, BACKUP_FAILURE.sourceRefused);
  }
  if (codes.some((code) => FULL.has(String(code)))) {
    return ApplicationFailure.create({
      message,
      type: BACKUP_FAILURE.destinationFull,
      nonRetryable: attempt >= FULL_ATTEMPTS,
    });
  }
  if (
    name === 'StorageError' &&
    codes.some((code) => REFUSED.has(String(code)) || code === 403 || code === 404)
  ) {
    return ApplicationFailure.nonRetryable(message, BACKUP_FAILURE.destinationRefused);
  }
  if (codes.length === 0 && causesOf(error).some((each) => each.name === 'CredentialsProviderError')) {
    // The machine's own credentials may come a little later.
    return ApplicationFailure.create({
      message: `S3: no credentials were found; name them in credentialsFrom, or give the worker some (${message})`,
      type: BACKUP_FAILURE.settingMissing,
      nonRetryable: attempt >= FULL_ATTEMPTS,
    });
  }
  if (DAMAGED.has(name) || codes.some((code) => DAMAGED_CODES.has(String(code)))) {
    const nonRetryable = attempt >= DAMAGED_ATTEMPTS;
    return ApplicationFailure.create({
      message: `damaged: ${message}`,
      type: BACKUP_FAILURE.archiveDamaged,
      nonRetryable,
    });
  }
  if (name === 'SettingMissingError' || name === 'WrongKeyError')
    return ApplicationFailure.nonRetryable(message, BACKUP_FAILURE.settingMissing);
  if (name === 'ObjectNotFoundError' || name === 'BackupUnknownError')
    return ApplicationFailure.nonRetryable(message, BACKUP_FAILURE.backupUnknown);
  if (name === 'JobFailedError') {
    // The Job has already tried again as often as the policy allows.
    const { problem = 'failed' } = error as { problem?: keyof typeof JOB_FAILURES };
    return ApplicationFailure.nonRetryable(message, JOB_FAILURES[problem]);
  }
  if (error instanceof KubeError && !error.retryable)
    return ApplicationFailure.nonRetryable(message, BACKUP_FAILURE.destinationRefused);
  if (REFUSED_PLANS.has(name)) return ApplicationFailure.nonRetryable(message, BACKUP_FAILURE.refused);
  if (name === 'RestoreFailedError') {
    const failed =
      (error as { failed?: readonly { namespace: string; id: string; message: string }[] }).failed ?? [];
    const list = failed.slice(0, 100).map((each) => `${each.namespace}: ${each.id}: ${each.message}`);
    return ApplicationFailure.nonRetryable(message, BACKUP_FAILURE.restoreDiffers, list);
  }
  return ApplicationFailure.retryable(message, name);
}

/** Whether an error is about the bytes of an archive: damaged, or without its key. */
export function isOfArchive(error: Error): boolean {
  const { code } = error as { code?: unknown };
  return error.name === 'WrongKeyError' || DAMAGED.has(error.name) || DAMAGED_CODES.has(String(code));
}

/** Codes of an error and of what caused it: driver, operating system, HTTP. */
function codesOf(error: Error): (string | number)[] {
  const codes: (string | number)[] = [];
  for (const each of causesOf(error)) {
    const { code, $metadata } = each as { code?: unknown; $metadata?: { httpStatusCode?: number } };
    if (typeof code === 'string' || typeof code === 'number') codes.push(code);
    if ($metadata?.httpStatusCode !== undefined) codes.push($metadata.httpStatusCode);
  }
  return codes;
}

/** An error and what caused it. */
function causesOf(error: Error): Error[] {
  const found: Error[] = [];
  for (let each: unknown = error; each instanceof Error && found.length < 8; each = each.cause)
    found.push(each);
  return found;
}

/** Drivers do not print passwords; this is for the day one does. */
export function withoutCredentials(text: string): string {
  return text.replaceAll(/:\/\/[^\s@]*@/g, '://[secret]@');
}
