import { MongoClient, type MongoClientOptions } from 'mongodb';

/** A server's facts that decide how a dump or restore goes about it. */
export interface ServerFacts {
  version: string;
  /** Major and minor, e.g. [6, 0]. */
  majorMinor: [number, number];
  topology: 'standalone' | 'replicaSet' | 'sharded';
}

/**
 * Opens a client for dump and restore. Waits are bounded: 15 s to find a server, 5 minutes for one answer.
 * @throws MongoServerSelectionError and other driver errors; their messages do not contain the password
 */
export async function connectMongo(uri: string, options: MongoClientOptions = {}): Promise<MongoClient> {
  const client = new MongoClient(uri, {
    appName: 'slipway',
    serverSelectionTimeoutMS: 15_000,
    connectTimeoutMS: 10_000,
    socketTimeoutMS: 300_000,
    retryReads: true,
    ...options,
  });
  try {
    return await client.connect();
  } catch (error) {
    await client.close();
    throw error;
  }
}

export async function serverFacts(client: MongoClient): Promise<ServerFacts> {
  const admin = client.db('admin');
  const [hello, build] = await Promise.all([admin.command({ hello: 1 }), admin.command({ buildInfo: 1 })]);
  const version = String(build['version']);
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const topology = hello['msg'] === 'isdbgrid' ? 'sharded' : hello['setName'] ? 'replicaSet' : 'standalone';
  return { version, majorMinor: [major, minor], topology };
}
