/** An S3 server of a test's own, and a bucket in it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  CreateBucketCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  S3Client,
} from '@aws-sdk/client-s3';
import { allocatePorts } from '../../../lab/ports.ts';
import { provision } from '../../../lab/provision.ts';
import { S3Storage } from '../../../src/storage/s3.ts';
import { eventually } from './eventually.ts';
import { killed } from './killed.ts';

/** An S3 server that knows one pair of keys. */
export class S3Server {
  static readonly accessKey = 'lab';
  readonly endpoint: string;
  readonly credentials: { accessKeyId: string; secretAccessKey: string };
  readonly #child: ChildProcess;
  readonly #folder: string;

  private constructor(endpoint: string, secretAccessKey: string, child: ChildProcess, folder: string) {
    this.endpoint = endpoint;
    this.credentials = { accessKeyId: S3Server.accessKey, secretAccessKey };
    this.#child = child;
    this.#folder = folder;
  }

  static async start(secretKey = 'secret'): Promise<S3Server> {
    const { weed } = await provision(['weed']);
    const services = ['master', 'volume', 'filer', 's3'];
    const ports = await allocatePorts(
      services.flatMap((name) => [name, `${name}-grpc`]),
      {},
    );
    const folder = await mkdtemp(join(tmpdir(), 'slipway-s3-'));
    const credentials = [{ accessKey: S3Server.accessKey, secretKey }];
    const identities = [{ name: 'lab', credentials, actions: ['Admin', 'Read', 'Write', 'List', 'Tagging'] }];
    await writeFile(join(folder, 's3.json'), JSON.stringify({ identities }));
    const flags = {
      ip: '127.0.0.1',
      'ip.bind': '127.0.0.1',
      dir: folder,
      s3: true,
      filer: true,
      's3.config': join(folder, 's3.json'),
      's3.iam': false,
      // Otherwise it wants ports 8181 and 9101, of which there is one each.
      's3.port.iceberg': 0,
      's3.port.lance': 0,
      'master.volumeSizeLimitMB': 256,
      'volume.max': 20,
    };
    const args = [
      'server',
      ...Object.entries(flags).map(([name, value]) => `-${name}=${value}`),
      ...services.flatMap((name) => [
        `-${name}.port=${ports[name]}`,
        `-${name}.port.grpc=${ports[`${name}-grpc`]}`,
      ]),
    ];
    const child = spawn(weed?.path ?? 'weed', args, { stdio: 'ignore', cwd: folder });
    const endpoint = `http://127.0.0.1:${ports['s3']}`;
    await eventually('the S3 server answers', async () => (await fetch(endpoint)).status < 500);
    return new S3Server(endpoint, secretKey, child, folder);
  }

  async stop(): Promise<void> {
    await killed(this.#child);
    await rm(this.#folder, { recursive: true, force: true });
  }
}

/** A bucket, as the server itself sees it. */
export class Bucket {
  readonly name: string;
  readonly client: S3Client;
  readonly #server: S3Server;

  private constructor(server: S3Server, name: string) {
    this.name = name;
    this.#server = server;
    const { endpoint, credentials } = server;
    this.client = new S3Client({ endpoint, region: 'us-east-1', forcePathStyle: true, credentials });
  }

  static async make(server: S3Server, name: string): Promise<Bucket> {
    const bucket = new Bucket(server, name);
    await eventually('the bucket is there', async () => {
      await bucket.client.send(new CreateBucketCommand({ Bucket: name }));
      return true;
    });
    return bucket;
  }

  /** As Slipway reads and writes it. */
  storage(prefix: string): S3Storage {
    const { endpoint, credentials } = this.#server;
    return new S3Storage({ bucket: this.name, prefix, endpoint, credentials });
  }

  /** Keys below a prefix, sorted. */
  async keys(prefix: string): Promise<string[]> {
    const listed = await this.client.send(
      new ListObjectsV2Command({ Bucket: this.name, Prefix: `${prefix}/` }),
    );
    return (listed.Contents ?? []).map(({ Key }) => Key ?? '').sort();
  }

  /** Keys of uploads that have begun and not ended. */
  async uploads(prefix = ''): Promise<string[]> {
    const listed = await this.client.send(
      new ListMultipartUploadsCommand({ Bucket: this.name, Prefix: prefix }),
    );
    return (listed.Uploads ?? []).map(({ Key }) => Key ?? '');
  }

  close(): void {
    this.client.destroy();
  }
}
