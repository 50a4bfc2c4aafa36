/** What the process that dumps and restores holds in memory: with much data, with many collections, with a long oplog. */
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runEngine } from '../../src/activities/backup/engine.ts';
import type { EngineJob } from '../../src/activities/backup/engine.types.ts';
import type { StoredSlice } from '../../src/activities/backup/slices.ts';
import type { RestoreWork, TakeInput } from '../../src/activities/backup/types.ts';
import type { RestoreResult } from '../../src/domain/backup/restore.types.ts';
import type { BackupSummary } from '../../src/domain/backup/types.ts';
import { parseBackupPolicy } from '../../src/specs/backup.ts';
import type { BackupPolicy } from '../../src/specs/backup.types.ts';
import { hashes, type MongoServer, startMongod } from './backup-engine.support.ts';

const LIMIT_BYTES = 200e6;
const COLLECTIONS = 2_000;
const ENGINE = fileURLToPath(new URL('../../src/engine.ts', import.meta.url));

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

function policyFor(database: string, compression: string): BackupPolicy {
  return parseBackupPolicy(`
apiVersion: slipway/v1
kind: BackupPolicy
metadata: { name: ${database}-${compression} }
spec:
  source: { uriFrom: { env: MONGODB_URI }, databases: [${database}] }
  schedule: { at: "02:00" }
  destination: { directory: ${directory} }
  compression: ${compression}
`);
}

const children = () =>
  readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').trim().split(' ').filter(Boolean);

/** A job of the engine as the worker starts it, and the most memory that it ever held. */
async function inEngine<T>(job: EngineJob, input: unknown): Promise<{ result: T; peakBytes: number }> {
  const others = new Set([...children(), String(server.pid)]);
  let peakBytes = 0;
  const sampling = setInterval(() => {
    for (const pid of children().filter((each) => !others.has(each))) {
      try {
        const kib = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
        peakBytes = Math.max(peakBytes, Number(kib ?? 0) * 1024);
      } catch {
        // it has just ended
      }
    }
  }, 20);
  try {
    const result = await runEngine<T>(
      { job, input, attempt: 1, signal: new AbortController().signal, report: () => undefined },
      { env: { ...process.env, MONGODB_URI: server.uri }, kube: null, engine: ENGINE, version: 'test' },
    );
    return { result, peakBytes };
  } finally {
    clearInterval(sampling);
  }
}

let number = 0;

async function thereAndBack(database: string, compression: string): Promise<void> {
  const policy = policyFor(database, compression);
  const id = `dump-20260101-${String(++number).padStart(6, '0')}`;
  const take: TakeInput = { policy, id, workflow: { id: 'w', run: 'r' } };
  const taken = await inEngine<BackupSummary>('takeBackup', take);
  expect(taken.peakBytes).toBeGreaterThan(30e6);
  expect(taken.peakBytes).toBeLessThan(LIMIT_BYTES);
  const into = `${database}_again`;
  const work: RestoreWork = {
    origin: { policy, backup: { id } },
    target: { uriFrom: policy.spec.source.uriFrom },
    selection: {
      databases: null,
      collections: null,
      rename: [{ from: `${database}.*`, to: `${into}.*` }],
      users: false,
    },
    archive: id,
    replace: false,
    claimant: `${id}-${into}`,
  };
  const restored = await inEngine<RestoreResult>('restore', work);
  expect(restored.result.documents).toBe(taken.result.documents);
  expect(restored.peakBytes).toBeLessThan(LIMIT_BYTES);
  expect(await hashes(server.client, into)).toEqual(await hashes(server.client, database));
  await server.client.db(into).dropDatabase();
}

/** More than the process may hold: texts that compress, and bytes that do not. */
async function fillLarge(): Promise<void> {
  const words = Array.from({ length: 4_000 }, () => Math.random().toString(36).slice(2));
  const text = (length: number) =>
    Array.from({ length }, () => words[Math.floor(Math.random() * words.length)]).join(' ');
  const db = server.client.db('large');
  for (let batch = 0; batch < 90; batch++) {
    const documents = Array.from({ length: 1_000 }, (_, n) => ({ batch, n, text: text(100) }));
    await db.collection('texts').insertMany(documents, { writeConcern: { w: 1 } });
    const blobs = Array.from({ length: 20 }, () => ({
      bytes: crypto.getRandomValues(new Uint8Array(65_000)),
    }));
    await db.collection('blobs').insertMany(blobs, { writeConcern: { w: 1 } });
  }
  expect(Number((await db.stats())['dataSize'])).toBeGreaterThan(LIMIT_BYTES);
}

describe('the process that dumps and restores stays under 200 MB', () => {
  test('with more data than that', async () => {
    await fillLarge();
    for (const compression of ['gzip', 'zstd']) await thereAndBack('large', compression);
    await server.client.db('large').dropDatabase();
  });

  test('with an oplog of more than that', async () => {
    const policy = policyFor('large', 'gzip');
    const store = () => inEngine<StoredSlice>('sliceOplog', { policy });
    const head = await store();
    expect(head.result.report).toMatchObject({ more: false, slice: { chain: 1 } });
    await fillLarge();
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
    await server.client.db('large').dropDatabase();
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
    await thereAndBack('many', 'gzip');
    await db.dropDatabase();
  });
});
