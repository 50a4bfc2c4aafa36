/** What the process that dumps and restores holds in memory when the archive lies on an S3 server. */
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { type MongoServer, startMongod } from './backup-engine.support.ts';
import { fillLarge, type Place, thereAndBack } from './support/engine-memory.ts';
import { Bucket, S3Server } from './support/s3-server.ts';

const BUCKET = 'backups';
const KEY = randomBytes(32).toString('hex');

let server: MongoServer;
let s3: S3Server;
let bucket: Bucket;

beforeAll(async () => {
  [server, s3] = await Promise.all([startMongod({ cacheGigabytes: 0.5 }), S3Server.start()]);
  bucket = await Bucket.make(s3, BUCKET);
  await fillLarge(server.client, 'large');
});

afterAll(async () => {
  bucket?.close();
  await Promise.all([server?.stop(), s3?.stop()]);
});

const at = (compression: string, more = ''): Place => ({
  server,
  settings: `  destination:
    s3:
      endpoint: ${s3.endpoint}
      bucket: ${BUCKET}
      credentialsFrom: { env: { accessKeyId: S3_KEY, secretAccessKey: S3_SECRET } }
  compression: ${compression}
${more}`,
  env: { S3_KEY: s3.credentials.accessKeyId, S3_SECRET: s3.credentials.secretAccessKey, BACKUP_KEY: KEY },
});

describe('on the way to S3 and back, the process that dumps and restores stays under 200 MB', () => {
  test('with zstd and encryption', () =>
    thereAndBack(at('zstd', '  encryption: { keyFrom: { env: BACKUP_KEY } }\n'), 'large'));

  test('with gzip', () => thereAndBack(at('gzip'), 'large'));

  test('with all bytes as they are', () => thereAndBack(at('none'), 'large'));
});
