// The storage contract on a real S3 server.
import { CreateMultipartUploadCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { S3Storage } from '../../src/storage/s3.ts';
import { storageContract } from '../unit/storage.contract.ts';
import { Bucket, S3Server } from './support/s3-server.ts';

let server: S3Server | undefined;
let opening: Promise<Bucket> | undefined;

const open = (): Promise<Bucket> =>
  (opening ??= (async () => {
    server = await S3Server.start('hidden-key');
    return await Bucket.make(server, 'backups');
  })());
const storageAt = async (prefix: string) => (await open()).storage(prefix);
const uploads = async (prefix: string) => (await (await open()).uploads(prefix)).length;

beforeAll(async () => {
  await open();
});
afterAll(async () => {
  (await opening)?.close();
  await server?.stop();
});

storageContract(
  'S3',
  () => storageAt('contract/here'),
  () => uploads('contract/'),
);

describe('S3', () => {
  it('forgets the uploads of a killed run, of one name only', async () => {
    const bucket = await open();
    const storage = bucket.storage('killed');
    for (const Key of ['killed/dump.gz', 'killed/dump.gz', 'killed/dump.gz.other']) {
      await bucket.client.send(new CreateMultipartUploadCommand({ Bucket: bucket.name, Key }));
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
    await open();
    const { endpoint = '', credentials } = server ?? {};
    const storage = new S3Storage({ bucket: 'nowhere', endpoint, ...(credentials && { credentials }) });
    const failure = storage.list();
    await expect(failure).rejects.toThrow(/s3:\/\/nowhere/);
    await expect(failure).rejects.not.toThrow(/hidden-key/);
    await storage.close();
  });
});
