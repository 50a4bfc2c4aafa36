import { GetObjectCommand } from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { RunRef } from '../../src/client/backup.ts';
import type { RestoreStatus } from '../../src/domain/backup/restore.types.ts';
import type { BackupStatus } from '../../src/domain/backup/types.ts';
import type { BackupPolicy } from '../../src/specs/backup.types.ts';
import { restoreOf } from '../restore-input.ts';
import { BackupLab, FaultyBucket } from './backup.support.ts';
import { eventually } from './support/eventually.ts';

let lab: BackupLab;
let s3: FaultyBucket;

beforeAll(async () => {
  [lab, s3] = await Promise.all([BackupLab.open(), FaultyBucket.open('backups')]);
  await lab.mongo.use(async (client) => {
    await client
      .db('shop')
      .collection('orders')
      .insertMany(Array.from({ length: 500 }, (_, i) => ({ n: i, note: 'paid in full' })));
    const noise = client.db('shop').collection('noise');
    for (let i = 0; i < 12; i++) {
      await noise.insertMany(
        Array.from({ length: 20 }, () => ({
          a: crypto.getRandomValues(new Uint8Array(65_000)),
          b: crypto.getRandomValues(new Uint8Array(65_000)),
        })),
      );
    }
  });
});

afterEach(() => {
  s3.proxy.calm();
});

afterAll(async () => {
  await s3?.close();
  await lab?.close();
});

const policy = (name: string, spec: string): BackupPolicy =>
  lab.policy(name, { destination: s3.destination(name), spec });
const end = (ref: RunRef) =>
  lab.client.backups.follow<BackupStatus>(ref, { pollMs: 200, timeoutMs: 180_000 });
describe('a backup to S3', () => {
  test('is verified although requests fail and connections are cut', async () => {
    let count = 0;
    s3.proxy.fault = (method) => {
      if (method === 'DELETE') return 'none';
      count++;
      return count % 5 === 2 ? 'error' : count % 5 === 4 ? 'cut' : 'none';
    };
    const { status } = await end(
      await lab.client.backups.run(policy('faulty', '  drill: { every: 1d }'), 'ann'),
    );
    expect(s3.proxy.faults).toBeGreaterThan(2);
    expect(status).toMatchObject({
      outcome: 'verified',
      problems: [],
      drill: { phase: 'passed', documents: 740 },
    });
    expect(await s3.bucket.uploads()).toEqual([]);
  });

  test('that is encrypted shows nothing of the data, and comes back with the key', async () => {
    const given = policy('sealed', '  compression: none\n  encryption: { keyFrom: { env: BACKUP_KEY } }');
    const { status } = await end(await lab.client.backups.run(given, 'ann'));
    expect(status?.result?.archive).toMatch(/\.archive\.enc$/);
    const stored = await s3.bucket.client.send(
      new GetObjectCommand({ Bucket: s3.bucket.name, Key: `sealed/${status?.result?.archive}` }),
    );
    const bytes = Buffer.from((await stored.Body?.transformToByteArray()) ?? []);
    expect(bytes.length).toBeGreaterThan(1e6);
    expect(bytes.includes('paid in full')).toBe(false);
    const before = await lab.mongo.hashes('shop');
    const ref = await lab.client.backups.startRestore(
      restoreOf(given, { selection: { rename: [{ from: 'shop.*', to: 'unsealed.*' }] } }),
    );
    const restored = await lab.client.backups.follow<RestoreStatus>(ref, { pollMs: 200, timeoutMs: 60_000 });
    expect(restored.status?.outcome).toBe('restored');
    expect(await lab.mongo.hashes('unsealed')).toEqual(before);
  });

  test('whose worker is killed in the middle of an upload leaves no upload behind after the next attempt', async () => {
    const given = policy('killed', '  compression: none\n  throttle: { mbPerSecond: 1 }');
    const ref = await lab.client.backups.run(given, 'ann');
    await eventually('an upload is under way', async () => (await s3.bucket.uploads()).length > 0);
    await lab.killWorkers();
    expect((await s3.bucket.keys('killed')).some((key) => key.endsWith('.manifest.json'))).toBe(false);
    await lab.worker();
    await lab.client.backups.throttle(ref, { mbPerSecond: null, by: 'ann' });
    const { status } = await end(ref);
    expect(status?.outcome).toBe('verified');
    const id = status?.result?.id ?? '';
    expect(await s3.bucket.keys('killed')).toEqual([`killed/${id}.archive`, `killed/${id}.manifest.json`]);
    expect(await s3.bucket.uploads()).toEqual([]);
  });
});
