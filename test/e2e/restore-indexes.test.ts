/** Index builds that take longer than the server may be silent otherwise. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connectForRestore, connectMongo } from '../../src/mongodb/connect.ts';
import { buildIndexes } from '../../src/mongodb/restore/collections.ts';
import { type MongoServer, startMongod } from './backup-engine.support.ts';
import { TcpProxy } from './support/tcp-proxy.ts';

const INDEXES = [
  new Map<string, unknown>([
    ['key', new Map([['n', 1]])],
    ['name', 'n_1'],
  ]),
];

let server: MongoServer;

beforeAll(async () => {
  server = await startMongod({ failPoints: true });
  await server.client.db('shop').collection('orders').insertOne({ n: 1 });
});

afterAll(() => server?.stop());

/** The server begins the build and says nothing more until `work` is done with it. */
async function duringBuild(
  client: Awaited<ReturnType<typeof connectMongo>>,
  work: (building: Promise<void>, release: () => Promise<unknown>) => Promise<unknown>,
  signal?: AbortSignal,
): Promise<void> {
  const hold = (mode: string) =>
    server.client.db('admin').command({ configureFailPoint: 'hangAfterStartingIndexBuild', mode });
  try {
    await server.client.db('shop').collection('orders').dropIndexes();
    await hold('alwaysOn');
    const building = buildIndexes(client.db('shop'), 'orders', INDEXES, signal);
    building.catch(() => undefined); // each test says what it expects
    await work(building, () => hold('off'));
  } finally {
    await hold('off');
    await client.close();
  }
}

const wait = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

describe('the indexes of a restore', () => {
  test('are built to the end however long the server is silent, where other answers have a limit', async () => {
    const impatient = await connectMongo(server.uri, { socketTimeoutMS: 500 });
    await duringBuild(impatient, (building) => expect(building).rejects.toThrow(/timed out/));
    const patient = await connectForRestore(server.uri);
    expect(patient.options.socketTimeoutMS).toBe(0);
    await duringBuild(patient, async (building, release) => {
      expect(await Promise.race([building.then(() => 'built'), wait(2_000)])).toBeUndefined();
      await release();
      await building;
    });
    const names = (await server.client.db('shop').collection('orders').indexes()).map(({ name }) => name);
    expect(names).toContain('n_1');
  });

  test('are waited for no longer when the wire has gone without a word', async () => {
    const proxy = await TcpProxy.start(Number(new URL(server.uri).port));
    try {
      const client = await connectForRestore(`mongodb://127.0.0.1:${proxy.port}/?directConnection=true`);
      await duringBuild(client, async (building) => {
        await wait(500);
        proxy.freeze();
        await expect(building).rejects.toThrow();
      });
    } finally {
      await proxy.stop();
    }
  });

  test('are waited for no longer when the restore is cancelled', async () => {
    const cancelled = new AbortController();
    await duringBuild(
      await connectForRestore(server.uri),
      async (building) => {
        await wait(500);
        cancelled.abort(new Error('enough'));
        await expect(building).rejects.toThrow('enough');
      },
      cancelled.signal,
    );
  });
});
