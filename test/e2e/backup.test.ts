import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import type { Db } from 'mongodb';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RunRef } from '../../src/client/backup.ts';
import { scheduleOptions } from '../../src/client/backup/schedule-spec.ts';
import type { DrillStatus } from '../../src/domain/backup/drill.types.ts';
import type { RestoreInput, RestoreStatus } from '../../src/domain/backup/restore.types.ts';
import type { BackupStatus } from '../../src/domain/backup/types.ts';
import { runsBetween, scheduleTimes } from '../../src/domain/backup/schedule.ts';
import type { BackupPolicy } from '../../src/specs/backup.types.ts';
import { restoreOf } from '../restore-input.ts';
import { BackupLab, SECRET } from './backup.support.ts';
import { eventually } from './support/eventually.ts';

const DAY = 86_400_000;

let lab: BackupLab;
let temporal: Client;

beforeAll(async () => {
  lab = await BackupLab.open();
  temporal = new Client({ connection: await Connection.connect({ address: lab.temporal.address }) });
  await lab.mongo.use(async (client) => {
    const shop = client.db('shop');
    await shop
      .collection('orders')
      .insertMany(Array.from({ length: 500 }, (_, i) => ({ _id: i as never, total: i * 1.5 })));
    await shop.collection('orders').createIndex({ total: 1 });
    await shop.collection('products').insertMany([{ sku: 'a' }, { sku: 'b' }]);
    // About 40 MB that do not compress, so that a limit makes a dump last.
    const noise = client.db('big').collection('noise');
    for (let i = 0; i < 20; i++) {
      await noise.insertMany(
        Array.from({ length: 20 }, () => ({
          bytes: Buffer.from(crypto.getRandomValues(new Uint8Array(65_000))),
          more: crypto.getRandomValues(new Uint8Array(35_000)),
        })),
      );
    }
  });
});

afterAll(async () => {
  await temporal?.connection.close();
  await lab?.close();
});

const end = (ref: RunRef, timeoutMs = 120_000) =>
  lab.client.backups.follow<BackupStatus>(ref, { pollMs: 200, timeoutMs });
const take = async (policy: BackupPolicy) => await end(await lab.client.backups.run(policy, 'ann'));
const phase = (ref: RunRef, wanted: string) =>
  eventually(`${ref.id} is ${wanted}`, async () => {
    const view = await lab.client.backups.view<BackupStatus | RestoreStatus>(ref);
    return view.status?.phase === wanted && view;
  });
/** A dump under way that has read something. */
const dumping = (ref: RunRef) =>
  eventually(`${ref.id} dumps`, async () => {
    const { progress } = await lab.client.backups.view<BackupStatus>(ref);
    return progress?.stage === 'dumping' && progress.bytes > 0 && progress;
  });
const files = async (directory = lab.directory) => (await readdir(directory)).sort();
const slow = '  throttle: { mbPerSecond: 1 }';

const restored = async (input: RestoreInput) =>
  await lab.client.backups.follow<RestoreStatus>(await lab.client.backups.startRestore(input), {
    pollMs: 200,
    timeoutMs: 120_000,
  });

async function folder(): Promise<string> {
  return await mkdtemp(join(tmpdir(), 'slipway-backup-'));
}

