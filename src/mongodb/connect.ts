import { MongoClient, type MongoClientOptions, MongoServerError } from 'mongodb';
import { ConnectionString } from 'mongodb-connection-string-url';

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

/**
 * Opens a client for restores: an index build may take hours, and the server says nothing meanwhile, so answers are waited
 * for without a limit. That a server has gone is noticed within about 20 s by the driver's monitoring, which ends the wait.
 * @throws as {@link connectMongo}
 */
export async function connectForRestore(uri: string): Promise<MongoClient> {
  return connectMongo(uri, { socketTimeoutMS: 0 });
}

/**
 * Opens a client that stays with the one server that the connection string leads to now: a cursor lives on its server, and
 * goes on there when that server steps down, or when there is another mongos to ask.
 * @throws as {@link connectMongo}
 */
export async function connectToOneServer(uri: string): Promise<MongoClient> {
  const client = await connectMongo(uri, { monitorCommands: true });
  try {
    const address = await soleAddress(client);
    if (address === undefined) return client;
    const direct = await connectMongo(directUri(uri, address, client));
    await client.close();
    return direct;
  } catch (error) {
    await client.close();
    throw error;
  }
}

/** The server that answers now, when another could answer next. */
async function soleAddress(client: MongoClient): Promise<string | undefined> {
  if (client.options.directConnection || client.options.loadBalanced) return undefined;
  let address: string | undefined;
  client.on('commandStarted', (event) => {
    if (event.commandName === 'hello') address = event.address;
  });
  const hello = await client.db('admin').command({ hello: 1 });
  const servers = hello['msg'] === 'isdbgrid' ? client.options.hosts.length : membersOf(hello);
  return servers > 1 ? address : undefined;
}

function membersOf(hello: Record<string, unknown>): number {
  const { hosts = [], passives = [] } = hello as { hosts?: string[]; passives?: string[] };
  return hosts.length + passives.length;
}

/** What a DNS record has told stays: encryption of the wire, and where the user is known. */
function directUri(uri: string, address: string, { options }: MongoClient): string {
  const direct = new ConnectionString(uri);
  const parameters = direct.typedSearchParams<Record<string, string>>();
  if (direct.isSRV) {
    direct.protocol = 'mongodb:';
    parameters.set('tls', String(options.tls));
    const { source } = options.credentials ?? {};
    if (source !== undefined) parameters.set('authSource', source);
  }
  for (const name of [
    'replicaSet',
    'loadBalanced',
    'srvServiceName',
    'srvMaxHosts',
    'readPreference',
    'readPreferenceTags',
    'maxStalenessSeconds',
  ])
    parameters.delete(name);
  direct.hosts = [address];
  parameters.set('directConnection', 'true');
  return direct.toString();
}

export async function serverFacts(client: MongoClient): Promise<ServerFacts> {
  const admin = client.db('admin');
  const [hello, build] = await Promise.all([admin.command({ hello: 1 }), admin.command({ buildInfo: 1 })]);
  const version = String(build['version']);
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const topology = hello['msg'] === 'isdbgrid' ? 'sharded' : hello['setName'] ? 'replicaSet' : 'standalone';
  return { version, majorMinor: [major, minor], topology };
}

/** Cores that the server may use, when it tells this user. */
export async function serverCores(client: MongoClient): Promise<number | undefined> {
  try {
    const { system } = await client.db('admin').command({ hostInfo: 1 });
    const cores = Number(system.numCoresAvailableToProcess ?? system.numCores);
    return cores > 0 ? cores : undefined;
  } catch (error) {
    if (error instanceof MongoServerError) return undefined;
    throw error;
  }
}
