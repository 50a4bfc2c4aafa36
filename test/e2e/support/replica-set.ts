/** A replica set of three real mongods, whose primary can be told to step down. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MongoClient } from 'mongodb';
import { allocatePorts } from '../../../lab/ports.ts';
import { provision } from '../../../lab/provision.ts';
import { eventually } from './eventually.ts';
import { killed } from './killed.ts';

const MEMBERS = ['a', 'b', 'c'];

export class ReplicaSet {
  readonly uri: string;
  readonly #children: ChildProcess[];
  readonly #folder: string;

  private constructor(uri: string, children: ChildProcess[], folder: string) {
    this.uri = uri;
    this.#children = children;
    this.#folder = folder;
  }

  static async start(): Promise<ReplicaSet> {
    const [{ mongod }, ports, folder] = await Promise.all([
      provision(['mongod']),
      allocatePorts(MEMBERS, {}),
      mkdtemp(join(tmpdir(), 'slipway-set-')),
    ]);
    const hosts = MEMBERS.map((name) => `127.0.0.1:${ports[name]}`);
    const children: ChildProcess[] = [];
    for (const name of MEMBERS) {
      const dbpath = await mkdtemp(join(folder, `${name}-`));
      const args = `--replSet set --bind_ip 127.0.0.1 --nounixsocket --wiredTigerCacheSizeGB 0.25 --port ${ports[name]}`;
      const more = ['--dbpath', dbpath, '--setParameter', 'diagnosticDataCollectionEnabled=false'];
      children.push(spawn(mongod?.path ?? 'mongod', [...args.split(' '), ...more], { stdio: 'ignore' }));
    }
    const set = new ReplicaSet(`mongodb://${hosts.join(',')}/?replicaSet=set`, children, folder);
    const first = new MongoClient(`mongodb://${hosts[0]}/?directConnection=true`);
    const members = hosts.map((host, _id) => ({ _id, host }));
    await eventually('the set is initiated', async () => {
      await first.db('admin').command({
        replSetInitiate: { _id: 'set', members, settings: { electionTimeoutMillis: 3_000 } },
      });
      return true;
    });
    await first.close();
    await eventually('the set has a primary and two secondaries', () =>
      set.use(async (client) => {
        const { members: found } = await client.db('admin').command({ replSetGetStatus: 1 });
        const states = (found as { stateStr: string }[]).map(({ stateStr }) => stateStr).toSorted();
        return states.join() === 'PRIMARY,SECONDARY,SECONDARY';
      }),
    );
    return set;
  }

  async use<T>(work: (client: MongoClient) => Promise<T>): Promise<T> {
    const client = new MongoClient(this.uri, { serverSelectionTimeoutMS: 10_000 });
    try {
      return await work(client);
    } finally {
      await client.close();
    }
  }

  async primary(): Promise<string> {
    return await this.use(async (client) =>
      String((await client.db('admin').command({ hello: 1 }))['primary']),
    );
  }

  /** Another member is primary when this returns. */
  async stepDown(): Promise<void> {
    const before = await this.primary();
    await this.use((client) =>
      client.db('admin').command({ replSetStepDown: 60, secondaryCatchUpPeriodSecs: 20 }),
    );
    await eventually('another member is primary', async () => (await this.primary()) !== before);
  }

  async stop(): Promise<void> {
    await Promise.all(this.#children.map(killed));
    await rm(this.#folder, { recursive: true, force: true });
  }
}