describe('the schedule of a policy, as the real server understands it', () => {
  test.each([
    ['Europe/Berlin', '02:00'],
    ['America/New_York', '01:30'],
    ['Australia/Lord_Howe', '02:15'],
  ])('runs exactly once every local day of a year in %s at %s', async (timezone, at) => {
    const policy = lab.policy('days');
    policy.spec.schedule = { at, timezone };
    const from = Date.parse('2026-01-01T12:00:00Z');
    const to = from + 365 * DAY;
    const options = {
      ...scheduleOptions(policy, from),
      scheduleId: `days-${timezone}`,
      state: { paused: true },
    };
    const handle = await temporal.schedule.create(options);
    const matching = await temporal.workflowService.listScheduleMatchingTimes({
      namespace: 'default',
      scheduleId: handle.scheduleId,
      startTime: { seconds: (from / 1_000) as never },
      endTime: { seconds: (to / 1_000) as never },
    });
    const days = (matching.startTime ?? []).map(({ seconds }) =>
      new Date(Number(seconds) * 1_000).toLocaleDateString('sv', { timeZone: timezone }),
    );
    expect(days).toHaveLength(365);
    expect(new Set(days).size).toBe(365);
    expect((matching.startTime ?? []).map(({ seconds }) => Number(seconds) * 1_000)).toEqual(
      runsBetween(scheduleTimes(policy.spec.schedule, from), from, to),
    );
  });

  test('is created, changed, paused, described and deleted by commands', async () => {
    const file = join(lab.directory, '..', `policy-${process.pid}.json`);
    const policy = lab.policy('declared');
    await writeFile(file, JSON.stringify(policy));
    expect((await lab.cli(['backup', 'apply', '-f', file])).out).toContain('Backup policy declared created.');
    expect((await lab.cli(['backup', 'pause', 'declared', '--why', 'migration'])).code).toBe(0);
    policy.spec.retention = { days: 3, keepAtLeast: 1 };
    await writeFile(file, JSON.stringify(policy));
    expect((await lab.cli(['backup', 'apply', '-f', file])).out).toContain('updated');
    const described = await lab.client.backups.describe('declared');
    expect(described).toMatchObject({
      paused: true,
      policy: { spec: { retention: { days: 3, keepAtLeast: 1 } } },
    });
    expect((await lab.cli(['backup', 'policies'])).out).toMatch(/declared +paused/);
    expect((await lab.cli(['backup', 'delete', 'declared', '--yes'])).code).toBe(0);
    const gone = await lab.cli(['backup', 'describe', 'declared']);
    expect(gone).toMatchObject({ code: 1 });
    expect(gone.err).toContain('there is no backup policy declared');
    await rm(file);
  });

  test('that is triggered makes a backup named after its planned time', async () => {
    const policy = lab.policy('triggered');
    await lab.client.backups.apply(policy);
    await temporal.schedule.getHandle('backup.triggered').trigger();
    const [ref] = await eventually('the run is there', async () => {
      const { recent } = await lab.client.backups.describe('triggered');
      return recent.length > 0 && recent;
    });
    const { status } = await end({ id: ref?.id ?? '', run: null });
    expect(status).toMatchObject({ outcome: 'verified', trigger: 'schedule' });
    const stem = status?.scheduledAt.slice(0, 19).replaceAll(/[-:]/g, '').replace('T', '-');
    expect(status?.result?.archive).toMatch(new RegExp(`^dump-${stem}(-2)?\\.gz$`));
    await lab.client.backups.delete('triggered');
  });
});

