import {
  CreateBucketCommand,
  GetObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  S3Client,
} from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { RunRef } from '../../src/client/backup.ts';
import type { RestoreStatus } from '../../src/domain/backup/restore.types.ts';
import type { BackupStatus } from '../../src/domain/backup/types.ts';
import type { BackupPolicy } from '../../src/specs/backup.types.ts';
import { parseBackupPolicy } from '../../src/specs/backup.ts';
import { BackupLab, eventually, S3, SECRET } from './backup.support.ts';
import { S3Proxy } from './support/s3-proxy.ts';

const BUCKET = 'backups';

let lab: BackupLab;
let s3: S3;
let proxy: S3Proxy;
let endpoint: string;
let bucket: S3Client;

beforeAll(async () => {
  [lab, s3] = await Promise.all([BackupLab.open(), S3.start(SECRET)]);
  ({ proxy, url: endpoint } = await S3Proxy.start(s3.endpoint));
  const credentials = { accessKeyId: S3.accessKey, secretAccessKey: SECRET };
  bucket = new S3Client({ endpoint: s3.endpoint, region: 'us-east-1', forcePathStyle: true, credentials });
  await eventually('the bucket is there', async () => {
    await bucket.send(new CreateBucketCommand({ Bucket: BUCKET }));
    return true;
  });
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
  proxy.calm();
});

afterAll(async () => {
  bucket?.destroy();
  await proxy?.stop();
  await s3?.stop();
  await lab?.close();
});

function policy(name: string, more = ''): BackupPolicy {
  return parseBackupPolicy(`
apiVersion: slipway/v1
kind: BackupPolicy
metadata: { name: ${name} }
spec:
  source: { uriFrom: { env: MONGODB_URI }, databases: [shop] }
  schedule: { at: "02:00" }
  destination:
    s3:
      endpoint: ${endpoint}
      bucket: ${BUCKET}
      prefix: ${name}
      credentialsFrom: { env: { accessKeyId: S3_KEY, secretAccessKey: S3_SECRET } }
${more}`);
}

const end = (ref: RunRef) =>
  lab.client.backups.follow<BackupStatus>(ref, { pollMs: 200, timeoutMs: 180_000 });
const keys = async (prefix: string) =>
  ((await bucket.send(new ListObjectsV2Command({ Bucket: BUCKET, Prefix: `${prefix}/` }))).Contents ?? [])
    .map(({ Key }) => Key ?? '')
    .sort();
const uploads = async () =>
  (await bucket.send(new ListMultipartUploadsCommand({ Bucket: BUCKET }))).Uploads ?? [];

describe('a backup to S3', () => {
  test('is verified although requests fail and connections are cut', async () => {
    let count = 0;
    proxy.fault = (method) => {
      if (method === 'DELETE') return 'none';
      count++;
      return count % 5 === 2 ? 'error' : count % 5 === 4 ? 'cut' : 'none';
    };
    const { status } = await end(
      await lab.client.backups.run(policy('faulty', '  drill: { every: 1d }'), 'ann'),
    );
    expect(proxy.faults).toBeGreaterThan(2);
    expect(status).toMatchObject({
      outcome: 'verified',
      problems: [],
      drill: { phase: 'passed', documents: 740 },
    });
    expect(await uploads()).toEqual([]);
  });

  test('that is encrypted shows nothing of the data, and comes back with the key', async () => {
    const given = policy('sealed', '  compression: none\n  encryption: { keyFrom: { env: BACKUP_KEY } }');
    const { status } = await end(await lab.client.backups.run(given, 'ann'));
    expect(status?.result?.archive).toMatch(/\.archive\.enc$/);
    const stored = await bucket.send(
      new GetObjectCommand({ Bucket: BUCKET, Key: `sealed/${status?.result?.archive}` }),
    );
    const bytes = Buffer.from((await stored.Body?.transformToByteArray()) ?? []);
    expect(bytes.length).toBeGreaterThan(1e6);
    expect(bytes.includes('paid in full')).toBe(false);
    const before = await lab.mongo.hashes('shop');
    const ref = await lab.client.backups.startRestore({
      origin: { policy: given, backup: { latest: true } },
      target: { uriFrom: given.spec.source.uriFrom },
      selection: {
        databases: null,
        collections: null,
        rename: [{ from: 'shop.*', to: 'unsealed.*' }],
        users: false,
      },
      dryRun: false,
      starter: 'ann',
      approved: false,
      backupBefore: null,
      approvalExpires: '1h',
    });
    const restored = await lab.client.backups.follow<RestoreStatus>(ref, { pollMs: 200, timeoutMs: 60_000 });
    expect(restored.status?.outcome).toBe('restored');
    expect(await lab.mongo.hashes('unsealed')).toEqual(before);
  });

  test('whose worker is killed in the middle of an upload leaves no upload behind after the next attempt', async () => {
    const given = policy('killed', '  compression: none\n  throttle: { mbPerSecond: 3 }');
    const ref = await lab.client.backups.run(given, 'ann');
    await eventually('an upload is under way', async () => (await uploads()).length > 0);
    await lab.killWorkers();
    expect((await keys('killed')).some((key) => key.endsWith('.manifest.json'))).toBe(false);
    await lab.worker();
    await lab.client.backups.throttle(ref, { mbPerSecond: null, by: 'ann' });
    const { status } = await end(ref);
    expect(status?.outcome).toBe('verified');
    const id = status?.result?.id ?? '';
    expect(await keys('killed')).toEqual([`killed/${id}.archive`, `killed/${id}.manifest.json`]);
    expect(await uploads()).toEqual([]);
  });
});
