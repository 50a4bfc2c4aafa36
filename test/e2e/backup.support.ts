/** Real servers for the tests of backups: a mongod that can be killed and brought back, Temporal, workers as processes. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { MongoClient } from 'mongodb';
import { allocatePorts } from '../../lab/ports.ts';
import { provision } from '../../lab/provision.ts';
import { SlipwayClient } from '../../src/client.ts';
import { parseBackupPolicy } from '../../src/specs/backup.ts';
import type { BackupPolicy } from '../../src/specs/backup.types.ts';
import { TemporalServer } from './support/temporal-server.ts';

/** Stands in the connection string of every worker; it must turn up nowhere else. */
export const SECRET = 'correct-horse-battery-staple';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

export async function eventually<T>(
  what: string,
  read: () => Promise<T | undefined | false>,
  withinMs = 60_000,
): Promise<T> {
  const until = Date.now() + withinMs;
  let last: unknown;
  while (Date.now() < until) {
    try {
      const value = await read();
      if (value !== undefined && value !== false) return value;
    } catch (error) {
      last = error;
    }
    await delay(100);
  }
  throw new Error(`never: ${what}`, { cause: last });
}

async function killed(child: ChildProcess | null): Promise<void> {
  if (!child || child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'exit');
}

/** A replica set of one, with a user. */
export class Mongo {
  readonly #binary: string;
  readonly #port: number;
  readonly #folder: string;
  readonly #more: string[];
  #process: ChildProcess | null = null;

  private constructor(binary: string, port: number, folder: string, more: string[]) {
    this.#binary = binary;
    this.#port = port;
    this.#folder = folder;
    this.#more = more;
  }

  static async start(more: string[] = []): Promise<Mongo> {
    const { mongod } = await provision(['mongod']);
    const { mongo = 0 } = await allocatePorts(['mongo'], {});
    const server = new Mongo(
      mongod?.path ?? 'mongod',
      mongo,
      await mkdtemp(join(tmpdir(), 'slipway-mongod-')),
      more,
    );
    await server.up();
    const host = `127.0.0.1:${mongo}`;
    await server.use((client) =>
      client.db('admin').command({ replSetInitiate: { _id: 'rs0', members: [{ _id: 0, host }] } }),
    );
    await server.primary();
    return server;
  }

  /** Without access control the server ignores user and password of a client that does not authenticate by itself. */
  get uri(): string {
    return `mongodb://127.0.0.1:${this.#port}/?directConnection=true`;
  }