describe('a backup', () => {
  test('is proven, drilled, listed and verified, and its drill leaves no database behind', async () => {
    const directory = await folder();
    const policy = lab.policy('whole', { directory, spec: '  drill: { every: 1d }' });
    const { status } = await take(policy);
    expect(status).toMatchObject({
      outcome: 'verified',
      problems: [],
      drill: { phase: 'passed', documents: 502 },
      result: { documents: 502 },
    });
    expect(status?.result?.consistency).toMatch(/^snapshot at /);
    expect((await lab.mongo.databases()).filter((name) => name.startsWith('slipway_drill_'))).toEqual([]);
    const listed = await lab.cli(['backup', 'list', '--directory', directory], {
      TEMPORAL_ADDRESS: '127.0.0.1:1',
    });
    expect(listed.out).toMatch(/dump-\d{8}-\d{6} +verified .* passed in/);
    expect((await lab.cli(['backup', 'verify', '--directory', directory])).out).toContain('whole');
    const again = await take(policy);
    expect(again.status?.drill).toBeNull();
  });

  test('puts no secret into a history, a log or a manifest', async () => {
    const view = await take(lab.policy('quiet'));
    const history = await temporal.workflow.getHandle(view.id).fetchHistory();
    const text = JSON.stringify(history, (key, value: unknown) =>
      key === 'data' && typeof value === 'string' ? Buffer.from(value, 'base64').toString() : value,
    );
    expect(text).toContain('MONGODB_URI');
    expect(text).not.toContain(SECRET);
    expect(lab.workers.map(({ output }) => output).join('')).not.toContain(SECRET);
    expect(
      (await lab.cli(['backup', 'show', 'latest', '--directory', lab.directory, '-o', 'json'])).out,
    ).not.toContain(SECRET);
  });

  test('whose worker is killed leaves nothing that looks whole, and ends verified on the next worker', async () => {
    const directory = await folder();
    const ref = await lab.client.backups.run(
      lab.policy('killed', { directory, databases: 'big', spec: slow }),
      'ann',
    );
    await dumping(ref);
    await lab.killWorkers();
    expect(
      (await files(directory)).filter((name) => !name.startsWith('.') && !name.endsWith('.running.json')),
    ).toEqual([]);
    await lab.worker();
    // A limit that was set while the worker was down reaches the next attempt.
    await lab.client.backups.throttle(ref, { mbPerSecond: null, by: 'ann' });
    const { status } = await end(ref);
    expect(status?.outcome).toBe('verified');
    const stem = status?.result?.id ?? '';
    expect(await files(directory)).toEqual([`${stem}.gz`, `${stem}.manifest.json`]);
  });

  test('that is too slow is made faster while it runs', async () => {
    const ref = await lab.client.backups.run(lab.policy('faster', { databases: 'big', spec: slow }), 'ann');
    await dumping(ref);
    const out = await lab.cli(['backup', 'throttle', 'faster', '--mb-per-second', 'none']);
    expect(out).toMatchObject({ code: 0, err: '' });
    const { status } = await end(ref);
    // At 1 MB/s its 40 MB would have taken longer.
    expect(status?.result?.dumpMs).toBeLessThan(38_000);
  });

  test('survives a mongod that is killed and comes back', async () => {
    const directory = await folder();
    const ref = await lab.client.backups.run(
      lab.policy('restarted', { directory, databases: 'big', spec: slow }),
      'ann',
    );
    await dumping(ref);
    await lab.mongo.kill();
    await lab.client.backups.throttle(ref, { mbPerSecond: null, by: 'ann' });
    await lab.mongo.up();
    await lab.mongo.primary();
    const { status } = await end(ref);
    expect(status).toMatchObject({ outcome: 'verified', result: { documents: 400 } });
    expect(await files(directory)).toHaveLength(2);
  });

  test('onto a full disk fails, says so, and leaves the disk as it was', async () => {
    const directory = await folder();
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', directory], { stdio: 'ignore' });
    } catch {
      return expect.soft(process.getuid?.(), 'only root can make a small file system').not.toBe(0);
    }
    try {
      const view = await take(lab.policy('full', { directory, databases: 'big' }));
      expect(view.execution).toBe('FAILED');
      expect(view.status?.reason).toMatch(/no space left/i);
      expect(await files(directory)).toEqual([]);
    } finally {
      execFileSync('umount', [directory]);
    }
  });

  test('that is cancelled removes what it had written', async () => {
    const directory = await folder();
    const ref = await lab.client.backups.run(
      lab.policy('cancelled', { directory, databases: 'big', spec: slow }),
      'ann',
    );
    await dumping(ref);
    await lab.client.backups.cancel(ref);
    expect((await end(ref)).execution).toBe('CANCELLED');
    expect(await files(directory)).toEqual([]);
  });

  test('without its variable or its directory fails with the name of what is missing', async () => {
    const policy = lab.policy('missing');
    policy.spec.source.uriFrom = { env: 'NOT_SET_ANYWHERE' };
    expect((await take(policy)).status?.reason).toBe(
      'environment variable NOT_SET_ANYWHERE of the worker is not set',
    );
    const nowhere = join(lab.directory, 'not-mounted');
    expect((await take(lab.policy('nowhere', { directory: nowhere }))).status?.reason).toContain(nowhere);
  });

  test('of a database that is gone or misspelt is none: it fails, and older backups stay the newest', async () => {
    const policy = lab.policy('gone', { databases: 'vanishing' });
    const database = <T>(work: (db: Db) => Promise<T>) =>
      lab.mongo.use(async (client) => await work(client.db('vanishing')));
    await database((db) => db.collection('things').insertOne({ a: 1 }));
    const { status: good } = await take(policy);
    expect(good?.outcome).toBe('verified');
    await database((db) => db.dropDatabase());
    const { status } = await take(policy);
    expect(status).toMatchObject({ outcome: 'failed', result: null });
    expect(status?.reason).toMatch(
      /^the server has no database vanishing, which the policy names; it has .*big.*\. Is it gone, or misspelt\? Older backups stay$/,
    );
    const { status: back } = await restored(restoreOf(policy));
    expect(back).toMatchObject({ outcome: 'restored', plan: { archive: good?.result?.id } });
    expect(await database((db) => db.collection('things').countDocuments())).toBe(1);
  });

  test('is throttled by the name of its policy, and no other whose name begins alike', async () => {
    const ref = await lab.client.backups.run(lab.policy('near-eu', { databases: 'big', spec: slow }), 'ann');
    await dumping(ref);
    expect(await lab.client.backups.running('near')).toEqual([]);
    expect((await lab.client.backups.running('near-eu')).map(({ id }) => id)).toEqual([ref.id]);
    await lab.client.backups.cancel(ref);
    await end(ref);
    await expect(lab.client.backups.cancel(ref)).rejects.toThrow(`${ref.id} has ended already: cancelled`);
    expect(await lab.client.backups.runs('near-eu')).toMatchObject([
      { id: ref.id, execution: 'CANCELLED', phase: 'cancelled' },
    ]);
  });

  test('of one server never runs beside another, and a holder that is terminated leaves no lock', async () => {
    const holder = await lab.client.backups.run(
      lab.policy('holder', { databases: 'big', spec: slow }),
      'ann',
    );
    await dumping(holder);
    const next = await lab.client.backups.run(lab.policy('next'), 'ann');
    await phase(next, 'waiting');
    await temporal.workflow.getHandle(holder.id).terminate('a test');
    expect((await end(next)).status?.outcome).toBe('verified');
  });

  test('that is old enough is deleted by the next one, and only then', async () => {
    const directory = await folder();
    const policy = lab.policy('pruned', { directory, spec: '  retention: { last: 2, keepAtLeast: 1 }' });
    await writeFile(join(directory, 'dump-20200101-000000.gz'), 'made by somebody else');
    const taken: string[] = [];
    for (let i = 0; i < 3; i++) taken.push((await take(policy)).status?.result?.id ?? '');
    const left = (await files(directory)).filter((name) => name.endsWith('.manifest.json'));
    expect(left).toEqual(
      taken
        .slice(1)
        .map((id) => `${id}.manifest.json`)
        .sort(),
    );
    expect(await files(directory)).toContain('dump-20200101-000000.gz');
    const file = join(directory, '..', `pruned-${process.pid}.json`);
    await writeFile(file, JSON.stringify(policy));
    const dry = await lab.cli(['backup', 'prune', '-f', file, '--dry-run']);
    expect(dry.out).toMatch(/the newest verified backup/);
    expect(dry.out).toMatch(/dump-20200101-000000\.gz +keep +not made by Slipway: no manifest/);
    await rm(file);
  });
});

