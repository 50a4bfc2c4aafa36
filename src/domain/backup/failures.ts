/** The closed list of ApplicationFailure types of backups, restores and drills. */
export const BACKUP_FAILURE = {
  /** The backup ended without a verified archive. Details: the backup's status. */
  backupFailed: 'BackupFailed',
  /** The restore ended without the data being there, or with data that differs. Details: the restore's status. */
  restoreFailed: 'RestoreFailed',
  drillFailed: 'DrillFailed',
  /** A message was refused; the sentence says what to send instead. */
  refused: 'Refused',

  /** A variable, file or Secret that the policy names is missing or unusable. Not retryable. */
  settingMissing: 'SettingMissing',
  /** Credentials are refused, or privileges are missing. Not retryable. */
  sourceRefused: 'SourceRefused',
  /** What the policy names is not there: an empty backup is none. Not retryable. */
  sourceEmpty: 'SourceEmpty',
  destinationRefused: 'DestinationRefused',
  destinationFull: 'DestinationFull',
  /** The Job of a `destination.job` did not make a backup; the message has the container's own reason. Not retryable. */
  jobFailed: 'JobFailed',
  /** There is no such backup. Not retryable. */
  backupUnknown: 'BackupUnknown',
  /** The archive is damaged, or not one at all. Not retryable. */
  archiveDamaged: 'ArchiveDamaged',
  /** Documents were refused by the target, or the result differs from the archive. Not retryable. */
  restoreDiffers: 'RestoreDiffers',
} as const;
