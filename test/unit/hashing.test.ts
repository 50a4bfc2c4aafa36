/** SHA-256 on the way, by a thread of its own. */
import { createHash } from 'node:crypto';
import { afterEach, describe, expect, test } from 'vitest';
import fc from 'fast-check';
import { ringBytes } from '../../src/storage/hash-ring.ts';
import { hashAside, type Hasher, HashingThread, hashOnTheSpot } from '../../src/storage/hashing.ts';

const threads: HashingThread[] = [];
afterEach(async () => {
  await Promise.all(threads.splice(0).map((thread) => thread.close()));
});

/** The real one, or one of test/fixtures/hash-threads. */
function thread(name?: 'dies' | 'sleeps'): HashingThread {
  const code = name && new URL(`../fixtures/hash-threads/${name}.mjs`, import.meta.url);
  const made = new HashingThread(code);
  threads.push(made);
  return made;
}

const noise = Buffer.concat(
  Array.from({ length: 64 }, () => crypto.getRandomValues(new Uint8Array(1 << 16))),
);

async function hashOf(hasher: Hasher, chunks: Uint8Array[]): Promise<string> {
  const hash = hasher.start();
  for (const chunk of chunks) await hash.update(chunk);
  return await hash.digest();
}

function expected(chunks: Uint8Array[]): string {
  const hash = createHash('sha256');
  for (const chunk of chunks) hash.update(chunk);
  return hash.digest('hex');
}

describe('a thread that hashes', () => {
  test('gives the hash of the bytes in their order, however they are cut, one stream after the other', async () => {
    const hasher = thread();
    const chunk = fc
      .tuple(
        fc.oneof(fc.nat(100), fc.nat(noise.length), fc.constantFrom(1 << 18, 1 << 20, noise.length)),
        fc.nat(1000),
      )
      .map(([length, from]) => noise.subarray(from, length));
    await fc.assert(
      fc.asyncProperty(fc.array(chunk, { maxLength: 12 }), async (chunks) => {
        expect(await hashOf(hasher, chunks)).toBe(expected(chunks));
      }),
      { numRuns: 60 },
    );
  });

  test('has taken a chunk when it says so: its memory may be used again', async () => {
    const hash = thread().start();
    const memory = Buffer.alloc(300_000);
    const all = createHash('sha256');
    for (let round = 0; round < 100; round++) {
      memory.fill(round);
      all.update(memory);
      await hash.update(memory);
    }
    expect(await hash.digest()).toBe(all.digest('hex'));
  });

  test('drops what an unfinished stream has left', async () => {
    const hasher = thread();
    await hasher.start().update(noise);
    expect(await hashOf(hasher, [noise.subarray(5)])).toBe(expected([noise.subarray(5)]));
  });

  test('goes on when the positions in its ring go round', async () => {
    // They begin one ring before the greatest number of 32 bits.
    const chunks = Array.from({ length: 12 }, (_, at) => noise.subarray(at));
    expect(chunks.length * noise.length).toBeGreaterThan(10 * ringBytes);
    expect(await hashOf(thread(), chunks)).toBe(expected(chunks));
  });

  test('holds no more than its ring: then the stream waits, until it is cancelled', async () => {
    const stopped = new AbortController();
    const hash = thread('sleeps').start(stopped.signal);
    let taken = 0;
    for (const piece = noise.subarray(0, 1 << 18); taken < ringBytes; taken += piece.length)
      expect(hash.update(piece)).toBeUndefined();
    const waiting = hash.update(noise.subarray(0, 1));
    expect(waiting).toBeInstanceOf(Promise);
    stopped.abort(new Error('cancelled'));
    await expect(waiting).rejects.toThrow('cancelled');
    await expect(hash.digest()).rejects.toThrow('cancelled');
  });

  test('gives no hash when it dies: not to a stream that waits for room, not to its end, not to the next', async () => {
    const hasher = thread('dies');
    const hash = hasher.start();
    const waiting = (async () => {
      for (;;) await hash.update(noise);
    })();
    await expect(waiting).rejects.toThrow('the thread that hashes has ended');
    await expect(waiting).rejects.toMatchObject({ cause: { message: 'out of luck' } });
    await expect(hash.digest()).rejects.toThrow('has ended');
    await expect(hashOf(hasher, [noise])).rejects.toThrow('has ended');
  });

  test('gives no hash when it dies after the last byte', async () => {
    const hash = thread('dies').start();
    await hash.update(noise.subarray(0, 10));
    await expect(hash.digest()).rejects.toThrow('has ended');
  });

  test('gives no hash when its code is missing, or it has been closed', async () => {
    const missing = new HashingThread(new URL('./no-such-thread.mjs', import.meta.url));
    threads.push(missing);
    await expect(hashOf(missing, [noise])).rejects.toThrow('has ended');
    const closed = thread();
    await closed.close();
    await expect(hashOf(closed, [noise])).rejects.toThrow('has ended');
  });
});

test('where no thread is to be had, hashing on the spot gives the same', async () => {
  const hasher = hashAside(new URL('http://127.0.0.1/no-thread-begins-here.mjs'));
  expect(hasher).toBe(hashOnTheSpot);
  const chunks = [noise, noise.subarray(7, 1000)];
  expect(await hashOf(hasher, chunks)).toBe(expected(chunks));
});
