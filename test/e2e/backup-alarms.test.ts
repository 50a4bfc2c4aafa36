/** The alarms of backups as a person on call gets them: real workers, a real Prometheus with the shipped rules, a real Alertmanager. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { allocatePorts } from '../../lab/ports.ts';
import { backupScheduleId } from '../../src/domain/backup/names.ts';
import type { DrillStatus } from '../../src/domain/backup/drill.types.ts';
import type { BackupStatus } from '../../src/domain/backup/types.ts';
import type { BackupPolicy } from '../../src/specs/backup.types.ts';
import { BackupLab } from './backup.support.ts';
import { AlarmRoom } from './support/alarm-room.ts';
import { eventually } from './support/eventually.ts';

/** A worker sees within a minute what was applied, and the age counts a minute from there or a little before. */
const RINGS_WITHIN_MS = 180_000;

let lab: BackupLab;
let room: AlarmRoom;
let temporal: Client;

beforeAll(async () => {
  const { metrics } = await allocatePorts(['metrics'], {});
  lab = await BackupLab.open({ worker: { SLIPWAY_METRICS_ADDRESS: `127.0.0.1:${metrics}` } });
  room = await AlarmRoom.open([`127.0.0.1:${metrics}`]);
  temporal = new Client({ connection: await Connection.connect({ address: lab.temporal.address }) });
  await lab.mongo.use((client) => client.db('bank').collection('accounts').insertOne({ balance: 1 }));
});
afterEach(async ({ task }) => {
  if (task.result?.state !== 'fail') return;
  const said = [
    JSON.stringify(await firing()),
    room.output,
    ...lab.workers.map(({ output }) => output.slice(-4_000)),
  ];
  process.stderr.write(`${said.join('\n')}\n`);
});
afterAll(async () => {
  await temporal?.connection.close();
  await room?.close();
  await lab?.close();
});

const firing = async () =>
  (await room.firing()).map(({ labels }) => `${labels['alertname']} ${labels['policy'] ?? ''}`.trim()).sort();
const rings = (alarm: string) =>
  eventually(`${alarm} rings`, async () => (await firing()).includes(alarm), RINGS_WITHIN_MS);
const isSilent = (alarm: string) =>
  eventually(`${alarm} is silent`, async () => !(await firing()).includes(alarm), RINGS_WITHIN_MS);

/** With the shortest alarm that a policy may have. */
async function declared(name: string, databases: string, more = '', alarm = '1m'): Promise<BackupPolicy> {
  const directory = join(lab.directory, name);
  await mkdir(directory, { recursive: true });
  const policy = lab.policy(name, {
    databases,
    directory,
    spec: `  alarm: { noVerifiedBackupFor: ${alarm} }\n${more}`,
  });
  // Not while this test runs, whenever that is.
  policy.spec.schedule = { cron: '0 0 29 2 *', timezone: 'UTC' };
  await lab.client.backups.apply(policy);
  return policy;
}

async function run(policy: BackupPolicy): Promise<BackupStatus | null> {
  const ref = await lab.client.backups.run(policy, 'ann');
  return (await lab.client.backups.follow<BackupStatus>(ref, { pollMs: 200, timeoutMs: 120_000 })).status;
}

