import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Registry } from 'prom-client';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { backupMetrics } from '../../src/activities/backup/metrics.ts';
import { drillRecordName } from '../../src/backups/notes.ts';
import { survey, type SurveyMemory } from '../../src/backups/survey.ts';
import { manifestName } from '../../src/mongodb/backup/catalog.ts';
import { parseBackupPolicy } from '../../src/specs/backup.ts';
import type { BackupManifest } from '../../src/specs/manifest.ts';
import { DirectoryStorage } from '../../src/storage/directory.ts';

let directory: string;
let storage: DirectoryStorage;
let memory: SurveyMemory;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'slipway-survey-'));
  storage = new DirectoryStorage(directory);
  memory = new Map();
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const shop = parseBackupPolicy(`
apiVersion: slipway/v1
kind: BackupPolicy
metadata: { name: shop }
spec:
  source: { uriFrom: { env: MONGODB_URI } }
  schedule: { at: "02:00" }
  destination: { directory: /backup }
`);
const look = () => survey(storage, shop, memory);

async function stored(id: string, at: string, policy = 'shop'): Promise<void> {
  const time = new Date(at).toISOString();
  const manifest: BackupManifest = {
    kind: 'slipway-backup',
    version: 1,
    id,
    policy,
    owner: `backup.${policy}/1`,
    toolVersion: 'test',
    source: { serverVersion: '6.0.5', topology: 'replicaSet' },
    startedAt: time,
    storedAt: time,
    verifiedAt: time,
    consistency: { kind: 'snapshot', clusterTime: { t: Date.parse(at) / 1_000, i: 1 }, except: [] },
    archive: {
      name: `${id}.gz`,
      size: 4,
      sha256: 'a'.repeat(64),
      preludeSha256: 'a'.repeat(64),
      compression: 'gzip',
    },
    namespaces: [],
    documents: 0,
    bytes: 10,
    warnings: [],
  };
  await storage.write(`${id}.gz`, 'data');
  await storage.write(manifestName(id), JSON.stringify(manifest));
}
const drilled = (backup: string, at: string, passed: boolean) =>
  storage.write(drillRecordName(backup), JSON.stringify({ backup, at, passed, restoreMs: 5 }));

describe('what a destination holds of a policy', () => {
  test('is nothing, where there is nothing', async () => {
    expect(await look()).toEqual({ newest: null, lastDrill: null, slices: null });
  });

  test("is its own newest backup whose archive is there, and not another policy's, nor one of the future", async () => {
    await stored('dump-20261120-020000', '2026-11-20T02:00:00Z');
    await stored('dump-20261121-020000', '2026-11-21T02:00:00Z');
    await stored('dump-20261122-020000', '2026-11-22T02:00:00Z');
    await storage.delete('dump-20261122-020000.gz');
    await stored('dump-20261123-020000', '2026-11-23T02:00:00Z', 'other');
    await stored('dump-29991123-020000', '2999-11-23T02:00:00Z');
    await storage.write(manifestName('dump-20261124-020000'), 'no manifest');
    expect((await look()).newest).toEqual({ at: '2026-11-21T02:00:00.000Z', size: 4, bytes: 10 });
  });

  test('changes with what is deleted and added, though each manifest is read once', async () => {
    await stored('dump-20261120-020000', '2026-11-20T02:00:00Z');
    await stored('dump-20261121-020000', '2026-11-21T02:00:00Z');
    await look();
    await storage.delete(manifestName('dump-20261121-020000'));
    expect((await look()).newest?.at).toBe('2026-11-20T02:00:00.000Z');
    const read = storage.read.bind(storage);
    let reads = 0;
    storage.read = (...args) => (reads++, read(...args));
    await look();
    expect(reads).toBe(0);
    await stored('dump-20261122-020000', '2026-11-22T02:00:00Z');
    expect((await look()).newest?.at).toBe('2026-11-22T02:00:00.000Z');
    expect(reads).toBe(1);
  });

  test('tells of the last drill, whichever backup it was of, and not of another policy', async () => {
    await stored('dump-20261120-020000', '2026-11-20T02:00:00Z');
    await stored('dump-20261121-020000', '2026-11-21T02:00:00Z');
    await stored('dump-20261122-020000', '2026-11-22T02:00:00Z', 'other');
    await drilled('dump-20261121-020000', '2026-11-21T03:00:00.000Z', true);
    await drilled('dump-20261120-020000', '2026-11-21T04:00:00.000Z', false);
    await drilled('dump-20261122-020000', '2026-11-22T03:00:00.000Z', true);
    expect((await look()).lastDrill).toMatchObject({ at: '2026-11-21T04:00:00.000Z', passed: false });
  });
});

describe('the metrics of policies', () => {
  const facts = {
    alarmSeconds: 60,
    sliceEverySeconds: 10,
    appliedAt: '2026-11-23T02:00:00Z',
    paused: true,
  };

  test('come with what is applied and go with it; what was deleted by command is said', async () => {
    const registry = new Registry();
    const metrics = backupMetrics(registry);
    expect(await registry.metrics()).not.toMatch(/^slipway_backup_policies_read/m);
    metrics.applied(new Map([['shop', facts]]), new Map(), 5_000);
    metrics.surveyed('shop', {
      newest: { at: '2026-11-23T03:00:00Z', size: 4, bytes: 10 },
      lastDrill: { at: '2026-11-23T04:00:00Z', passed: false, restoreMs: 1_500 },
      slices: { reached: 7, lastGap: null },
    });
    const lines = (await registry.metrics()).split('\n').filter((line) => line.includes('{policy="shop"} '));
    expect(lines).toEqual(
      expect.arrayContaining([
        'slipway_backup_alarm_seconds{policy="shop"} 60',
        'slipway_backup_policy_paused{policy="shop"} 1',
        `slipway_backup_policy_applied_timestamp_seconds{policy="shop"} ${Date.parse(facts.appliedAt) / 1_000}`,
        `slipway_backup_last_verified_timestamp_seconds{policy="shop"} ${Date.parse('2026-11-23T03:00:00Z') / 1_000}`,
        'slipway_backup_last_drill_passed{policy="shop"} 0',
        'slipway_oplog_reached_timestamp_seconds{policy="shop"} 7',
        'slipway_oplog_last_gap_timestamp_seconds{policy="shop"} 0',
      ]),
    );
    expect(await registry.metrics()).toContain('slipway_backup_policies_read_timestamp_seconds 5\n');

    metrics.applied(
      new Map([['shop', { ...facts, alarmSeconds: null, sliceEverySeconds: null }]]),
      new Map(),
      6_000,
    );
    expect(await registry.metrics()).not.toMatch(/(alarm_seconds|oplog_\w+_seconds)\{policy="shop"\}/);
    metrics.applied(new Map(), new Map([['shop', '2026-11-24T02:00:00Z']]), 7_000);
    const left = (await registry.metrics()).split('\n').filter((line) => line.includes('{policy="shop"} '));
    expect(left).toEqual([
      `slipway_backup_policy_deleted_timestamp_seconds{policy="shop"} ${Date.parse('2026-11-24T02:00:00Z') / 1_000}`,
    ]);
    // What was under way when it was deleted brings nothing back.
    metrics.surveyed('shop', { newest: null, lastDrill: null, slices: null });
    expect(await registry.metrics()).not.toContain('last_verified_timestamp_seconds{policy="shop"}');
  });
});
