import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { streamOf } from '../../src/storage/channel.ts';
import { compress, type Compression, decompress, detectCompression } from '../../src/storage/compression.ts';
import { DirectoryStorage } from '../../src/storage/directory.ts';
import { partsOf } from '../../src/storage/s3-multipart.ts';
import { storageContract } from './storage.contract.ts';
import { collect, cut, inOneMemory } from './support/pieces.ts';
import { gunzipSync, zstdDecompressSync } from 'node:zlib';

const roots: string[] = [];
async function root(): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), 'slipway-storage-'));
  roots.push(made);
  return made;
}
afterAll(() => Promise.all(roots.map((path) => rm(path, { recursive: true }))));

storageContract(
  'directory',
  async () => new DirectoryStorage(await root()),
  async ({ location }) => (await readdir(location)).filter((name) => name.startsWith('.')).length,
);

async function* of(...chunks: Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks;
}

describe('a directory', () => {
  it('shows neither unfinished files, nor links, nor folders', async () => {
    const path = await root();
    const storage = new DirectoryStorage(path);
    await writeFile(join(path, '.dump.gz.0123456789ab.partial'), 'half');
    await writeFile(join(path, 'real.gz'), 'x');
    await symlink('/etc/passwd', join(path, 'link.gz'));
    expect((await storage.list()).map(({ name }) => name)).toEqual(['real.gz']);
    expect(await storage.stat('link.gz')).toBeUndefined();
    await expect(storage.read('link.gz')).rejects.toThrow(/does not exist/);
    await storage.delete('link.gz');
    expect(await readdir(path)).toContain('link.gz');
  });

  it('removes what a killed run left of one name, and nothing else', async () => {
    const path = await root();
    const left = ['.dump.gz.0123456789ab.partial', '.dump.gz.ffffffffffff.partial'];
    const others = ['.dump.gz.mine.partial', '.other.gz.0123456789ab.partial', 'dump.gz'];
    for (const name of [...left, ...others]) await writeFile(join(path, name), '');
    expect(await new DirectoryStorage(path).removeUnfinished('dump.gz')).toBe(2);
    expect((await readdir(path)).sort()).toEqual(others.sort());
  });

  it('does not invent the directory: an unmounted volume is an error that says so', async () => {
    const storage = new DirectoryStorage(join(await root(), 'not-mounted'));
    await expect(storage.stage('x.gz', of(Buffer.from('x')))).rejects.toThrow(
      /not-mounted: the directory does not exist \(is the volume mounted\?\)/,
    );
    await expect(storage.list()).rejects.toThrow(/does not exist/);
  });

  it('makes files that only their owner can read', async () => {
    const path = await root();
    const storage = new DirectoryStorage(path);
    await (await storage.stage('secret.gz', of(Buffer.from('x')))).publish();
    const { mode } = await import('node:fs').then((fs) => fs.statSync(join(path, 'secret.gz')));
    expect(mode & 0o077).toBe(0);
    expect(await readFile(join(path, 'secret.gz'), 'utf8')).toBe('x');
  });
});

describe('compression', () => {
  const bytes = Buffer.alloc(3_500_000, 'documents compress well, ');
  const chunks = [bytes.subarray(0, 1), bytes.subarray(1, 2_000_000), bytes.subarray(2_000_000)];

  it.each<Compression>(['none', 'gzip', 'zstd'])(
    '%s comes back the same and is recognized by its first bytes',
    async (kind) => {
      const packed = await collect(compress(of(...chunks), kind));
      expect(detectCompression(packed)).toBe(kind);
      expect((await collect(decompress(of(packed), kind))).equals(bytes)).toBe(true);
      for (const size of [1_000, packed.length >> 1]) {
        const pieces = inOneMemory(cut(packed, size));
        expect((await collect(decompress(pieces, kind))).equals(bytes), `pieces of ${size}`).toBe(true);
      }
    },
  );

  it('writes files that ordinary tools read', async () => {
    expect(gunzipSync(await collect(compress(of(...chunks), 'gzip'))).equals(bytes)).toBe(true);
    const zstd = await collect(compress(of(bytes.subarray(0, 1000)), 'zstd'));
    expect(zstdDecompressSync(zstd).equals(bytes.subarray(0, 1000))).toBe(true);
  });

  it.each<Compression>(['gzip', 'zstd'])(
    '%s: an archive of several blocks that was cut anywhere is noticed',
    async (kind) => {
      const packed = await collect(compress(of(...chunks), kind));
      for (const length of [1, 5, 9, 20, packed.length >> 1, packed.length - 9, packed.length - 1]) {
        const shortened = decompress(of(packed.subarray(0, length)), kind);
        await expect(collect(shortened), `cut to ${length}`).rejects.toThrow();
      }
    },
  );

  it('passes on an error of the source, and stops the source when the reader stops', async () => {
    const broken = (async function* () {
      yield Buffer.alloc(10);
      throw new Error('network cut');
    })();
    await expect(collect(decompress(compress(broken, 'zstd'), 'zstd'))).rejects.toThrow('network cut');
    let closed = false;
    const endless = (async function* () {
      try {
        for (;;) yield Buffer.alloc(1 << 20);
      } finally {
        closed = true;
      }
    })();
    for await (const _ of compress(endless, 'gzip')) break;
    expect(closed).toBe(true);
  });
});

describe('streamOf', () => {
  it('holds the producer back while nobody reads', async () => {
    let produced = 0;
    const stream = streamOf(
      async (sink) => {
        for (let number = 0; number < 100; number++) {
          await sink(Buffer.alloc(10));
          produced++;
        }
      },
      { capacity: 50 },
    );
    await stream.next();
    await new Promise((resolve) => setImmediate(resolve));
    expect(produced).toBeLessThanOrEqual(7);
    expect((await collect(stream)).length).toBe(990);
  });

  it('gives everything first, then the failure of the producer', async () => {
    const stream = streamOf(async (sink) => {
      await sink(Buffer.from('all of it'));
      throw new Error('dump failed');
    });
    expect(String((await stream.next()).value)).toBe('all of it');
    await expect(stream.next()).rejects.toThrow('dump failed');
  });

  it('stops the producer when the reader leaves, and waits until it has stopped', async () => {
    let ended = false;
    const stream = streamOf(
      async (sink, signal) => {
        try {
          while (!signal.aborted) await sink(Buffer.alloc(10));
        } finally {
          ended = true;
        }
      },
      { capacity: 5 },
    );
    for await (const _ of stream) break;
    expect(ended).toBe(true);
  });
});

describe('parts of an S3 upload', () => {
  it('are of 6 MiB, the last one shorter, and hold the same bytes', async () => {
    const bytes = Buffer.alloc(20 << 20, 'x');
    const parts = [];
    for await (const part of partsOf(of(bytes.subarray(0, 9 << 20), bytes.subarray(9 << 20))))
      parts.push(part);
    expect(parts.map(({ number, body, last }) => [number, body.length >> 20, last])).toEqual([
      [1, 6, false],
      [2, 6, false],
      [3, 6, false],
      [4, 2, true],
    ]);
  });

  it('of an empty stream is one empty part', async () => {
    const parts = [];
    for await (const part of partsOf(of())) parts.push(part);
    expect(parts).toMatchObject([{ number: 1, last: true, body: Buffer.alloc(0) }]);
  });
});
