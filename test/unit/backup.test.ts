import { mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ApplicationFailure } from '@temporalio/common';
import { MongoServerError } from 'mongodb';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { backupFailureOf } from '../../src/activities/backup/failure.ts';
import { drillRecords, hold, recordDrill, releaseHold } from '../../src/backups/notes.ts';
import { prune } from '../../src/backups/retention.ts';
import { resolveKey, resolveUri, SettingMissingError } from '../../src/backups/settings.ts';
import { BackupUnknownError, chooseBackup, madeBefore } from '../../src/backups/verified.ts';
import { cronJob } from '../../src/domain/backup-job/job.ts';
import { backupIdAt } from '../../src/domain/backup/names.ts';
import { changedLines, policyNotes } from '../../src/domain/backup/policy-view.ts';
import { drillDue } from '../../src/domain/backup/run.ts';
import { bytesText, durationText } from '../../src/domain/amounts.ts';
import { parseBackupPolicy } from '../../src/specs/backup.ts';
import type { BackupPolicy } from '../../src/specs/backup.types.ts';
import { manifestSchema } from '../../src/specs/manifest.ts';
import { EncryptionError, WrongKeyError } from '../../src/storage/encryption.ts';
import { DirectoryStorage } from '../../src/storage/directory.ts';

const POLICY = `apiVersion: slipway/v1
kind: BackupPolicy
metadata: { name: ecommerce-mongodb }
spec:
  source:
    uriFrom: { env: MONGODB_URI }
    databases: [shop]
  schedule: { at: "02:00", timezone: Europe/Berlin }
  destination: { directory: /backup }
  compression: gzip
  retention: { days: 7, keepAtLeast: 3 }
  drill: { every: 1d }
  alarm: { noVerifiedBackupFor: 26h }
`;

