// Many small collections: what costs per collection, and whether memory stays where it was.
import type { MongoClient } from 'mongodb';
import { startMongod } from '../../test/e2e/backup-engine.support.ts';
import type { Measurement } from './processes.ts';
import { backup, type Destination, type Place, policyFor, restore } from './slipway.ts';

const DOCUMENTS = 3;
const AT_ONCE = 8;
/** Of no round: a backup that is repeated under its number is found to be there already, and not taken again. */
const NUMBER = 999_999;

/** Clustered, because each collection and each index is a file, and 10,000 of both are more than many a machine opens. */
async function fillCollections(client: MongoClient, db: string, count: number): Promise<void> {
  let next = 0;
  const worker = async () => {
    for (let number = next++; number < count; number = next++) {
      const collection = await client.db(db).createCollection<{ _id: number }>(`collection_${number}`, {
        clusteredIndex: { key: { _id: 1 }, unique: true },
      });
      const documents = Array.from({ length: DOCUMENTS }, (_, n) => ({
        _id: n,
        number,
        text: 'x'.repeat(200),
      }));
      await collection.insertMany(documents, { writeConcern: { w: 1 } });
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

/** A backup of all of them, and a restore on a server of its own. */
export async function manyCollections(destination: Destination, count: number): Promise<Measurement[]> {
  const { proven, id } = await onServer(destination, async (place, client) => {
    await fillCollections(client, 'many', count);
    return await backup(place, policyFor(place, 'gzip', 'many'), NUMBER);
  });
  const { whole } = await onServer(destination, async (place, client) => {
    const restored = await restore(place, policyFor(place, 'gzip', 'many'), id, 'many');
    const found = await client.db('many').listCollections({}, { nameOnly: true }).toArray();
    if (found.length !== count) throw new Error(`${found.length} collections came back instead of ${count}`);
    return restored;
  });
  return [
    { ...proven, name: 'backup, proven' },
    { ...whole, name: 'restore, compared and swapped' },
  ];
}

async function onServer<T>(
  destination: Destination,
  work: (place: Place, client: MongoClient) => Promise<T>,
): Promise<T> {
  const server = await startMongod({ cacheGigabytes: 1 });
  try {
    return await work({ uri: server.uri, server: server.pid, destination }, server.client);
  } finally {
    await server.stop();
  }
}
