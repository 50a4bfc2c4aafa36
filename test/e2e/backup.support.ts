/** Real servers for the tests of backups, all of a test's own: Temporal, a mongod, workers as processes, the CLI. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SlipwayClient } from '../../src/client.ts';
import { parseBackupPolicy } from '../../src/specs/backup.ts';
import type { BackupPolicy } from '../../src/specs/backup.types.ts';
import { Mongo } from './support/mongo.ts';
import { Bucket, S3Server } from './support/s3-server.ts';
import { S3Proxy } from './support/s3-proxy.ts';
import { WorkerProcess } from './support/slipway-worker.ts';
import { TemporalServer } from './support/temporal-server.ts';

/** Stands in the connection string of every worker; it must turn up nowhere else. */
export const SECRET = 'correct-horse-battery-staple';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** All of it. */
export class BackupLab {
  readonly temporal: TemporalServer;
  readonly mongo: Mongo;
  readonly client: SlipwayClient;
  readonly directory: string;
  readonly #workers: WorkerProcess[] = [];
  #workerEnv: Record<string, string> = {};

  private constructor(temporal: TemporalServer, mongo: Mongo, client: SlipwayClient, directory: string) {
    this.temporal = temporal;
    this.mongo = mongo;
    this.client = client;
    this.directory = directory;
  }

  /** `mongod`: further arguments of the server; `worker`: further variables of workers; `ui`: Temporal with its UI. */
  static async open({
    mongod = [] as string[],
    worker = {} as Record<string, string>,
    ui = false,
  } = {}): Promise<BackupLab> {
    const [temporal, mongo] = await Promise.all([TemporalServer.start({ ui }), Mongo.start(mongod)]);
    const client = await SlipwayClient.connect({ env: { TEMPORAL_ADDRESS: temporal.address } });
    await client.setup();
    const lab = new BackupLab(temporal, mongo, client, await mkdtemp(join(tmpdir(), 'slipway-backups-')));
    lab.#workerEnv = worker;
    await lab.worker();
    return lab;
  }

  get env(): Record<string, string> {
    // An application name is part of the string and of no decision, so the secret may stand there.
    return {
      TEMPORAL_ADDRESS: this.temporal.address,
      MONGODB_URI: `${this.mongo.uri}&appName=${SECRET}`,
      BACKUP_KEY: '5a'.repeat(32),
      S3_KEY: S3Server.accessKey,
      S3_SECRET: SECRET,
    };
  }

  async worker(): Promise<WorkerProcess> {
    const worker = await WorkerProcess.start({ ...this.env, ...this.#workerEnv });
    this.#workers.push(worker);
    return worker;
  }

  get workers(): readonly WorkerProcess[] {
    return this.#workers;
  }

  async killWorkers(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.kill()));
  }

  policy(
    name: string,
    more: { databases?: string; directory?: string; destination?: string; spec?: string } = {},
  ): BackupPolicy {
    return parseBackupPolicy(`
apiVersion: slipway/v1
kind: BackupPolicy
metadata: { name: ${name} }
spec:
  source: { uriFrom: { env: MONGODB_URI }, databases: [${more.databases ?? 'shop'}] }
  schedule: { at: "02:00", timezone: Europe/Berlin }
  destination: ${more.destination ?? `{ directory: ${more.directory ?? this.directory} }`}
${more.spec ?? ''}`);
  }

  /** Runs the CLI as people do. */
  async cli(
    args: string[],
    env: Record<string, string> = {},
  ): Promise<{ code: number; out: string; err: string }> {
    const child = spawn(process.execPath, [join(ROOT, 'src/cli.ts'), ...args], {
      env: { ...process.env, NO_COLOR: '1', ...this.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let out = '';
    let err = '';
    child.stdout.on('data', (chunk: Buffer) => void (out += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => void (err += chunk.toString()));
    const [code] = (await once(child, 'close')) as [number];
    return { code, out, err };
  }

  async close(): Promise<void> {
    await this.killWorkers();
    await this.client.close();
    await Promise.all([this.temporal.stop(), this.mongo.stop()]);
    await rm(this.directory, { recursive: true, force: true });
  }
}

/** A bucket that workers reach through a proxy, which fails as networks and servers do. */
export class FaultyBucket {
  readonly bucket: Bucket;
  readonly proxy: S3Proxy;
  readonly #server: S3Server;
  readonly #url: string;

  private constructor(server: S3Server, bucket: Bucket, proxy: S3Proxy, url: string) {
    this.#server = server;
    this.bucket = bucket;
    this.proxy = proxy;
    this.#url = url;
  }

  static async open(name: string): Promise<FaultyBucket> {
    const server = await S3Server.start(SECRET);
    const [{ proxy, url }, bucket] = await Promise.all([
      S3Proxy.start(server.endpoint),
      Bucket.make(server, name),
    ]);
    return new FaultyBucket(server, bucket, proxy, url);
  }

  /** `spec.destination` of a policy that stores here. */
  destination(prefix: string): string {
    const credentials = '{ env: { accessKeyId: S3_KEY, secretAccessKey: S3_SECRET } }';
    return `{ s3: { endpoint: "${this.#url}", bucket: ${this.bucket.name}, prefix: ${prefix}, credentialsFrom: ${credentials} } }`;
  }

  async close(): Promise<void> {
    this.bucket.close();
    await this.proxy.stop();
    await this.#server.stop();
  }
}
