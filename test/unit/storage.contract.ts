// What every storage promises; run on a directory and on a real S3 server.
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  ObjectExistsError,
  ObjectNotFoundError,
  readSmall,
  type Storage,
  StorageError,
} from '../../src/storage/storage.ts';
import { collect } from './support/pieces.ts';

async function* chunked(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

/** Gives some bytes, then fails as a broken source would. */
async function* failing(bytes: number): AsyncGenerator<Buffer> {
  for (let given = 0; given < bytes; given += 1 << 20) yield Buffer.alloc(1 << 20, 1);
  throw new Error('the source broke');
}

/** `open` gives a storage whose root is empty and exists; `leftovers` counts what lies around that no listing shows. */
export function storageContract(
  kind: string,
  open: () => Promise<Storage>,
  leftovers: (storage: Storage) => Promise<number>,
): void {
  describe(`${kind} storage`, () => {
    let storage: Storage;
    const names = async () => (await storage.list()).map(({ name }) => name);
    beforeAll(async () => {
      storage = await open();
    });
    afterAll(() => storage.close());

    it.each([0, 1, 5_000_000, 20_000_001])(
      'stores a stream of %i bytes and gives back the same bytes',
      async (length) => {
        const bytes = randomBytes(length);
        const name = `stream-${length}.gz`;
        const staged = await storage.stage(name, chunked(bytes, 700_001));
        expect(staged.size).toBe(length);
        expect((await collect(await staged.read())).equals(bytes)).toBe(true);
        await staged.publish();
        expect(await storage.stat(name)).toMatchObject({ name, size: length });
        expect((await collect(await storage.read(name))).equals(bytes)).toBe(true);
        expect((await collect(await storage.pieces(name))).equals(bytes)).toBe(true);
        await storage.delete(name);
        expect(await storage.stat(name)).toBeUndefined();
      },
    );

    it('reads a range', async () => {
      await storage.write('range.txt', '0123456789');
      expect((await collect(await storage.read('range.txt', { start: 2, end: 4 }))).toString()).toBe('234');
      expect((await collect(await storage.read('range.txt', { start: 8 }))).toString()).toBe('89');
      await storage.delete('range.txt');
    });

    it('leaves nothing when the source fails, early or late', async () => {
      for (const bytes of [0, 30 << 20]) {
        await expect(storage.stage('broken.gz', failing(bytes))).rejects.toThrow('the source broke');
      }
      expect(await names()).not.toContain('broken.gz');
      expect(await leftovers(storage)).toBe(0);
    });

    it('leaves nothing when it is cancelled, and stops the source', async () => {
      const stop = new AbortController();
      let stopped = false;
      const endless = (async function* () {
        try {
          for (let number = 0; ; number++) {
            if (number === 20) stop.abort(new Error('cancelled by the test'));
            yield Buffer.alloc(1 << 20);
          }
        } finally {
          stopped = true;
        }
      })();
      await expect(storage.stage('cancelled.gz', endless, { signal: stop.signal })).rejects.toThrow();
      expect(stopped).toBe(true);
      expect(await names()).not.toContain('cancelled.gz');
      expect(await leftovers(storage)).toBe(0);
    });

    it('never replaces a file, unless told to', async () => {
      await storage.write('taken.json', 'first');
      await expect(storage.write('taken.json', 'second')).rejects.toThrow(ObjectExistsError);
      const second = storage.stage('taken.json', chunked(Buffer.from('second'), 3));
      await expect(second.then((staged) => staged.publish())).rejects.toThrow(ObjectExistsError);
      expect((await readSmall(storage, 'taken.json')).toString()).toBe('first');
      await storage.write('taken.json', 'third', { replace: true });
      expect((await readSmall(storage, 'taken.json')).toString()).toBe('third');
      await storage.delete('taken.json');
      await storage.removeUnfinished('taken.json');
    });

    it('discards what was staged, also after it was published', async () => {
      for (const publish of [false, true]) {
        const staged = await storage.stage('discarded.gz', chunked(Buffer.from('abc'), 1));
        if (publish) await staged.publish();
        await staged.discard();
        expect(await storage.stat('discarded.gz')).toBeUndefined();
      }
      expect(await leftovers(storage)).toBe(0);
    });

    it('lists by prefix and in order', async () => {
      for (const name of ['b-2.json', 'a-1.json', 'b-1.json']) await storage.write(name, name);
      expect((await storage.list('b-')).map(({ name, size }) => [name, size])).toEqual([
        ['b-1.json', 8],
        ['b-2.json', 8],
      ]);
      for (const name of ['b-2.json', 'a-1.json', 'b-1.json']) await storage.delete(name);
      expect(await names()).toEqual([]);
    });

    it('says that a file does not exist, and deletes it without complaint', async () => {
      await expect(storage.read('nothing.gz')).rejects.toThrow(ObjectNotFoundError);
      await expect(storage.read('nothing.gz')).rejects.toThrow(/nothing\.gz does not exist/);
      expect(await storage.stat('nothing.gz')).toBeUndefined();
      await storage.delete('nothing.gz');
    });

    it('takes no name that could lead elsewhere', async () => {
      for (const name of ['../x', 'a/b', '', '.hidden', 'a\0b', 'x'.repeat(201), 'ü']) {
        await expect(storage.write(name, 'x')).rejects.toThrow(StorageError);
        await expect(storage.stat(name)).rejects.toThrow(StorageError);
      }
    });
  });
}
