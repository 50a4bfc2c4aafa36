import { randomBytes } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { gunzip } from '../../src/storage/gunzip.ts';
import { collect, cut, inOneMemory } from './support/pieces.ts';

const bytes = Buffer.concat([randomBytes(700_000), Buffer.alloc(2_800_000, 'documents compress well, ')]);
/** As slipway writes it, and as mongodump does. */
const files = {
  'many members': Buffer.concat(cut(bytes, 300_000).map((block) => gzipSync(block))),
  'one member': gzipSync(bytes),
  'a member whose header has all there can be': Buffer.concat([
    Buffer.from([0x1f, 0x8b, 8, 0x1c, 0, 0, 0, 0, 0, 3]),
    Buffer.from([3, 0, 0, 0, 0]),
    Buffer.from('dump.archive\0a comment\0'),
    gzipSync(bytes).subarray(10),
  ]),
};
/** As if Node's streams held something else inside. */
const otherNode = { inflater: undefined };

describe('gunzip', () => {
  for (const [what, packed] of Object.entries(files)) {
    it.each([packed.length, 100_000, 7_001, 31])(
      `gives back ${what}, cut into pieces of %i bytes`,
      async (size) => {
        expect((await collect(gunzip(inOneMemory(cut(packed, size))))).equals(bytes)).toBe(true);
      },
    );

    it(`gives back ${what} without its sums`, async () => {
      const source = inOneMemory(cut(packed, 100_000));
      expect((await collect(gunzip(source, { withoutSums: true }))).equals(bytes)).toBe(true);
    });

    it(`gives back ${what} in a Node whose streams look otherwise inside`, async () => {
      const source = inOneMemory(cut(packed, 100_000));
      expect((await collect(gunzip(source, otherNode))).equals(bytes)).toBe(true);
    });
  }

  it('makes no memory for its pieces', async () => {
    const memories = new Set<ArrayBufferLike>();
    let pieces = 0;
    for await (const { buffer } of gunzip(inOneMemory([files['one member']]))) {
      memories.add(buffer);
      pieces++;
    }
    expect(pieces).toBeGreaterThan(3);
    expect(memories.size).toBe(1);
  });

  it('notices at whatever byte a small file is cut off', async () => {
    const small = gzipSync('a small archive');
    for (let length = 1; length < small.length; length++) {
      const source = inOneMemory([small.subarray(0, length)]);
      await expect(collect(gunzip(source)), `${length} bytes`).rejects.toMatchObject({ code: 'Z_BUF_ERROR' });
    }
    expect((await collect(gunzip(inOneMemory([small])))).toString()).toBe('a small archive');
  });

  it('notices whatever bit of a small file is another, unless it means nothing', async () => {
    const small = gzipSync('a small archive');
    const header = 10;
    let noticed = 0;
    for (let bit = header * 8; bit < small.length * 8; bit++) {
      const changed = Buffer.from(small);
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      try {
        const same = await collect(gunzip(inOneMemory(cut(changed, 3))));
        expect(same.toString(), `bit ${bit}`).toBe('a small archive');
      } catch (error) {
        expect(error, `bit ${bit}`).toMatchObject({ code: expect.stringMatching(/^Z_(DATA|BUF)_ERROR$/) });
        noticed++;
      }
    }
    const atMostFillingUpTheLastByte = 7;
    expect(noticed).toBeGreaterThanOrEqual((small.length - header) * 8 - atMostFillingUpTheLastByte);
  });

  it('takes zeros after the end as padding, and nothing else', async () => {
    const small = gzipSync('a small archive');
    const padded = gunzip(inOneMemory([small, Buffer.alloc(512)]));
    expect((await collect(padded)).toString()).toBe('a small archive');
    const followed = gunzip(inOneMemory([Buffer.concat([small, Buffer.from('other')])]));
    await expect(collect(followed)).rejects.toMatchObject({ code: 'Z_DATA_ERROR' });
  });

  it('passes on the error of its source, and lets the source go when nobody reads on', async () => {
    const broken = (async function* () {
      yield files['one member'].subarray(0, 1_000);
      await setImmediate();
      throw new Error('network cut');
    })();
    await expect(collect(gunzip(broken))).rejects.toThrow('network cut');
    let isOpen = true;
    const whole = (async function* () {
      try {
        yield* cut(files['many members'], 1_000);
      } finally {
        isOpen = false;
      }
    })();
    for await (const _ of gunzip(whole)) break;
    expect(isOpen).toBe(false);
  });
});
