/** A backup whose bytes are hashed by a thread of its own. */
import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type BackupOptions, createBackup } from '../../src/mongodb/backup.ts';
import { verifyBackup } from '../../src/mongodb/backup/catalog.ts';
import type { BackupManifest } from '../../src/specs/manifest.ts';
import { DirectoryStorage } from '../../src/storage/directory.ts';
import { parseKey } from '../../src/storage/encryption.ts';
import { ringBytes } from '../../src/storage/hash-ring.ts';
import { HashingThread } from '../../src/storage/hashing.ts';
import { type MongoServer, startMongod } from './backup-engine.support.ts';

const DOCUMENTS = 1_000;
const SIZE = 16_384;

let server: MongoServer;
let directory: string;
let number = 0;

beforeAll(async () => {
  server = await startMongod();
  directory = await mkdtemp(join(tmpdir(), 'slipway-hashing-'));
  const documents = Array.from({ length: DOCUMENTS }, () => ({
    noise: crypto.getRandomValues(Buffer.alloc(SIZE)),
  }));
  await server.client.db('big').collection('noise').insertMany(documents);
  expect(DOCUMENTS * SIZE).toBeGreaterThan(3 * ringBytes);
});

afterAll(async () => {
  await server?.stop();
  if (directory) await rm(directory, { recursive: true });
});

/** By the real thread, or one of test/fixtures/hash-threads. */
async function backup(options: Partial<BackupOptions>, thread?: 'dies' | 'sleeps'): Promise<BackupManifest> {
  const code = thread && new URL(`../fixtures/hash-threads/${thread}.mjs`, import.meta.url);
  const hasher = new HashingThread(code);
  try {
    return await createBackup(server.client, new DirectoryStorage(directory), {
      policy: 'test',
      owner: `run-${++number}`,
      id: `dump-${number}`,
      compression: 'none',
      databases: ['big'],
      toolVersion: 'slipway test',
      hasher,
      ...options,
    });
  } finally {
    await hasher.close();
  }
}

describe('a thread that hashes what a backup stores and reads back', () => {
  const key = parseKey('0'.repeat(64));
  test.each<[string, Partial<BackupOptions>]>([
    ['as it is', {}],
    ['compressed', { compression: 'zstd' }],
    ['encrypted', { key }],
  ])('notes the hash of the file, %s', async (_, options) => {
    const { id, archive } = await backup(options);
    const stored = await readFile(join(directory, archive.name));
    expect(archive.sha256).toBe(createHash('sha256').update(stored).digest('hex'));
    await verifyBackup(new DirectoryStorage(directory), id, { key });
  });

  test('fails the backup when it dies, and nothing is left', async () => {
    const before = await readdir(directory);
    await expect(backup({}, 'dies')).rejects.toThrow('the thread that hashes has ended');
    expect(await readdir(directory)).toEqual(before);
  });

  test('holds up no backup that is cancelled, though it takes nothing: that ends, and nothing is left', async () => {
    const before = await readdir(directory);
    const stop = new AbortController();
    let dumped = 0;
    const made = backup({ signal: stop.signal, onProgress: ({ bytes }) => (dumped = bytes) }, 'sleeps');
    made.catch(() => undefined);
    await expect.poll(() => dumped, { timeout: 20_000 }).toBeGreaterThan(ringBytes);
    expect(dumped, 'the ring is full, and the dump has not gone on').toBeLessThan(DOCUMENTS * SIZE);
    stop.abort(new Error('cancelled'));
    await expect(made).rejects.toThrow('cancelled');
    expect(await readdir(directory)).toEqual(before);
  });
});
