import { createHash } from 'node:crypto';
import { createReadStream, readFileSync } from 'node:fs';
import { BSON, Int32 } from 'mongodb';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  encodeBlockHeader,
  encodeDescription,
  encodeHeader,
  magic,
  terminator,
} from '../../src/mongodb/archive/format.ts';
import {
  type ArchiveEvent,
  ArchiveReader,
  type NamespaceSummary,
  readArchive,
} from '../../src/mongodb/archive/reader.ts';
import { ArchiveWriter } from '../../src/mongodb/archive/writer.ts';
import { unwrapArchive } from '../../src/mongodb/backup/archive-file.ts';
import { crc64 } from '../../src/mongodb/kernels.ts';

const header = { concurrentCollections: 4, serverVersion: '6.0.5', toolVersion: 'test' };
const description = (collection: string) => ({
  db: 'a',
  collection,
  metadata: '{"indexes":[]}',
  type: 'collection' as const,
});
const document = (value: object) => Buffer.from(BSON.serialize(value));
const ns = (collection: string) => ({ db: 'a', collection });

/** Two namespaces whose segments are mixed, one empty namespace. */
async function smallArchive(): Promise<{ bytes: Buffer; preludeSha256: string; preludeLength: number }> {
  const parts: Buffer[] = [];
  const writer = new ArchiveWriter(async (chunk) => void parts.push(chunk), header);
  await writer.prelude(
    [description('c'), description('d'), description('empty')],
    [ns('c'), ns('d'), ns('empty')],
  );
  const preludeLength = Buffer.concat(parts).length;
  await writer.documents(ns('c'), { data: document({ _id: 1, s: 'hi' }), count: 1 });
  await writer.documents(ns('d'), {
    data: Buffer.concat([document({ _id: 1 }), document({ _id: 2 })]),
    count: 2,
  });
  await writer.end(ns('empty'));
  await writer.documents(ns('c'), { data: document({ _id: 2 }), count: 1 });
  await writer.end(ns('c'));
  await writer.end(ns('d'));
  await writer.close();
  return { bytes: Buffer.concat(parts), preludeSha256: writer.preludeSha256, preludeLength };
}

function parse(bytes: Buffer, chunkSize = bytes.length): ArchiveEvent[] {
  const reader = new ArchiveReader();
  const events: ArchiveEvent[] = [];
  for (let at = 0; at < bytes.length; at += chunkSize)
    events.push(...reader.push(bytes.subarray(at, at + chunkSize)));
  reader.end();
  return events;
}

const summaries = (events: ArchiveEvent[]) =>
  events.flatMap((event) => (event.kind === 'end' && event.summary ? [event.summary] : []));
const preludeHash = (events: ArchiveEvent[]) =>
  events.flatMap((event) => (event.kind === 'prelude' ? [event.sha256] : []))[0];

/** An archive with the given blocks after a prelude that announces `a.c`. */
const withBlocks = (...blocks: Buffer[]) =>
  Buffer.concat([magic, encodeHeader(header), encodeDescription(description('c')), terminator, ...blocks]);

