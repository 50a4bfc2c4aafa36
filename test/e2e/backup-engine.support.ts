// A real mongod for the tests of dump and restore with data of its own.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { accessSync, constants } from 'node:fs';
import { MongoClient } from 'mongodb';
import { provision } from '../../lab/index.ts';
import { eventually } from './support/eventually.ts';

/** A program named by a variable, or on PATH; undefined when there is none. */
export function programOnPath(name: string, variable: string): string | undefined {
  const named = process.env[variable];
  if (named) return named;
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    try {
      accessSync(join(folder, name), constants.X_OK);
      return join(folder, name);
    } catch {
      // not in this folder
    }
  }
  return undefined;
}

/** Named by a variable, on PATH, or fetched by the lab. */
async function program(name: 'mongod'): Promise<string> {
  const known = programOnPath(name, name.toUpperCase());
  if (known) return known;
  const found = (await provision([name]))[name];
  if (!found) throw new Error(`${name} could not be provided`);
  return found.path;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

export interface MongoServer {
  uri: string;
  client: MongoClient;
  pid: number;
  restart(): Promise<void>;
  stop(): Promise<void>;
}

/** A mongod of its own: a one-node replica set, or standalone. TTL deletion is off so that data holds still. */
export async function startMongod({
  replicaSet = true,
  cacheGigabytes = 0.5,
  failPoints = false,
} = {}): Promise<MongoServer> {
  const [binary, dbpath, port] = [
    await program('mongod'),
    await mkdtemp(join(tmpdir(), 'slipway-mongod-')),
    await freePort(),
  ];
  const args = [
    '--dbpath',
    dbpath,
    '--port',
    String(port),
    '--bind_ip',
    '127.0.0.1',
    '--wiredTigerCacheSizeGB',
    String(cacheGigabytes),
  ];
  args.push('--setParameter', 'ttlMonitorEnabled=false', ...(replicaSet ? ['--replSet', 'rs0'] : []));
  if (failPoints) args.push('--setParameter', 'enableTestCommands=1');
  const uri = `mongodb://127.0.0.1:${port}/?directConnection=true`;
  let child: ChildProcess;
  const launch = () => {
    child = spawn(binary, args, { stdio: 'ignore' });
  };
  launch();
  const client = new MongoClient(uri, { serverSelectionTimeoutMS: 60_000, socketTimeoutMS: 300_000 });
  await client.connect();
  const admin = client.db('admin');
  const isPrimary = async () => (await admin.command({ hello: 1 }))['isWritablePrimary'] === true;
  if (replicaSet)
    await admin.command({
      replSetInitiate: { _id: 'rs0', members: [{ _id: 0, host: `127.0.0.1:${port}` }] },
    });
  await eventually('a primary', isPrimary);
  const end = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return; // it died by itself
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
  };
  return {
    uri,
    client,
    get pid() {
      return child.pid ?? 0;
    },
    restart: async () => {
      await end();
      launch();
      await eventually('a primary', isPrimary);
    },
    stop: async () => {
      await client.close();
      await end();
      await rm(dbpath, { recursive: true, force: true });
    },
  };
}

/** `dbHash` of each collection. */
export async function hashes(client: MongoClient, db: string): Promise<Record<string, string>> {
  return (await client.db(db).command({ dbHash: 1 }))['collections'] as Record<string, string>;
}

/** Runs mongodump or mongorestore; gives the exit code and what it said. */
export function run(binary: string, args: string[]): { code: number | null; output: string } {
  const result = spawnSync(binary, args, { encoding: 'utf8', timeout: 120_000 });
  return { code: result.status, output: `${result.stdout}${result.stderr}` };
}
