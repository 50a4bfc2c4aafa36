import { randomBytes } from 'node:crypto';
import { type FileHandle, mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { filePieces } from '../../src/storage/file-pieces.ts';
import { peek } from '../../src/storage/peek.ts';
import { collect, cut, inOneMemory } from './support/pieces.ts';

const bytes = randomBytes(3_000_001);
let folder: string;
let path: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'slipway-pieces-'));
  path = join(folder, 'file');
  await writeFile(path, bytes);
});
afterAll(() => rm(folder, { recursive: true }));

describe('the pieces of a file', () => {
  let file: FileHandle;
  const opened = async () => (file = await open(path));
  const isClosed = () => file.fd === -1;

  it('are all of it, in memory that is used again', async () => {
    const memories = new Set<ArrayBufferLike>();
    for await (const { buffer } of filePieces(opened)) memories.add(buffer);
    expect(memories.size).toBe(2);
    expect((await collect(filePieces(opened))).equals(bytes)).toBe(true);
    expect(isClosed()).toBe(true);
  });

  it('stay as they are while the next is read ahead', async () => {
    let at = 0;
    for await (const piece of filePieces(opened)) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      expect(piece.equals(bytes.subarray(at, at + piece.length))).toBe(true);
      at += piece.length;
    }
    expect(at).toBe(bytes.length);
  });

  it('end with the reader, or with the signal, and the file is closed', async () => {
    for await (const _ of filePieces(opened)) break;
    expect(isClosed()).toBe(true);
    const stop = new AbortController();
    const reading = async () => {
      for await (const _ of filePieces(opened, stop.signal)) stop.abort(new Error('cancelled by the test'));
    };
    await expect(reading()).rejects.toThrow('cancelled by the test');
    expect(isClosed()).toBe(true);
  });

  it('of no file open nothing and say why', async () => {
    await expect(collect(filePieces(() => open(join(folder, 'none'))))).rejects.toThrow(/ENOENT/);
  });
});

describe('a look at the first bytes', () => {
  it.each([1, 3, 8, 5_000])('takes nothing from a stream in one memory, in pieces of %i', async (size) => {
    const few = bytes.subarray(0, 10_000);
    const { start, whole } = await peek(inOneMemory(cut(few, size)), 8);
    expect(start.equals(few.subarray(0, 8))).toBe(true);
    expect((await collect(whole)).equals(few)).toBe(true);
  });
});
