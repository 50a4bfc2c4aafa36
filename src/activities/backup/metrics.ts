/**
 * What Prometheus learns of backups: from runs, and, for every policy that is applied, from a look at Temporal and at the
 * destination that each worker takes at its start and again and again (worker/policy-watch.ts).
 */
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { BackupOutcome, BackupSummary } from '../../domain/backup/types.ts';
import type { Survey } from './survey.ts';

/** What is known of a policy without looking at its backups. One that was never applied has no alarm. */
export interface PolicyFacts {
  alarmSeconds: number | null;
  sliceEverySeconds: number | null;
  /** ISO 8601. */
  appliedAt: string;
  paused: boolean;
}

export interface BackupMetrics {
  /** All policies that are applied, by name, and those that a command has deleted, with the time; as of now. */
  applied(
    policies: ReadonlyMap<string, PolicyFacts>,
    deleted: ReadonlyMap<string, string>,
    now: number,
  ): void;
  /** What lies at the destination of a policy that is applied. */
  surveyed(policy: string, found: Survey): void;
  ended(
    policy: string,
    outcome: BackupOutcome,
    result: BackupSummary | null,
    lastVerified: string | null,
  ): void;
  drilled(policy: string, passed: boolean, restoreMs: number, at: string): void;
  /** The newest verified backup's time (`null`: none). */
  known(policy: string, lastVerified: string | null): void;
  /** Seconds since 1970 up to which slices reach, and from which they go on after the last gap; and between two slices. */
  sliced(
    policy: string,
    slice: { reached: number; every: number | null; lastGap: number | null; bytes: number },
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
    'Moment from which slices go on after their last gap; 0 when there is none.',
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
  const appliedAt = gauge(
    'slipway_backup_policy_applied_timestamp_seconds',
    'When a policy that is applied was applied first.',
  );
  const paused = gauge('slipway_backup_policy_paused', '1 when a policy that is applied is paused, else 0.');
  const deletedAt = gauge(
    'slipway_backup_policy_deleted_timestamp_seconds',
    'When a policy was deleted by a command.',
  );
  let readAt: number | null = null;
  new Gauge({
    name: 'slipway_backup_policies_read_timestamp_seconds',
    help: 'When this worker last read in Temporal which policies are applied.',
    registers,
    // Nothing at all before the first time: 0 would be a time.
    collect() {
      if (readAt === null) this.remove();
      else this.set(readAt);
    },
  });
  const ofPolicy = [lastVerifiedAt, alarm, size, data, drillAt, drillPassed, recovery, appliedAt, paused];
  const ofSlices = [reachedAt, sliceEvery, lastGapAt];
  const shown = new Set<string>();
  const forget = (gauges: readonly Gauge[], policy: string) => {
    for (const each of gauges) each.remove({ policy });
  };
  const drilledOne: BackupMetrics['drilled'] = (policy, passed, restoreMs, at) => {
    drillAt.set({ policy }, seconds(at));
    drillPassed.set({ policy }, passed ? 1 : 0);
    recovery.set({ policy }, restoreMs / 1_000);
  };
  const seconds = (at: string | null) => (at === null ? 0 : Date.parse(at) / 1_000);
  return {
    applied(policies, deleted, now) {
      for (const policy of [...shown, ...deleted.keys()]) {
        if (policies.has(policy)) continue;
        forget([...ofPolicy, ...ofSlices], policy);
        shown.delete(policy);
      }
      deletedAt.reset();
      for (const [policy, at] of deleted) deletedAt.set({ policy }, seconds(at));
      for (const [policy, facts] of policies) {
        shown.add(policy);
        appliedAt.set({ policy }, seconds(facts.appliedAt));
        paused.set({ policy }, facts.paused ? 1 : 0);
        if (facts.alarmSeconds === null) alarm.remove({ policy });
        else alarm.set({ policy }, facts.alarmSeconds);
        if (facts.sliceEverySeconds === null) forget(ofSlices, policy);
        else sliceEvery.set({ policy }, facts.sliceEverySeconds);
      }
      readAt = now / 1_000;
    },
    surveyed(policy, { newest, lastDrill, slices }) {
      if (!shown.has(policy)) return;
      lastVerifiedAt.set({ policy }, seconds(newest?.at ?? null));
      if (newest && newest.size !== null) size.set({ policy }, newest.size);
      if (newest && newest.bytes !== null) data.set({ policy }, newest.bytes);
      if (lastDrill) drilledOne(policy, lastDrill.passed, lastDrill.restoreMs, lastDrill.at);
      if (!slices) return;
      reachedAt.set({ policy }, slices.reached ?? 0);
      lastGapAt.set({ policy }, slices.lastGap ?? 0);
    },
    ended(policy, outcome, result, lastVerified) {
      runs.inc({ policy, outcome });
      lastVerifiedAt.set({ policy }, seconds(lastVerified));
      if (!result) return;
      size.set({ policy }, result.size);
      data.set({ policy }, result.bytes);
      duration.observe({ policy }, (result.dumpMs + result.proveMs) / 1_000);
    },
    drilled: drilledOne,
    known(policy, lastVerified) {
      lastVerifiedAt.set({ policy }, seconds(lastVerified));
    },
    sliced(policy, { reached, every, lastGap, bytes }) {
      reachedAt.set({ policy }, reached);
      if (every !== null) sliceEvery.set({ policy }, every);
      lastGapAt.set({ policy }, lastGap ?? 0);
      sliceBytes.inc({ policy }, bytes);
    },
  };
}
