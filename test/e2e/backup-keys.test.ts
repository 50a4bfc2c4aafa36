/** A change of the encryption key, with real backups and slices under both keys. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { DrillStatus } from '../../src/domain/backup/drill.types.ts';
import type { RestoreStatus } from '../../src/domain/backup/restore.types.ts';
import type { BackupStatus } from '../../src/domain/backup/types.ts';
import { momentText } from '../../src/domain/point-in-time/moment.ts';
import { majorityTime } from '../../src/mongodb/dump/consistency.ts';
import type { BackupPolicy } from '../../src/specs/backup.types.ts';
import { parseKey } from '../../src/storage/encryption.ts';
import { restoreOf } from '../restore-input.ts';
import { BackupLab } from './backup.support.ts';
import { eventually } from './support/eventually.ts';

const KEYS = { KEY_2025: '25'.repeat(32), KEY_2026: '26'.repeat(32) };
const older = parseKey(KEYS.KEY_2025);
const newer = parseKey(KEYS.KEY_2026);

let lab: BackupLab;

beforeAll(async () => {
  lab = await BackupLab.open({ worker: KEYS });
});
afterAll(() => lab?.close());

const cli = (...args: string[]) => lab.cli(args, KEYS);
const sealed = (encryption: string) =>
  lab.policy('sealed', {
    databases: 'bank',
    spec: `  compression: zstd\n  pointInTime: { sliceEvery: 10s }\n  encryption: ${encryption}`,
  });
const insert = (word: string) =>
  lab.mongo.use(async (client) => {
    await client.db('bank').collection('words').insertOne({ word });
    return await majorityTime(client);
  });

async function apply(policy: BackupPolicy): Promise<string> {
  const file = join(lab.directory, '..', `sealed-${process.pid}.json`);
  await writeFile(file, JSON.stringify(policy));
  const { code, out, err } = await cli('backup', 'apply', '-f', file);
  expect({ code, err }).toEqual({ code: 0, err: '' });
  return out;
}
async function take(policy: BackupPolicy): Promise<BackupStatus> {
  const ref = await lab.client.backups.run(policy, 'ann');
  const { status } = await lab.client.backups.follow<BackupStatus>(ref, { pollMs: 200, timeoutMs: 120_000 });
  expect(status).toMatchObject({ outcome: 'verified' });
  return status as BackupStatus;
}
async function restored(policy: BackupPolicy, backup: { id: string } | { at: string }, into: string) {
  const rename = [{ from: 'bank.*', to: `${into}.*` }];
  const input = restoreOf(policy, { origin: { policy, backup }, approved: true, selection: { rename } });
  const ref = await lab.client.backups.startRestore(input);
  return (await lab.client.backups.follow<RestoreStatus>(ref, { pollMs: 200, timeoutMs: 120_000 })).status;
}
const words = (db: string) =>
  lab.mongo.use(async (client) =>
    (await client.db(db).collection('words').find().toArray()).map(({ word }) => word as string),
  );

test('backups and slices of before the change and after it are listed, verified, drilled and restored, any moment too, and what cannot be is said', async () => {
  await insert('first');
  const before = sealed('{ keyFrom: { env: KEY_2025 } }');
  await apply(before);
  const { result: a } = await take(before);
  await insert('second');

  const without = sealed('{ keyFrom: { env: KEY_2026 } }');
  expect(await apply(without)).toContain('Note: the key from variable KEY_2025 is not named any more');
  const between = await insert('third');
  const { result: b, problems } = await take(without);
  const complaint = `no key of the policy opens 1 backup ${a?.id}: encrypted with key ${older.id}. Say in spec.encryption.olderKeys`;
  expect(problems).toEqual([expect.stringContaining(complaint)]);
  const short = await cli('backup', 'list', '--policy', 'sealed', '-o', 'wide');
  expect(short.err).toContain(complaint);
  expect(short.out).toMatch(new RegExp(`${a?.id} .* ${older.id}\\s`));
  expect(short.out).toMatch(new RegExp(`${b?.id} .* ${newer.id}\\s`));
  const damaged = await cli('backup', 'verify', '--all', '--policy', 'sealed');
  expect(damaged).toMatchObject({ code: 1 });
  expect(damaged.out).toContain(`${a?.id}: encrypted with key ${older.id}, which is not there`);
  const failed = await restored(without, { id: a?.id ?? '' }, 'lost');
  expect(failed).toMatchObject({ phase: 'failed' });
  expect(failed?.reason).toContain(
    `encrypted with key ${older.id}, which is not there (spec.encryption.keyFrom is key ${newer.id}). Say in spec.encryption.olderKeys of policy sealed where that key is`,
  );
  expect(failed?.reason).not.toContain('damaged');

  const both = sealed('{ keyFrom: { env: KEY_2026 }, olderKeys: [{ env: KEY_2025 }] }');
  expect(await apply(both)).not.toContain('is not named any more');
  const whole = await cli('backup', 'list', '--policy', 'sealed');
  expect(whole.err).toBe('');
  expect((await cli('backup', 'verify', '--all', '--policy', 'sealed')).out).toBe(
    `${a?.id}: whole\n${b?.id}: whole\n`,
  );
  expect((await cli('backup', 'show', a?.id ?? '', '--policy', 'sealed')).out).toContain(`key ${older.id}`);
  expect((await cli('backup', 'describe', 'sealed')).out).toMatch(/Older keys +variable KEY_2025/);
  expect(await restored(both, { id: a?.id ?? '' }, 'old')).toMatchObject({ phase: 'restored' });
  expect(await words('old')).toEqual(['first']);
  const drill = await lab.client.backups.startDrill(both, a?.id ?? '', 'ann');
  const drilled = await lab.client.backups.follow<DrillStatus>(drill, { pollMs: 200, timeoutMs: 120_000 });
  expect(drilled.status).toMatchObject({ phase: 'passed' });

  // Slices of either key lead from the first backup over the change.
  await eventually('slices reach it', async () => {
    const moment = (await lab.client.backups.slices('sealed'))?.status?.reachedAt;
    return moment !== undefined && moment !== null && Date.parse(moment) / 1_000 > between.t;
  });
  const { slices } = JSON.parse((await cli('backup', 'slices', '--policy', 'sealed', '-o', 'json')).out) as {
    slices: number;
  };
  expect(slices).toBeGreaterThan(1);
  expect(await restored(both, { at: momentText(between) }, 'moment')).toMatchObject({ phase: 'restored' });
  expect(await words('moment')).toEqual(['first', 'second', 'third']);

  const { result: c, prune, problems: none } = await take(both);
  expect(none).toEqual([]);
  expect(prune).toMatchObject({ kept: 3, deleted: [] });
  expect(c?.id).toBeTruthy();
  const temporal = new Client({ connection: await Connection.connect({ address: lab.temporal.address }) });
  for await (const { workflowId, runId } of temporal.workflow.list()) {
    const history = JSON.stringify(
      await temporal.workflow.getHandle(workflowId, runId).fetchHistory(),
      (key, value: unknown) =>
        key === 'data' && typeof value === 'string' ? Buffer.from(value, 'base64').toString() : value,
    );
    for (const secret of Object.values(KEYS)) expect(history).not.toContain(secret);
  }
  await temporal.connection.close();
  const said = lab.workers.map(({ output }) => output).join('');
  for (const secret of Object.values(KEYS)) expect(said).not.toContain(secret);
});
