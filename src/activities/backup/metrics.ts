/** What Prometheus learns of backups. Gauges survive nothing: after a restart they come back with the next backup or check. */
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { BackupOutcome, BackupSummary } from '../../domain/backup/types.ts';

export interface BackupMetrics {
  ended(
    policy: string,
    outcome: BackupOutcome,
    result: BackupSummary | null,
    lastVerified: string | null,
  ): void;
  drilled(policy: string, passed: boolean, restoreMs: number, at: string): void;
  /** Seconds without a verified backup that the policy's alarm allows, and the newest one's time (`null`: none). */
  known(policy: string, alarmSeconds: number | null, lastVerified: string | null): void;
  /** Seconds since 1970 up to which slices reach, and between two slices; and when the last gap was noticed. */
  sliced(
    policy: string,
    slice: { reached: number; every: number | null; lastGap: string | null; bytes: number },
  ): void;
}

const labelNames = ['policy'] as const;

/** Registers the metrics; names and meaning are in docs/backups.md. */
export function backupMetrics(registry: Registry): BackupMetrics {
  const registers = [registry];
  const gauge = (name: string, help: string) => new Gauge({ name, help, labelNames, registers });
  const lastVerifiedAt = gauge(
    'slipway_backup_last_verified_timestamp_seconds',
    'Time of the data in the newest verified backup; 0 when there is none.',
  );
  const alarm = gauge(
    'slipway_backup_alarm_seconds',
    'How old the newest verified backup may become (spec.alarm).',
  );
  const size = gauge('slipway_backup_size_bytes', 'Size of the newest archive.');
  const data = gauge('slipway_backup_data_bytes', 'BSON in the newest backup.');
  const drillAt = gauge(
    'slipway_backup_last_drill_timestamp_seconds',
    'Time of the last drill that ran to its end.',
  );
  const drillPassed = gauge(
    'slipway_backup_last_drill_passed',
    '1 when the last drill passed, 0 when it failed.',
  );
  const recovery = gauge('slipway_backup_recovery_seconds', 'Time that the last drill took to restore.');
  const reachedAt = gauge(
    'slipway_oplog_reached_timestamp_seconds',
    'Moment up to which slices of the oplog reach.',
  );
  const sliceEvery = gauge(
    'slipway_oplog_slice_every_seconds',
    'How often slices are stored (spec.pointInTime).',
  );
  const lastGapAt = gauge(
    'slipway_oplog_last_gap_timestamp_seconds',
    'When the last gap in the slices was noticed; 0 when there is none.',
  );
  const sliceBytes = new Counter({
    name: 'slipway_oplog_stored_bytes_total',
    help: 'Bytes of slices that this worker stored.',
    labelNames,
    registers,
  });
  const runs = new Counter({
    name: 'slipway_backup_runs_total',
    help: 'Backups that ended, by outcome.',
    labelNames: ['policy', 'outcome'],
    registers,
  });
  const duration = new Histogram({
    name: 'slipway_backup_duration_seconds',
    help: 'Time to dump and prove.',
    labelNames,
    buckets: [1, 10, 60, 300, 1_800, 3_600, 7_200, 21_600, 86_400],
    registers,
  });
  const seconds = (at: string | null) => (at === null ? 0 : Date.parse(at) / 1_000);
  return {
    ended(policy, outcome, result, lastVerified) {
      runs.inc({ policy, outcome });
      lastVerifiedAt.set({ policy }, seconds(lastVerified));
      if (!result) return;
      size.set({ policy }, result.size);
      data.set({ policy }, result.bytes);
      duration.observe({ policy }, (result.dumpMs + result.proveMs) / 1_000);
    },
    drilled(policy, passed, restoreMs, at) {
      drillAt.set({ policy }, seconds(at));
      drillPassed.set({ policy }, passed ? 1 : 0);
      recovery.set({ policy }, restoreMs / 1_000);
    },
    known(policy, alarmSeconds, lastVerified) {
      lastVerifiedAt.set({ policy }, seconds(lastVerified));
      if (alarmSeconds !== null) alarm.set({ policy }, alarmSeconds);
    },
    sliced(policy, { reached, every, lastGap, bytes }) {
      reachedAt.set({ policy }, reached);
      if (every !== null) sliceEvery.set({ policy }, every);
      lastGapAt.set({ policy }, seconds(lastGap));
      sliceBytes.inc({ policy }, bytes);
    },
  };
}
