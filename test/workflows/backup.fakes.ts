/** Backups without servers: every activity answers as told, and notes that it was called. */
import type { BackupActivities } from '../../src/activities/backup/types.ts';
import type { RestorePlan } from '../../src/domain/backup/restore.types.ts';
import type { BackupSummary } from '../../src/domain/backup/types.ts';
import { parseBackupPolicy } from '../../src/specs/backup.ts';
import type { BackupPolicy } from '../../src/specs/backup.types.ts';

export function policyNamed(name: string, more = ''): BackupPolicy {
  return parseBackupPolicy(`
apiVersion: slipway/v1
kind: BackupPolicy
metadata: { name: ${name} }
spec:
  source: { uriFrom: { env: MONGODB_URI } }
  schedule: { at: "02:00", timezone: Europe/Berlin }
  destination: { directory: /backup }
${more}`);
}

export function summaryOf(id: string): BackupSummary {
  return {
    id,
    archive: `${id}.gz`,
    location: '/backup',
    at: '2026-11-23T01:00:01.000Z',
    consistency: 'snapshot at 2026-11-23T01:00:01Z',
    namespaces: 2,
    documents: 10,
    bytes: 1_000,
    size: 300,
    sha256: 'ab',
    dumpMs: 1_000,
    proveMs: 500,
    warnings: [],
  };
}

export function planOf(replaced: number, archive = 'dump-20261123-010000'): RestorePlan {
  return {
    archive,
    digest: `plan-${replaced}`,
    at: null,
    location: '/backup',
    namespaces: [
      {
        from: 'shop.orders',
        to: 'shop.orders',
        kind: 'collection',
        documents: 3,
        replaces: replaced || null,
      },
    ],
    total: 1,
    replaced,
    documents: 3,
    bytes: 100,
    notes: [],
  };
}

export interface Fakes {
  activities: BackupActivities;
  /** Names of the activities called, in order. */
  calls: string[];
}

/** `server` is what every URI leads to; `change` replaces activities. */
export function fakes(server: string, change: Partial<BackupActivities> = {}): Fakes {
  const calls: string[] = [];
  const base: BackupActivities = {
    identifySource: async () => ({ key: server }),
    identifyJobSource: async () => ({ keys: [server] }),
    prepareBackup: async () => ({
      lastVerified: '2026-11-22T01:00:00.000Z',
      lastDrill: null,
      estimatedBytes: 1,
    }),
    takeBackup: async ({ id }) => summaryOf(id),
    sweepBackups: async () => undefined,
    pruneBackups: async () => ({ kept: 7, deleted: ['dump-20261101-010000'], problems: [] }),
    recordBackup: async () => undefined,
    sliceOplog: async () => ({ reached: { t: 1_795_000_000, i: 1 }, more: false, slice: null }),
    inspectRestore: async () => planOf(0),
    holdArchive: async () => undefined,
    releaseArchive: async () => undefined,
    restore: async ({ archive }) => ({ archive, namespaces: 1, documents: 3, bytes: 100, ms: 5 }),
    discardRestore: async () => undefined,
    restoreDrill: async () => ({
      into: 'scratch',
      restoreMs: 7,
      namespaces: 2,
      documents: 10,
      bytes: 1_000,
      differences: [],
    }),
    cleanDrill: async () => undefined,
    recordDrill: async () => undefined,
  };
  const noted = Object.fromEntries(
    Object.entries({ ...base, ...change }).map(([name, act]) => [
      name,
      (input: never) => {
        calls.push(name);
        return (act as (input: never) => unknown)(input);
      },
    ]),
  );
  return { activities: noted as unknown as BackupActivities, calls };
}