describe('the archive reader', () => {
  it('reads what the writer wrote: namespaces, counts, CRCs', async () => {
    const { bytes, preludeSha256, preludeLength } = await smallArchive();
    const events = parse(bytes);
    expect(summaries(events).map(({ collection, documents }) => [collection, documents])).toEqual([
      ['empty', 0],
      ['c', 2],
      ['d', 2],
    ]);
    expect(preludeHash(events)).toBe(preludeSha256);
    expect(createHash('sha256').update(bytes.subarray(0, preludeLength)).digest('hex')).toBe(preludeSha256);
  });

  it('gives the same whatever the size of the chunks', async () => {
    const { bytes } = await smallArchive();
    const whole = summaries(parse(bytes));
    for (let size = 1; size <= 64; size++) expect(summaries(parse(bytes, size))).toEqual(whole);
  });

  it('gives every document once, in order, whatever the chunks', async () => {
    const { bytes } = await smallArchive();
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }), (sizes) => {
        const reader = new ArchiveReader();
        const documents: string[] = [];
        for (let at = 0, turn = 0; at < bytes.length; turn++) {
          const size = sizes[turn % sizes.length] ?? 1;
          for (const event of reader.push(bytes.subarray(at, at + size))) {
            if (event.kind === 'documents' && event.namespace.collection === 'c')
              documents.push(event.data.toString('hex'));
          }
          at += size;
        }
        reader.end();
        expect(documents.join('')).toBe(
          Buffer.concat([document({ _id: 1, s: 'hi' }), document({ _id: 2 })]).toString('hex'),
        );
      }),
    );
  });

  it('computes no sums of what others compare, and all others as ever', async () => {
    const { bytes } = await smallArchive();
    const parts = Buffer.from(bytes);
    parts.write('ho', parts.indexOf('hi\0'));
    const read = async (withoutSums: (namespace: { collection: string }) => boolean) => {
      const events: ArchiveEvent[] = [];
      const chunks = (async function* () {
        yield parts;
      })();
      for await (const event of readArchive(chunks, { withoutSums })) events.push(event);
      return summaries(events).map(({ collection }) => collection);
    };
    expect(await read(({ collection }) => collection === 'c')).toEqual(['empty', 'd']);
    await expect(read(({ collection }) => collection === 'd')).rejects.toThrow('a.c is damaged');
  });

  it('detects that the archive was cut, at every byte', async () => {
    const { bytes } = await smallArchive();
    for (let length = 0; length < bytes.length; length++) {
      expect(() => parse(bytes.subarray(0, length)), `cut to ${length} bytes`).toThrow();
    }
  });

  it('detects every flipped bit: by itself after the prelude, by the hash of the prelude within it', async () => {
    const { bytes, preludeSha256, preludeLength } = await smallArchive();
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const damaged = Buffer.from(bytes);
      damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      let events: ArchiveEvent[] = [];
      try {
        events = parse(damaged);
      } catch {
        continue;
      }
      const at = bit >> 3;
      expect(at, `bit ${bit & 7} of byte ${at} was not noticed`).toBeLessThan(preludeLength);
      expect(preludeHash(events)).not.toBe(preludeSha256);
    }
  });

  it('refuses what the format forbids, and says where', () => {
    const one = document({ _id: 1 });
    const start = encodeBlockHeader(ns('c'), false, 0n);
    const end = Buffer.concat([encodeBlockHeader(ns('c'), true, crc64(one)), terminator]);
    const good = withBlocks(start, one, terminator, end);
    expect(summaries(parse(good))).toHaveLength(1);
    const wrong: [string, Buffer, RegExp][] = [
      ['one byte after the end', Buffer.concat([good, Buffer.alloc(1)]), /truncated/],
      ['no end of the namespace', withBlocks(start, one, terminator), /a\.c has no end/],
      ['an announced namespace that never comes', withBlocks(), /a\.c is announced but did not come/],
      [
        'a namespace that was not announced',
        withBlocks(encodeBlockHeader(ns('x'), false, 0n)),
        /a\.x, which the archive does not describe/,
      ],
      ['a segment after the end', Buffer.concat([good, start, one, terminator]), /goes on after its end/],
      ['two terminators', withBlocks(start, one, terminator, terminator), /two terminators/],
      [
        'a wrong CRC',
        withBlocks(start, one, terminator, encodeBlockHeader(ns('c'), true, 1n), terminator),
        /a\.c is damaged/,
      ],
      [
        'a document after the end header',
        withBlocks(encodeBlockHeader(ns('c'), true, 0n), one),
        /document after the end/,
      ],
      [
        'an impossible length',
        withBlocks(start, Buffer.from([4, 0, 0, 0])),
        /neither a document's length nor a terminator/,
      ],
      [
        'an unknown field in a block header',
        withBlocks(document({ db: 'a', collection: 'c', EOF: false, CRC: BSON.Long.fromNumber(0), x: 1 })),
        /unknown field "x"/,
      ],
      ['another file', Buffer.from('PK\x03\x04 this is a zip file'), /not a mongodump archive/],
      [
        'a collection described twice',
        Buffer.concat([
          magic,
          encodeHeader(header),
          encodeDescription(description('c')),
          encodeDescription(description('c')),
        ]),
        /described twice/,
      ],
    ];
    for (const [name, bytes, message] of wrong) expect(() => parse(bytes), name).toThrow(message);
    expect(() => parse(withBlocks(start, Buffer.from([4, 0, 0, 0])))).toThrow(
      /at byte \d+ of the uncompressed archive/,
    );
  });

  it('accepts what mongorestore accepts: missing size and type, extra fields, many open namespaces', () => {
    const names = Array.from({ length: 20 }, (_, at) => `c${at}`);
    const bytes = Buffer.concat([
      magic,
      document({
        concurrent_collections: new Int32(4),
        version: '0.2',
        server_version: '6.0.5',
        tool_version: '',
        xSlipway: 1,
      }),
      ...names.map((collection) => document({ db: 'a', collection, metadata: '', more: true })),
      terminator,
      ...names.flatMap((name) => [encodeBlockHeader(ns(name), false, 0n), terminator]),
      ...names.flatMap((name) => [encodeBlockHeader(ns(name), true, 0n), terminator]),
    ]);
    expect(summaries(parse(bytes))).toHaveLength(20);
  });

  it('takes an oplog entry of 16 MiB and 272 bytes, and refuses 16 MiB and 16 KiB and one byte', () => {
    const sized = (length: number) => {
      const bytes = Buffer.alloc(length);
      bytes.writeInt32LE(length);
      return bytes;
    };
    const entry = sized(16_777_488);
    const end = Buffer.concat([terminator, encodeBlockHeader(ns('c'), true, crc64(entry)), terminator]);
    expect(
      summaries(parse(withBlocks(encodeBlockHeader(ns('c'), false, 0n), entry, end), 1 << 20))[0]?.bytes,
    ).toBe(entry.length);
    expect(() => parse(withBlocks(encodeBlockHeader(ns('c'), false, 0n), sized(16_793_601)))).toThrow(
      /neither a document/,
    );
  });
});