  async up(): Promise<void> {
    const args = `--replSet rs0 --bind_ip 127.0.0.1 --nounixsocket --wiredTigerCacheSizeGB 0.25 --port ${this.#port}`;
    this.#process = spawn(
      this.#binary,
      [
        ...args.split(' '),
        '--dbpath',
        this.#folder,
        '--setParameter',
        'diagnosticDataCollectionEnabled=false',
        ...this.#more,
      ],
      { stdio: 'ignore' },
    );
    await eventually('mongod answers', () =>
      this.use(async (client) => Boolean(await client.db('admin').command({ ping: 1 }))),
    );
  }

  async primary(): Promise<void> {
    await eventually('mongod is primary', () =>
      this.use(async (client) =>
        Boolean((await client.db('admin').command({ hello: 1 }))['isWritablePrimary']),
      ),
    );
  }

  async use<T>(work: (client: MongoClient) => Promise<T>): Promise<T> {
    const client = new MongoClient(this.uri, { serverSelectionTimeoutMS: 3_000 });
    try {
      return await work(client);
    } finally {
      await client.close();
    }
  }

  async databases(): Promise<string[]> {
    return await this.use(async (client) =>
      (await client.db().admin().listDatabases()).databases.map(({ name }) => name),
    );
  }

  /** Collections of a database with the server's own hash of each. */
  async hashes(database: string): Promise<Record<string, string>> {
    return await this.use(
      async (client) =>
        (await client.db(database).command({ dbHash: 1 }))['collections'] as Record<string, string>,
    );
  }

  async kill(): Promise<void> {
    await killed(this.#process);
  }

  async stop(): Promise<void> {
    await this.kill();
    await rm(this.#folder, { recursive: true, force: true });
  }
}

/** An S3 server that knows one pair of keys. */
export class S3 {
  static readonly accessKey = 'lab';
  readonly endpoint: string;
  readonly #child: ChildProcess;
  readonly #folder: string;

  private constructor(endpoint: string, child: ChildProcess, folder: string) {
    this.endpoint = endpoint;
    this.#child = child;
    this.#folder = folder;
  }

  static async start(secretKey: string): Promise<S3> {
    const { weed } = await provision(['weed']);
    const services = ['master', 'volume', 'filer', 's3'];
    const ports = await allocatePorts(
      services.flatMap((name) => [name, `${name}-grpc`]),
      {},
    );
    const folder = await mkdtemp(join(tmpdir(), 'slipway-s3-'));
    const credentials = [{ accessKey: S3.accessKey, secretKey }];
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
      // Otherwise it wants port 8181, of which there is one.
      's3.port.iceberg': 0,
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
    return new S3(endpoint, child, folder);
  }

  async stop(): Promise<void> {
    await killed(this.#child);
    await rm(this.#folder, { recursive: true, force: true });
  }
}

/** `slipway worker` as a process of its own. */
export class WorkerProcess {
  readonly #child: ChildProcess;
  output = '';

  private constructor(child: ChildProcess) {
    this.#child = child;
    const note = (chunk: Buffer) => void (this.output += chunk.toString());
    child.stdout?.on('data', note);
    child.stderr?.on('data', note);
  }

  static async start(env: Record<string, string>): Promise<WorkerProcess> {
    const child = spawn(process.execPath, [join(ROOT, 'src/worker.ts')], {
      env: { ...process.env, SLIPWAY_KUBERNETES: 'off', SLIPWAY_METRICS_ADDRESS: 'off', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const worker = new WorkerProcess(child);
    await eventually('the worker runs', async () => {
      if (child.exitCode !== null) throw new Error(worker.output);
      return worker.output.includes('worker runs');
    });
    return worker;
  }

  /** Processes that dump or restore for this worker now. */
  get engines(): number[] {
    const list = readFileSync(`/proc/${this.#child.pid}/task/${this.#child.pid}/children`, 'utf8').trim();
    return list === '' ? [] : list.split(' ').map(Number);
  }

  /** Kills what dumps or restores, and leaves the worker alone. */
  killEngines(): void {
    for (const pid of this.engines) process.kill(pid, 'SIGKILL');
  }

  kill(): Promise<void> {
    return killed(this.#child);
  }
}

/** All of it. */
export class BackupLab {
  readonly temporal: TemporalServer;
  readonly mongo: Mongo;
  readonly client: SlipwayClient;
  readonly directory: string;
  readonly #workers: WorkerProcess[] = [];

  private constructor(temporal: TemporalServer, mongo: Mongo, client: SlipwayClient, directory: string) {
    this.temporal = temporal;
    this.mongo = mongo;
    this.client = client;
    this.directory = directory;
  }

  /** `mongod`: further arguments of the server. */
  static async open({ mongod = [] as string[] } = {}): Promise<BackupLab> {
    const [temporal, mongo] = await Promise.all([TemporalServer.start(), Mongo.start(mongod)]);
    const client = await SlipwayClient.connect({ env: { TEMPORAL_ADDRESS: temporal.address } });
    await client.setup();
    const lab = new BackupLab(temporal, mongo, client, await mkdtemp(join(tmpdir(), 'slipway-backups-')));
    await lab.worker();
    return lab;
  }

  get env(): Record<string, string> {
    // An application name is part of the string and of no decision, so the secret may stand there.
    return {
      TEMPORAL_ADDRESS: this.temporal.address,
      MONGODB_URI: `${this.mongo.uri}&appName=${SECRET}`,
      BACKUP_KEY: '5a'.repeat(32),
      S3_KEY: S3.accessKey,
      S3_SECRET: SECRET,
    };
  }

  async worker(): Promise<WorkerProcess> {
    const worker = await WorkerProcess.start(this.env);
    this.#workers.push(worker);
    return worker;
  }

  get workers(): readonly WorkerProcess[] {
    return this.#workers;
  }

  async killWorkers(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.kill()));
  }

  policy(name: string, more: { databases?: string; directory?: string; spec?: string } = {}): BackupPolicy {
    return parseBackupPolicy(`
apiVersion: slipway/v1
kind: BackupPolicy
metadata: { name: ${name} }
spec:
  source: { uriFrom: { env: MONGODB_URI }, databases: [${more.databases ?? 'shop'}] }
  schedule: { at: "02:00", timezone: Europe/Berlin }
  destination: { directory: ${more.directory ?? this.directory} }
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
