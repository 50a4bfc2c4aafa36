/** The servers that backups come from and go to. */
import { createHash } from 'node:crypto';
import type { MongoClient } from 'mongodb';
import { connectMongo } from '../../mongodb/connect.ts';
import type { UriFrom } from '../../specs/backup.types.ts';
import { resolveUri, type SettingsSource } from '../../backups/settings.ts';

/** Connects in one of the ways of mongodb/connect.ts, does the work, and closes whatever happens. */
export async function withMongo<T>(
  uriFrom: UriFrom,
  from: SettingsSource,
  work: (client: MongoClient) => Promise<T>,
  connect: (uri: string) => Promise<MongoClient> = connectMongo,
): Promise<T> {
  const client = await connect(await resolveUri(uriFrom, from));
  try {
    return await work(client);
  } finally {
    await client.close();
  }
}

/**
 * Which server it is, whatever name and credentials lead to it: the id of its replica set or of its cluster, else the
 * address by which it calls itself.
 */
export async function serverKey(client: MongoClient): Promise<string> {
  const admin = client.db('admin');
  const hello = await admin.command({ hello: 1 });
  const identity =
    (await clusterId(client, hello)) ??
    (await replicaSetId(client)) ??
    String(hello['me'] ?? hostsOf(client));
  return createHash('sha256').update(identity).digest('hex').slice(0, 24);
}

async function clusterId(client: MongoClient, hello: Record<string, unknown>): Promise<string | undefined> {
  if (hello['msg'] !== 'isdbgrid') return undefined;
  const version = await client
    .db('config')
    .collection('version')
    .findOne()
    .catch(() => null);
  return version?.['clusterId'] === undefined ? undefined : `cluster ${String(version['clusterId'])}`;
}

/** Needs the privilege clusterMonitor; without it the name that the server calls itself by must do. */
async function replicaSetId(client: MongoClient): Promise<string | undefined> {
  try {
    const { config } = await client.db('admin').command({ replSetGetConfig: 1 });
    const id = config?.settings?.replicaSetId as { toHexString(): string } | undefined;
    return id === undefined ? undefined : `replica set ${id.toHexString()}`;
  } catch {
    return undefined;
  }
}

function hostsOf(client: MongoClient): string {
  return client.options.hosts
    .map((host) => host.toString())
    .sort()
    .join(',');
}

/** The server's wall clock, milliseconds. */
export async function serverTime(client: MongoClient): Promise<number> {
  const { localTime } = await client.db('admin').command({ hello: 1 });
  return localTime instanceof Date ? localTime.getTime() : Number.NaN;
}

/** Bytes of BSON that the databases hold together; 0 when their statistics may not be read. */
export async function dataSize(client: MongoClient, databases: readonly string[] | null): Promise<number> {
  const { databases: all } = (await client.db('admin').command({ listDatabases: 1, nameOnly: true })) as {
    databases: { name: string }[];
  };
  let bytes = 0;
  for (const { name } of all) {
    if (name === 'local' || (databases !== null && !databases.includes(name))) continue;
    const stats = await client
      .db(name)
      .command({ dbStats: 1 })
      .catch(() => ({ dataSize: 0 }));
    bytes += Number(stats['dataSize'] ?? 0);
  }
  return bytes;
}
