/** A mongod of a test's own, that can be killed and brought back with its data. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MongoClient } from 'mongodb';
import { allocatePorts } from '../../../lab/ports.ts';
import { provision } from '../../../lab/provision.ts';
import { stagingPrefix } from '../../../src/mongodb/staging.ts';
import { eventually } from './eventually.ts';
import { killed } from './killed.ts';

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

  /** Runs `strike` as soon as the restore that `start` begins has staged its first document in this database. */
  async whenStaged<T>(database: string, start: () => Promise<T>, strike: () => Promise<void>): Promise<T> {
    return await this.use(async (client) => {
      const staged = { 'ns.coll': { $regex: `^${stagingPrefix}` }, operationType: 'insert' };
      const stream = client.db(database).watch([{ $match: staged }]);
      // From here on the server keeps what happens for this stream.
      await stream.tryNext();
      const begun = await start();
      await eventually(`something is staged in ${database}`, () => stream.tryNext().then(Boolean), 120_000);
      await strike();
      await stream.close();
      return begun;
    });
  }

  async kill(): Promise<void> {
    await killed(this.#process);
  }

  async stop(): Promise<void> {
    await this.kill();
    await rm(this.#folder, { recursive: true, force: true });
  }
}
