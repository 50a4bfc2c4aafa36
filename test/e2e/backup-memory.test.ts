/** What the process that dumps and restores holds in memory: with much data, with many collections, with a long oplog. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { StoredSlice } from '../../src/activities/backup/slices.ts';
import { hashes, type MongoServer, startMongod } from './backup-engine.support.ts';
import {
  backAgain,
  fillLarge,
  inEngine,
  LIMIT_BYTES,
  type Place,
  policyFor,
  thereAndBack,
  thereOnly,
} from './support/engine-memory.ts';

const COLLECTIONS = 2_000;
const MOST_COLLECTIONS = 10_000;

let server: MongoServer;
let directory: string;

beforeAll(async () => {
  [server, directory] = await Promise.all([
    startMongod({ cacheGigabytes: 0.5 }),
    mkdtemp(join(tmpdir(), 'slipway-memory-')),
  ]);
});

afterAll(async () => {
  await server?.stop();
  if (directory) await rm(directory, { recursive: true });
});

const at = (compression: string): Place => ({
  server,
  settings: `  destination: { directory: ${directory} }\n  compression: ${compression}\n`,
  env: {},
});

describe('the process that dumps and restores stays under 200 MB', () => {
  test('with more data than that', async () => {
    const db = await fillLarge(server.client, 'large');
    for (const compression of ['none', 'gzip', 'zstd']) await thereAndBack(at(compression), 'large');
    await db.dropDatabase();
  });

  test('with an oplog of more than that', async () => {
    const place = at('gzip');
    const policy = policyFor(place, 'large', 'slices');
    const store = () => inEngine<StoredSlice>('sliceOplog', { policy }, place);
    const head = await store();
    expect(head.result.report).toMatchObject({ more: false, slice: { chain: 1 } });
    const db = await fillLarge(server.client, 'large');
    let bytes = 0;
    for (let more = true; more; ) {
      const { result, peakBytes } = await store();
      more = result.report.more;
      bytes += result.report.slice?.bytes ?? 0;
      expect(result.report.slice?.gap ?? null).toBeNull();
      expect(peakBytes).toBeGreaterThan(30e6);
      expect(peakBytes).toBeLessThan(LIMIT_BYTES);
    }
    expect(bytes).toBeGreaterThan(LIMIT_BYTES);
    await db.dropDatabase();
  });

  test(`with ${COLLECTIONS} collections`, async () => {
    const db = server.client.db('many');
    let next = 0;
    const filling = async () => {
      for (let at = next++; at < COLLECTIONS; at = next++) {
        await db
          .collection(`c${at}`)
          .insertMany([{ at }, { text: 'x'.repeat(200) }], { writeConcern: { w: 1 } });
        if (at % 10 === 0) await db.collection(`c${at}`).createIndex({ at: 1 });
      }
    };
    await Promise.all(Array.from({ length: 8 }, filling));
    await thereAndBack(at('gzip'), 'many');
    await db.dropDatabase();
  });

  // Filling a server with so many and emptying it again takes minutes.
  test.runIf(process.env['SLIPWAY_SLOW_TESTS'])(
    `with ${MOST_COLLECTIONS} collections`,
    async () => {
      const db = server.client.db('most');
      let next = 0;
      const filling = async () => {
        for (let at = next++; at < MOST_COLLECTIONS; at = next++) {
          // Clustered, which is one file instead of two: more than 20,000 are too many for many a machine.
          const collection = await db.createCollection<{ _id: number }>(`c${at}`, {
            clusteredIndex: { key: { _id: 1 }, unique: true },
          });
          const documents = [1, 2, 3].map((_id) => ({ _id, at, text: 'x'.repeat(200) }));
          await collection.insertMany(documents, { writeConcern: { w: 1 } });
        }
      };
      await Promise.all(Array.from({ length: 8 }, filling));
      const { policy, summary } = await thereOnly(at('gzip'), 'most');
      const expected = await hashes(server.client, 'most');
      await db.dropDatabase();
      // A server of its own: one that has had 10,000 open has too many files open for 10,000 more.
      const other = await startMongod({ cacheGigabytes: 0.5 });
      try {
        await backAgain({ ...at('gzip'), server: other }, 'most', policy, summary, {}, expected);
      } finally {
        await other.stop();
      }
    },
    900_000,
  );
});
