// Many small collections: what costs per collection, and whether memory stays where it was.
import type { MongoClient } from 'mongodb';
import { backup, type Place, policyFor, restore } from './slipway.ts';
import type { Measurement } from './processes.ts';

const DOCUMENTS = 3;
const AT_ONCE = 8;

/** Collections of a few documents with one index besides `_id`. */
export async function fillCollections(client: MongoClient, db: string, count: number): Promise<void> {
  let next = 0;
  const worker = async () => {
    for (let number = next++; number < count; number = next++) {
      const collection = client.db(db).collection<{ _id: number }>(`collection_${number}`);
      const documents = Array.from({ length: DOCUMENTS }, (_, n) => ({
        _id: n,
        number,
        text: 'x'.repeat(200),
      }));
      await collection.insertMany(documents, { writeConcern: { w: 1 } });
      if (number % 10 === 0) await collection.createIndex({ number: 1 });
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

/** A backup and a restore under another name of all of them. */
export async function manyCollections(
  client: MongoClient,
  place: Place,
  count: number,
): Promise<Measurement[]> {
  await fillCollections(client, 'many', count);
  const policy = policyFor(place.directory, 'gzip', 'many');
  const { proven, id } = await backup(place, policy, 1);
  const { whole } = await restore(place, policy, id, 'many_again');
  await Promise.all(['many', 'many_again'].map((db) => client.db(db).dropDatabase()));
  return [
    { ...proven, name: 'backup, proven' },
    { ...whole, name: 'restore, compared and swapped' },
  ];
}