test('a policy whose backups fail, one that has never run, and one whose schedule is gone ring, and one after the other falls silent', async () => {
  const failing = await declared('failing', 'shop');
  await declared('never-run', 'bank');
  const gone = await declared('schedule-gone', 'bank');
  expect(await run(failing)).toMatchObject({ outcome: 'failed' });
  expect(await run(gone)).toMatchObject({ outcome: 'verified' });
  // Only a policy that a worker has seen can be missed.
  await rings('NoVerifiedBackup never-run');
  await rings('NoVerifiedBackup failing');
  const [alarm] = (await room.firing()).filter(({ labels }) => labels['policy'] === 'failing');
  expect(alarm).toMatchObject({
    labels: { severity: 'critical' },
    annotations: { summary: expect.stringMatching(/^Policy failing has had no verified backup for 1m/) },
  });

  await temporal.schedule.getHandle(backupScheduleId('schedule-gone')).delete();
  await lab.mongo.use((client) => client.db('shop').collection('orders').insertOne({ total: 1 }));
  expect(await run(failing)).toMatchObject({ outcome: 'verified' });
  await isSilent('NoVerifiedBackup failing');
  await rings('BackupPolicyGone schedule-gone');
  await rings('NoVerifiedBackup schedule-gone');

  const meant = await lab.cli(['backup', 'delete', 'schedule-gone', '--yes']);
  expect(meant.err).toContain('Then its alarms end now');
  expect((await lab.cli(['backup', 'delete', 'never-run', '--yes'])).code).toBe(0);
  await isSilent('BackupPolicyGone schedule-gone');
  await isSilent('NoVerifiedBackup schedule-gone');
  await isSilent('NoVerifiedBackup never-run');
});

test('a drill that fails rings until one passes', async () => {
  const policy = await declared('drilled', 'bank');
  const taken = await run(policy);
  const { id = '', archive = '' } = taken?.result ?? {};
  const file = join(lab.directory, 'drilled', archive);
  const whole = await readFile(file);
  const damaged = Buffer.from(whole);
  damaged.writeUInt8((damaged.at(-20) ?? 0) ^ 1, damaged.length - 20);
  await writeFile(file, damaged);
  const drill = async () => {
    const ref = await lab.client.backups.startDrill(policy, id, 'ann');
    return (await lab.client.backups.follow<DrillStatus>(ref, { pollMs: 200, timeoutMs: 120_000 })).status;
  };
  expect(await drill()).toMatchObject({ phase: 'failed' });
  await rings('BackupDrillFailed drilled');
  await writeFile(file, whole);
  expect(await drill()).toMatchObject({ phase: 'passed' });
  await isSilent('BackupDrillFailed drilled');
});

test('a gap in the slices rings until there is a backup after it', async () => {
  const policy = await declared('sliced', 'bank', '  pointInTime: { sliceEvery: 10s }');
  const status = async () => (await lab.client.backups.slices('sliced'))?.status;
  await eventually('a slice is stored', async () => (await status())?.reachedAt);
  // Slices of other namespaces cannot go on from the last ones, and there is no backup from which they could.
  await lab.mongo.use((client) => client.db('desk').collection('notes').insertOne({ note: 1 }));
  policy.spec.source.databases = ['bank', 'desk'];
  await lab.client.backups.apply(policy);
  await eventually('the gap is noticed', async () => ((await status())?.gaps.length ?? 0) > 0);
  await rings('OplogSlicesGap sliced');
  expect(await run(policy)).toMatchObject({ outcome: 'verified' });
  await isSilent('OplogSlicesGap sliced');
});

test('when the workers and Temporal are dead, what grows old rings all the same, and so does their absence', async () => {
  // Longer than it takes until a worker has seen it.
  const policy = await declared('bereft', 'bank', '', '2m');
  expect(await run(policy)).toMatchObject({ outcome: 'verified' });
  await eventually(
    'Prometheus knows the policy',
    () => room.finds('slipway:backup_alarm_seconds{policy="bereft"}'),
    90_000,
  );
  expect(await firing()).not.toContain('NoVerifiedBackup bereft');
  await lab.killWorkers();
  await lab.temporal.kill();
  await rings('BackupsUnwatched');
  await rings('NoVerifiedBackup bereft');

  // A worker that comes back reads at its start what lies at the destination.
  await lab.temporal.up();
  await lab.worker();
  await isSilent('BackupsUnwatched');
  expect(await firing()).toContain('NoVerifiedBackup bereft');
  expect(await run(policy)).toMatchObject({ outcome: 'verified' });
  await isSilent('NoVerifiedBackup bereft');
});