/** The message with which the policy is refused after a replacement. */
function refusal(from: string, to: string): string {
  const text = POLICY.replace(from, to);
  if (text === POLICY) throw new Error(`the policy has no ${from}`);
  try {
    parseBackupPolicy(text, { source: 'backup.yaml' });
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error('the policy was accepted');
}

describe('a policy', () => {
  test('reads as it is written, with defaults for what is left out', () => {
    const { spec } = parseBackupPolicy(POLICY);
    expect(spec).toMatchObject({
      source: { uriFrom: { env: 'MONGODB_URI' }, databases: ['shop'], include: [], exclude: [] },
      schedule: { at: '02:00', timezone: 'Europe/Berlin' },
      retention: { days: 7, keepAtLeast: 3 },
      drill: { every: '1d', into: null },
      alarm: { noVerifiedBackupFor: '26h' },
      encryption: null,
      throttle: null,
    });
  });

  test('may ask for slices of the oplog, within bounds, and not where mongodump does the work', () => {
    const slices = (text: string) => refusal('  compression: gzip', `  pointInTime: ${text}`);
    const parsed = parseBackupPolicy(
      POLICY.replace('  compression: gzip', '  pointInTime: { sliceEvery: 1m }'),
    );
    expect(parsed.spec.pointInTime).toEqual({ sliceEvery: '1m', keepFor: null });
    expect(parseBackupPolicy(POLICY).spec.pointInTime).toBeNull();
    expect(slices('{ sliceEvery: 5s }')).toMatch(
      /spec\.pointInTime\.sliceEvery.*found "5s"; allowed: a duration such as 30s, 5m, 1h30m, from 10s to 1h/,
    );
    expect(slices('{ sliceEvery: 2h }')).toMatch(/from 10s to 1h/);
    expect(slices('{ sliceEvery: 60 }')).toMatch(/give the unit: 60s or 60m/);
    expect(slices('{}')).toMatch(/spec\.pointInTime\.sliceEvery.*missing/);
    expect(slices('{ sliceEvery: 1m, keepFor: 10m }')).toMatch(/keepFor.*from 1h to 366d/);
    expect(slices('{ every: 1m }')).toMatch(/sliceEvery/);
    const inJob = POLICY.replace(
      '{ directory: /backup }',
      '{ job: { namespace: shop, image: "mongo:6.0", pvc: backups } }',
    ).replace('  drill: { every: 1d }', '  pointInTime: { sliceEvery: 1m }');
    expect(() => parseBackupPolicy(inJob)).toThrow(
      /spec\.pointInTime.*does not go with destination\.job, where mongodump does the work/,
    );
  });

  test.each([
    ['env: MONGODB_URI', 'env: "mongodb://app:hunter2@db/"'],
    ['env: MONGODB_URI', 'uri: "mongodb://app:hunter2@db/"'],
    ['[shop]', '["mongodb://app:hunter2@db/"]'],
    ['{ directory: /backup }', '{ s3: { bucket: backups, endpoint: "https://key:hunter2@s3" } }'],
  ])('with a password is refused without repeating it: %s -> %s', (from, to) => {
    const message = refusal(from, to);
    expect(message).toContain('holds a connection string with credentials (not shown)');
    expect(message).not.toContain('hunter2');
  });

  test.each([
    [
      '"02:00"',
      '2:00',
      'backup.yaml:8:19: spec.schedule.at: found "2:00"; allowed: a time of day in quotes, from "00:00" to "23:59"',
    ],
    ['[shop]', '[shop, shop]', 'spec.source.databases[1]: shop is listed twice'],
    ['[shop]', '[local]', 'spec.source.databases[0]: local is what a server keeps for itself'],
    ['Europe/Berlin', 'Mars/Olymp', 'spec.schedule.timezone: found "Mars/Olymp"; allowed: an IANA time zone'],
    ['Europe/Berlin', '"+01:00"', 'spec.schedule.timezone'],
    ['at: "02:00"', 'at: "02:00", cron: "0 2 * * *"', 'found at and cron; allowed: exactly one of at, cron'],
    ['at: "02:00"', 'cron: "0 25 * * *"', 'spec.schedule.cron: found "25" as hour; allowed: 0 to 23'],
    ['{ directory: /backup }', '{ directory: backup }', 'spec.destination.directory: found "backup"'],
    ['days: 7, keepAtLeast: 3', 'keepAtLeast: 3', 'spec.retention: says nothing about what to keep'],
    ['days: 7', 'days: 0', 'spec.retention.days: found 0; allowed: a whole number from 1'],
    ['keepAtLeast: 3', 'keepAtLeast: 0', 'spec.retention.keepAtLeast: found 0'],
    ['compression: gzip', 'compresion: gzip', 'spec.compresion: unknown field; did you mean compression?'],
    [
      'uriFrom: { env: MONGODB_URI }',
      'uriFrom: { secret: { namespace: a, name: b, key: c, host: db } }',
      'secret.username: missing',
    ],
    [
      '{ directory: /backup }',
      '{ job: { namespace: a, image: "mongo:6.0", pvc: p } }',
      'spec.source.uriFrom: must be a secret of namespace a',
    ],
  ])('with a mistake is refused with field, finding and what is allowed: %s -> %s', (from, to, message) => {
    expect(refusal(from, to)).toContain(message);
  });

  const hexKey = 'a5'.repeat(32);
  test.each([
    ['{ env: MONGODB_URI }', '{ env: "hunter2/x" }', 'hunter2'],
    ['uriFrom: { env: MONGODB_URI }', 'uriFrom: "hunter2"', 'hunter2'],
    ['{ env: MONGODB_URI }', '{ env: "mongodb://admin:hun/ter2@db" }', 'ter2'],
    ['uriFrom: { env: MONGODB_URI }', '"mongodb://admin:hunter2@db": x', 'hunter2'],
    [
      '{ env: MONGODB_URI }',
      '{ secret: { namespace: a, name: b, key: "hunter2!", host: "u:hunter2@db", username: u } }',
      'hunter2',
    ],
    ['compression: gzip', `encryption: { keyFrom: { env: "5${hexKey}" } }`, hexKey],
    ['compression: gzip', `encryption: { keyFrom: { env: ${hexKey} } }`, hexKey],
    ['compression: gzip', `encryption: { keyFrom: ${hexKey} }`, hexKey],
    ['compression: gzip', `encryption: { keyFrom: { env: KEY }, olderKeys: [{ env: ${hexKey} }] }`, hexKey],
    ['compression: gzip', `encryption: { keyFrom: { env: KEY }, olderKeys: [${hexKey}] }`, hexKey],
    [
      '{ directory: /backup }',
      '{ s3: { bucket: abc, credentialsFrom: { env: { accessKeyId: A, secretAccessKey: "wJalr/hunter2" } } } }',
      'hunter2',
    ],
  ])('never shows a secret that stands in the place of its name: %s -> %s', (from, to, secret) => {
    const message = refusal(from, to);
    expect(message).toContain('not shown');
    expect(message).not.toContain(secret);
    expect(message).not.toContain(secret.slice(0, 20));
  });

  test('that is no UTF-8 is refused as such', () => {
    const utf16 = Buffer.from(POLICY, 'utf16le').toString('utf8');
    expect(() => parseBackupPolicy(utf16, { source: 'backup.yaml' })).toThrow(
      'backup.yaml: is not text in UTF-8; save it as UTF-8',
    );
  });

  test('applied anew says what changed, field by field', () => {
    const changed = parseBackupPolicy(
      POLICY.replace('days: 7', 'days: 3').replace('  drill: { every: 1d }\n', ''),
    );
    expect(changedLines(parseBackupPolicy(POLICY), changed)).toEqual([
      'spec.retention.days: 7 -> 3',
      'spec.drill: {"every":"1d","into":null} -> none',
    ]);
    expect(changedLines(changed, changed)).toEqual([]);
  });

  test('whose alarm rings between two runs, or that has neither alarm nor drill, is accepted with a word', () => {
    const now = Date.parse('2026-11-24T12:00:00Z');
    const notesOn = (from: string, to: string) =>
      policyNotes(parseBackupPolicy(POLICY.replace(from, to)), now);
    expect(notesOn('26h', '26h')).toEqual([]);
    expect(notesOn('26h', '2h')).toEqual([expect.stringContaining('it will ring without need')]);
    expect(notesOn('  alarm: { noVerifiedBackupFor: 26h }\n', '')).toEqual([
      expect.stringContaining('there is no alarm'),
    ]);
    expect(notesOn('  drill: { every: 1d }\n', '')).toEqual([expect.stringContaining('there is no drill')]);
  });
});

describe('settings', () => {
  const secret = { data: { 'mongo-password': Buffer.from("p@ss/w:rd'\n").toString('base64') } };
  const from = (env: Record<string, string> = {}) => ({ env, kube: { get: async () => secret as never } });

  test('a password of a Secret is escaped into the connection string', async () => {
    const uriFrom = {
      secret: {
        namespace: 'e',
        name: 'app-secrets',
        key: 'mongo-password',
        host: 'db-0.db:27017',
        username: 'ad min',
        authSource: 'admin',
      },
    };
    const uri = await resolveUri(uriFrom, from());
    expect(uri).toBe("mongodb://ad%20min:p%40ss%2Fw%3Ard'@db-0.db:27017/?authSource=admin");
  });

  test('what is missing is named, what is wrong is not shown', async () => {
    await expect(resolveUri({ env: 'NOPE' }, from())).rejects.toThrow(
      'environment variable NOPE of the worker is not set',
    );
    await expect(resolveUri({ env: 'X' }, from({ X: 'hunter2' }))).rejects.toThrow(
      /^environment variable X of the worker: a connection string beginning with mongodb/,
    );
    const policy = parseBackupPolicy(`${POLICY}  encryption: { keyFrom: { env: KEY } }\n`);
    await expect(resolveKey(policy, from({ KEY: 'hunter2' }))).rejects.toThrow(/32 bytes are needed/);
    await expect(resolveKey(policy, from({ KEY: 'hunter2' }))).rejects.not.toThrow(/hunter2/);
    await expect(
      resolveUri({ secret: { namespace: 'e', name: 'n', key: 'k' } }, { env: {}, kube: null }),
    ).rejects.toThrow('Secret e/n: this worker has no cluster');
  });
});

describe('a failure', () => {
  const typeOf = (error: unknown, attempt = 1) => {
    const failure = backupFailureOf(error, attempt) as ApplicationFailure;
    return [failure.type, failure.nonRetryable] as const;
  };

  test('of credentials is final, of the network is not, of space is after three tries', () => {
    expect(typeOf(new MongoServerError({ message: 'Authentication failed.', code: 18 }))).toEqual([
      'SourceRefused',
      true,
    ]);
    expect(typeOf(new Error('socket hang up'))).toEqual(['Error', false]);
    const full = new Error('write: no space left', {
      cause: Object.assign(new Error('x'), { code: 'ENOSPC' }),
    });
    expect(typeOf(full)).toEqual(['DestinationFull', false]);
    expect(typeOf(full, 3)).toEqual(['DestinationFull', true]);
    expect(typeOf(Object.assign(new Error('incorrect data check'), { code: 'Z_DATA_ERROR' }), 2)).toEqual([
      'ArchiveDamaged',
      true,
    ]);
  });

  test('of a missing setting or backup is final: somebody has to act', () => {
    expect(typeOf(new SettingMissingError('X is not set'))).toEqual(['SettingMissing', true]);
    expect(typeOf(new BackupUnknownError('no verified backup'))).toEqual(['BackupUnknown', true]);
  });

  test('of a wrong key is final and not called damage: the archive may be whole', () => {
    const wrong = new WrongKeyError('dump-1: encrypted with key aa, the key given is bb');
    expect(typeOf(wrong)).toEqual(['SettingMissing', true]);
    expect((backupFailureOf(wrong, 1) as Error).message).toBe(wrong.message);
    expect(typeOf(new EncryptionError('chunk 3 was changed'), 2)).toEqual(['ArchiveDamaged', true]);
  });

  test('of S3 without any credentials ends after three tries, with what to set', () => {
    const lost = Object.assign(new Error('Could not load credentials from any providers'), {
      name: 'CredentialsProviderError',
    });
    expect(typeOf(lost)).toEqual(['SettingMissing', false]);
    expect(typeOf(lost, 3)).toEqual(['SettingMissing', true]);
    expect((backupFailureOf(lost, 3) as Error).message).toContain('name them in credentialsFrom');
  });

  test('never shows a password', () => {
    const failure = backupFailureOf(new Error('cannot reach mongodb://app:hunter2@db:27017/'), 1) as Error;
    expect(failure.message).toBe('cannot reach mongodb://[secret]@db:27017/');
  });
});

describe('names, sizes and spans', () => {
  test('a backup is named after its planned time, in UTC', () => {
    expect(backupIdAt(new Date('2026-11-23T02:00:00+01:00'))).toBe('dump-20261123-010000');
  });

  test('read as people write them', () => {
    expect([0, 999, 1_000, 999_600, 1.5e9].map(bytesText)).toEqual([
      '0 B',
      '999 B',
      '1.00 kB',
      '1.00 MB',
      '1.50 GB',
    ]);
    expect([5, 1_500, 90_000].map(durationText)).toEqual(['5ms', '1.5s', '1m30s']);
  });

  test('a drill is due when none was, when the last is old, and when it lies in the future', () => {
    const now = Date.parse('2026-11-23T12:00:00Z');
    const day = 86_400_000;
    expect(drillDue(day, null, now)).toBe(true);
    expect(drillDue(day, '2026-11-22T13:00:00Z', now)).toBe(false);
    expect(drillDue(day, '2026-11-22T12:00:00Z', now)).toBe(true);
    expect(drillDue(day, '2036-01-01T00:00:00Z', now)).toBe(true);
  });
});

describe('the CronJob', () => {
  const job = parseBackupPolicy(
    POLICY.replace(
      '{ env: MONGODB_URI }',
      "{ secret: { namespace: e, name: app-secrets, key: mongo-password, host: mongodb-0.mongodb, username: 'o''brien' } }",
    )
      .replace('{ directory: /backup }', '{ job: { namespace: e, image: "mongo:6.0", pvc: backup-pvc } }')
      .replace('  drill: { every: 1d }\n', ''),
  );

  test("is the seed's, hardened: no password in an argument, no root, nothing writable but the volume", () => {
    const { spec } = cronJob(job) as { spec: Record<string, never> };
    const text = JSON.stringify(spec);
    expect(spec).toMatchObject({
      schedule: '0 2 * * *',
      timeZone: 'Europe/Berlin',
      concurrencyPolicy: 'Forbid',
      successfulJobsHistoryLimit: 3,
    });
    expect(text).toContain('"readOnlyRootFilesystem":true');
    expect(text).toContain('"runAsNonRoot":true');
    expect(text).not.toContain('--password');
    expect(text).toContain(`--username='o'\\\\''brien'`);
  });

  test('is refused where it would delete what the policy keeps', () => {
    const monthly = { ...job, spec: { ...job.spec, retention: { days: 7, monthly: 12, keepAtLeast: 3 } } };
    expect(() => cronJob(monthly)).toThrow('spec.retention.monthly: the plain CronJob keeps by days, last');
  });

  test('is only for a policy with destination.job', () => {
    expect(() => cronJob(parseBackupPolicy(POLICY))).toThrow('spec.destination: found no job');
  });
});

describe('the catalog at a destination', () => {
  let directory: string;
  let storage: DirectoryStorage;
  const policy = (): BackupPolicy =>
    parseBackupPolicy(POLICY.replace('days: 7, keepAtLeast: 3', 'last: 1, keepAtLeast: 1'));
  const now = Date.parse('2026-11-23T12:00:00Z');
  const clocks = [{ name: 'a test', time: now }];

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'slipway-catalog-'));
    storage = new DirectoryStorage(directory);
  });
  afterEach(() => rm(directory, { recursive: true }));

  async function backup(id: string, owner = 'ecommerce-mongodb', run = 'x'): Promise<void> {
    const day = id.slice(5, 13).replace(/(\d{4})(\d\d)(\d\d)/, '$1-$2-$3');
    const at = `${day}T02:00:00.000Z`;
    const manifest = manifestSchema.parse({
      kind: 'slipway-backup',
      version: 1,
      id,
      policy: owner,
      owner: run,
      archive: {
        name: `${id}.gz`,
        size: 4,
        sha256: 'a'.repeat(64),
        compression: 'gzip',
        preludeSha256: 'a'.repeat(64),
      },
      source: { serverVersion: '6.0.5', topology: 'replicaSet' },
      consistency: { kind: 'snapshot', clusterTime: { t: Date.parse(at) / 1_000, i: 1 }, except: [] },
      namespaces: [],
      documents: 0,
      bytes: 0,
      warnings: [],
      startedAt: at,
      storedAt: at,
      verifiedAt: at,
      toolVersion: 'test',
    });
    await storage.write(`${id}.gz`, 'dump');
    await storage.write(`${id}.manifest.json`, JSON.stringify(manifest));
  }

  const ids = ['dump-20261120-020000', 'dump-20261121-020000', 'dump-20261122-020000'];

  test('the backup meant is the latest, the named one, or the last before a time', async () => {
    for (const id of ids) await backup(id);
    const chosen = async (choice: Parameters<typeof chooseBackup>[2]) =>
      (await chooseBackup(storage, 'ecommerce-mongodb', choice)).id;
    expect(await chosen({ latest: true })).toBe(ids[2]);
    expect(await chosen({ id: `${ids[0]}.gz` })).toBe(ids[0]);
    expect(await chosen({ at: '2026-11-22T01:59:59Z' })).toBe(ids[1]);
    await expect(chosen({ id: 'dump-1' })).rejects.toThrow(
      /no verified backup dump-1 of policy ecommerce-mongodb .*; the newest are dump-20261122/,
    );
    await expect(chosen({ at: '2020-01-01T00:00:00Z' })).rejects.toThrow('of 2020-01-01T00:00:00Z or before');
  });

  test('the latest is never what a restore has replaced: after a first restore of a broken database a second one brings the same data', async () => {
    const [good = '', bad = ''] = ids;
    await backup(good);
    await backup(bad, 'ecommerce-mongodb', 'restore.ecommerce-mongodb-2026-11-21T02:00:00Z.before/run');
    const chosen = async (choice: Parameters<typeof chooseBackup>[2]) =>
      (await chooseBackup(storage, 'ecommerce-mongodb', choice)).id;
    expect(await chosen({ latest: true })).toBe(good);
    expect(await chosen({ id: bad })).toBe(bad);
    expect(madeBefore({ owner: 'backup.ecommerce-mongodb-2026-11-21T02:00:00Z/run' })).toBeNull();
  });

  test('the latest is not one that a clock ahead of its time has dated, but that one can be named', async () => {
    const [good = ''] = ids;
    await backup(good);
    await backup('dump-29991231-020000');
    const chosen = async (choice: Parameters<typeof chooseBackup>[2]) =>
      (await chooseBackup(storage, 'ecommerce-mongodb', choice)).id;
    expect(await chosen({ latest: true })).toBe(good);
    expect(await chosen({ id: 'dump-29991231-020000' })).toBe('dump-29991231-020000');
  });

  test('a hold keeps retention away until it is released or over', async () => {
    for (const id of ids) await backup(id);
    const [first = '', second = ''] = ids;
    await hold(storage, first, { claimant: 'restore of ann', until: '2026-11-24T00:00:00Z' });
    await hold(storage, second, { claimant: 'restore of bob', until: '2026-11-23T11:00:00Z' });
    expect((await prune(storage, policy(), clocks)).deleted).toEqual([second]);
    await releaseHold(storage, first, 'restore of ann');
    expect((await prune(storage, policy(), clocks)).deleted).toEqual([first]);
    expect((await readdir(directory)).sort()).toEqual([`${ids[2]}.gz`, `${ids[2]}.manifest.json`]);
  });

  test('prune leaves alone what is another policy’s, damaged or somebody else’s, and links', async () => {
    for (const id of ids) await backup(id);
    await backup('dump-20200101-020000', 'other');
    await writeFile(join(directory, 'dump-20190101-020000.gz'), 'made by mongodump');
    await writeFile(join(directory, 'dump-20190102-020000.manifest.json'), '{');
    await symlink('/etc/hostname', join(directory, 'dump-20190103-020000.gz'));
    const before = (await readdir(directory)).sort();
    const { deleted } = await prune(storage, policy(), clocks);
    expect(deleted.sort()).toEqual(ids.slice(0, 2));
    const gone = before.filter((name) => ids.slice(0, 2).some((id) => name.startsWith(id)));
    expect((await readdir(directory)).sort()).toEqual(before.filter((name) => !gone.includes(name)));
  });

  test('a drill record goes with its backup, and the last one counts', async () => {
    for (const id of ids) await backup(id);
    const record = {
      backup: ids[0] ?? '',
      passed: true,
      into: 'x',
      restoreMs: 5,
      namespaces: 1,
      documents: 1,
      bytes: 1,
      differences: [],
      reason: null,
      at: '2026-11-20T03:00:00Z',
    };
    await recordDrill(storage, record);
    await recordDrill(storage, { ...record, passed: false });
    expect((await drillRecords(storage, ids)).get(ids[0] ?? '')).toMatchObject({ passed: false });
    await prune(storage, policy(), clocks);
    expect((await readdir(directory)).some((name) => name.includes('drill'))).toBe(false);
  });
});
