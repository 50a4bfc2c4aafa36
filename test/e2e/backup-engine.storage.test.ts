// The storage contract on a real S3 server.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  ListMultipartUploadsCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { S3Storage } from '../../src/storage/s3.ts';
import { storageContract } from '../unit/storage.contract.ts';
import { freePort, program, until } from './backup-engine.support.ts';

const bucket = 'backups';
const credentials = { accessKeyId: 'any', secretAccessKey: 'any' };
let server: ChildProcess | undefined;
let directory = '';
let endpoint = '';
let client: S3Client;

async function start(): Promise<void> {
  directory = await mkdtemp(join(tmpdir(), 'slipway-s3-'));
  const ports = await Promise.all(Array.from({ length: 8 }, freePort));
  const names = ['s3', 'master', 'volume', 'filer'];
  const flags = names.flatMap((name, at) => [
    `-${name}.port=${ports[at]}`,
    `-${name}.port.grpc=${ports[at + 4]}`,
  ]);
  const args = [
    'server',
    '-s3',
    '-filer',
    '-ip=127.0.0.1',
    '-ip.bind=127.0.0.1',
    `-dir=${directory}`,
    '-s3.iam=false',
    ...flags,
  ];
  server = spawn(await program('weed'), [...args, '-master.volumeSizeLimitMB=256', '-volume.max=20'], {
    stdio: 'ignore',
    cwd: directory,
  });
  endpoint = `http://127.0.0.1:${ports[0]}`;
  client = new S3Client({ endpoint, region: 'us-east-1', forcePathStyle: true, credentials });
  await until('the S3 server', async () =>
    Boolean(await client.send(new CreateBucketCommand({ Bucket: bucket }))),
  );
}

const starting = { once: undefined as Promise<void> | undefined };
const storageAt = async (prefix: string) => {
  await (starting.once ??= start());
  return new S3Storage({ bucket, prefix, endpoint, credentials });
};
const uploads = async (prefix: string) =>
  (await client.send(new ListMultipartUploadsCommand({ Bucket: bucket, Prefix: prefix }))).Uploads?.length ??
  0;

beforeAll(() => (starting.once ??= start()));
afterAll(async () => {
  client?.destroy();
  const ended = new Promise((resolve) => server?.once('exit', resolve));
  if (server?.kill('SIGKILL')) await ended;
  if (directory) await rm(directory, { recursive: true, force: true });
});

storageContract(
  'S3',
  () => storageAt('contract/here'),
  () => uploads('contract/'),
);

describe('S3', () => {
  it('forgets the uploads of a killed run, of one name only', async () => {
    const storage = await storageAt('killed');
    for (const Key of ['killed/dump.gz', 'killed/dump.gz', 'killed/dump.gz.other']) {
      await client.send(new CreateMultipartUploadCommand({ Bucket: bucket, Key }));
    }
    expect(await storage.removeUnfinished('dump.gz')).toBe(2);
    expect(await uploads('killed/')).toBe(1);
    await storage.close();
  });

  it('keeps prefixes apart', async () => {
    const [a, b] = await Promise.all([storageAt('team/a'), storageAt('team/ab')]);
    await a.write('x.json', 'a');
    expect(await b.list()).toEqual([]);
    expect((await a.list()).map(({ name }) => name)).toEqual(['x.json']);
    await Promise.all([a.close(), b.close()]);
  });

  it('names the bucket that does not exist, and shows no key', async () => {
    const storage = new S3Storage({
      bucket: 'nowhere',
      endpoint,
      credentials: { accessKeyId: 'any', secretAccessKey: 'hidden-key' },
    });
    const failure = storage.list();
    await expect(failure).rejects.toThrow(/s3:\/\/nowhere/);
    await expect(failure).rejects.not.toThrow(/hidden-key/);
    await storage.close();
  });
});