describe('archives of the real mongodump', () => {
  const folder = new URL('../fixtures/mongodump/', import.meta.url);
  const expected = JSON.parse(readFileSync(new URL('expected.json', folder), 'utf8')) as {
    counts: Record<string, number>;
  };

  it.each(['shop.archive.gz', 'full-oplog.archive.gz', 'kinds.archive'])(
    '%s: all CRCs hold and counts are as expected',
    async (file) => {
      const found: NamespaceSummary[] = [];
      for await (const event of readArchive(unwrapArchive(createReadStream(new URL(file, folder))))) {
        if (event.kind === 'end' && event.summary) found.push(event.summary);
      }
      const shop = found.filter(({ db }) => db === 'shop');
      for (const { collection, documents } of shop) {
        if (collection in expected.counts) expect(documents, collection).toBe(expected.counts[collection]);
      }
      expect(shop).toHaveLength(file === 'kinds.archive' ? 1 : 11);
    },
  );
});

describe('the archive writer', () => {
  it('writes the fields of each header in the order and types that mongorestore reads', () => {
    expect(document({}).length).toBe(5);
    expect(encodeBlockHeader({ db: 'a', collection: 'c' }, true, 0x34ca26be0b8dff1fn).toString('hex')).toBe(
      '34000000' +
        '026462000200000061' +
        '00' +
        '02636f6c6c656374696f6e000200000063' +
        '00' +
        '08454f460001' +
        '12435243001fff8d0bbe26ca34' +
        '00',
    );
  });

  it('never opens more namespaces than the header says, for mongorestore would hang', async () => {
    const writer = new ArchiveWriter(async () => undefined, { ...header, concurrentCollections: 2 });
    const names = ['x', 'y', 'z'];
    await writer.prelude(names.map(description), names.map(ns));
    await writer.documents(ns('x'), { data: document({}), count: 1 });
    await writer.documents(ns('y'), { data: document({}), count: 1 });
    await expect(writer.documents(ns('z'), { data: document({}), count: 1 })).rejects.toThrow(
      /more than 2 namespaces/,
    );
    await writer.end(ns('x'));
    await writer.documents(ns('z'), { data: document({}), count: 1 });
  });

  it('does not close while an announced namespace is missing', async () => {
    const writer = new ArchiveWriter(async () => undefined, header);
    await writer.prelude([description('c')], [ns('c')]);
    await expect(writer.close()).rejects.toThrow(/announces a\.c/);
    await expect(writer.documents(ns('other'), { data: document({}), count: 1 })).rejects.toThrow(
      /does not announce/,
    );
  });

  it('keeps blocks whole when several readers write at once', async () => {
    const parts: Buffer[] = [];
    const slowly = async (chunk: Buffer) => {
      await new Promise((resolve) => setImmediate(resolve));
      parts.push(chunk);
    };
    const writer = new ArchiveWriter(slowly, header);
    const names = ['w', 'x', 'y', 'z'];
    await writer.prelude(names.map(description), names.map(ns));
    await Promise.all(
      names.map(async (name) => {
        for (let number = 0; number < 20; number++)
          await writer.documents(ns(name), { data: document({ number, name }), count: 1 });
        await writer.end(ns(name));
      }),
    );
    await writer.close();
    expect(summaries(parse(Buffer.concat(parts))).map(({ documents }) => documents)).toEqual([
      20, 20, 20, 20,
    ]);
  });

  it('passes a failing sink on to every writer', async () => {
    const writer = new ArchiveWriter(async (chunk) => {
      if (!chunk.subarray(0, 4).equals(magic)) throw new Error('disk full');
    }, header);
    await writer.prelude([description('c'), description('d')], [ns('c'), ns('d')]);
    const writes = ['c', 'd'].map((name) => writer.documents(ns(name), { data: document({}), count: 1 }));
    for (const result of await Promise.allSettled(writes))
      expect(result).toMatchObject({ status: 'rejected', reason: { message: 'disk full' } });
  });
});