describe('a restore', () => {
  test('brings a dropped collection back as it was, indexes too', async () => {
    const policy = lab.policy('dropped');
    await take(policy);
    const before = await lab.mongo.hashes('shop');
    await lab.mongo.use((client) => client.db('shop').dropCollection('orders'));
    const file = join(lab.directory, '..', `restore-${process.pid}.json`);
    await writeFile(file, JSON.stringify(policy));
    const done = await lab.cli(['restore', '-f', file, '--collection', 'shop.orders', '--wait']);
    expect(done).toMatchObject({ code: 0 });
    expect(await lab.mongo.hashes('shop')).toEqual(before);
    const indexes = await lab.mongo.use((client) => client.db('shop').collection('orders').indexes());
    expect(indexes.map(({ name }) => name)).toEqual(['_id_', 'total_1']);
    await rm(file);
  });

  test('that would replace data waits for an approval, and backs up before', async () => {
    const policy = lab.policy('replaced');
    await take(policy);
    const before = await lab.mongo.hashes('shop');
    await lab.mongo.use((client) => client.db('shop').collection('products').insertOne({ sku: 'wrong' }));
    const ref = await lab.client.backups.startRestore(restoreOf(policy, { backupBefore: policy }));
    await phase(ref, 'awaiting-approval');
    expect(
      (await lab.cli(['restore', 'approve', ref.id, '--why', 'the import went wrong', '--by', 'bob'])).code,
    ).toBe(0);
    const { status } = await lab.client.backups.follow<RestoreStatus>(ref, {
      pollMs: 200,
      timeoutMs: 60_000,
    });
    expect(status).toMatchObject({ outcome: 'restored', approval: { by: 'bob' } });
    expect(status?.backupBefore).toMatch(/^dump-/);
    expect(await lab.mongo.hashes('shop')).toEqual(before);
  });

  test('under another name leaves what is there alone', async () => {
    const policy = lab.policy('renamed');
    await take(policy);
    const before = await lab.mongo.hashes('shop');
    const selection = { rename: [{ from: 'shop.*', to: 'shop_copy.*' }] };
    expect((await restored(restoreOf(policy, { selection }))).status).toMatchObject({
      outcome: 'restored',
      plan: { replaced: 0 },
    });
    expect(await lab.mongo.hashes('shop_copy')).toEqual(before);
    expect(await lab.mongo.hashes('shop')).toEqual(before);
  });

  test('whose worker is killed ends restored on the next worker, with nothing left behind', async () => {
    const policy = lab.policy('resumed', { databases: 'big' });
    await take(policy);
    const before = await lab.mongo.hashes('big');
    const selection = { rename: [{ from: 'big.*', to: 'big_again.*' }] };
    const ref = await lab.mongo.whenStaged(
      'big_again',
      () => lab.client.backups.startRestore(restoreOf(policy, { selection })),
      () => lab.killWorkers(),
    );
    await lab.worker();
    const { status } = await lab.client.backups.follow<RestoreStatus>(ref, {
      pollMs: 200,
      timeoutMs: 120_000,
    });
    expect(status?.outcome).toBe('restored');
    expect(await lab.mongo.hashes('big_again')).toEqual(before);
    expect((await files()).filter((name) => name.includes('.hold-'))).toEqual([]);
  });

  test('of a damaged archive touches nothing', async () => {
    const directory = await folder();
    const policy = lab.policy('damaged', { directory });
    const { status: taken } = await take(policy);
    const archive = join(directory, taken?.result?.archive ?? '');
    const { open } = await import('node:fs/promises');
    const file = await open(archive, 'r+');
    await file.write(Buffer.from([0xff, 0x00, 0xff]), 0, 3, 200);
    await file.close();
    const before = await lab.mongo.hashes('shop');
    const view = await restored(restoreOf(policy, { approved: true }));
    expect(view.execution).toBe('FAILED');
    expect(await lab.mongo.hashes('shop')).toEqual(before);
    const ref = await lab.client.backups.startDrill(policy, taken?.result?.id ?? '', 'ann');
    const drill = await lab.client.backups.follow<DrillStatus>(ref, { pollMs: 200, timeoutMs: 60_000 });
    expect(drill.status?.phase).toBe('failed');
  });

  test("reads the real mongodump's archive", async () => {
    const archive = join(await folder(), 'shop.archive.gz');
    const { copyFile } = await import('node:fs/promises');
    await copyFile(new URL('../fixtures/mongodump/shop.archive.gz', import.meta.url), archive);
    await mkdir(join(lab.directory, '..'), { recursive: true });
    const done = await lab.cli([
      'restore',
      '--archive',
      archive,
      '--into-env',
      'MONGODB_URI',
      '--ns-from',
      'shop.*',
      '--ns-to',
      'theirs.*',
      '--wait',
    ]);
    expect(done).toMatchObject({ code: 0 });
    expect(Object.keys(await lab.mongo.hashes('theirs'))).toContain('orders');
  });
});
