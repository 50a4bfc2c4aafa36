import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decrypt, encrypt, EncryptionError, isEncrypted, parseKey } from '../../src/storage/encryption.ts';

const key = parseKey(Buffer.alloc(32, 7));
const chunk = (1 << 20) + 16;

async function* of(bytes: Uint8Array, size = bytes.length || 1): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}
async function collect(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of source) parts.push(part);
  return Buffer.concat(parts);
}
const sealed = (bytes: Uint8Array) => collect(encrypt(of(bytes), key));
const opened = (bytes: Uint8Array) => collect(decrypt(of(bytes, 100_000), key));

describe('client-side encryption', () => {
  it.each([0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3 << 20])('gives back %i bytes', async (length) => {
    const bytes = randomBytes(length);
    const stored = await sealed(bytes);
    expect(isEncrypted(stored)).toBe(true);
    expect((await opened(stored)).equals(bytes)).toBe(true);
  });

  it('never writes the same bytes twice, and never the plain ones', async () => {
    const secret = Buffer.from('the card number is 4111 1111 1111 1111');
    const [a, b] = await Promise.all([sealed(secret), sealed(secret)]);
    expect(a.equals(b)).toBe(false);
    expect(a.includes('4111')).toBe(false);
  });

  it('notices every flipped bit', async () => {
    const stored = await sealed(Buffer.from('document'));
    for (let bit = 0; bit < stored.length * 8; bit++) {
      const changed = Buffer.from(stored);
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      await expect(opened(changed), `bit ${bit}`).rejects.toThrow(EncryptionError);
    }
  });

  it('notices a cut at every byte', async () => {
    const stored = await sealed(Buffer.from('document'));
    for (let length = 0; length < stored.length; length++)
      await expect(opened(stored.subarray(0, length))).rejects.toThrow(EncryptionError);
  });

  it('notices chunks that were swapped, repeated, left out or cut off at their border', async () => {
    const stored = await sealed(randomBytes(2_500_000));
    const start = stored.length - (2 * chunk + 2_500_000 - 2 * (1 << 20) + 16);
    const header = stored.subarray(0, start);
    const chunks = [0, 1, 2].map((number) =>
      stored.subarray(start + number * chunk, start + (number + 1) * chunk),
    );
    const order = (...numbers: number[]) =>
      Buffer.concat([header, ...numbers.map((number) => chunks[number] as Buffer)]);
    await expect(opened(order(0, 1, 2))).resolves.toHaveLength(2_500_000);
    for (const wrong of [[1, 0, 2], [0, 0, 1, 2], [0, 2], [0, 1], [0], [], [0, 1, 2, 2]]) {
      await expect(opened(order(...wrong)), wrong.join()).rejects.toThrow(EncryptionError);
    }
  });

  it('says which key is needed, and shows neither', async () => {
    const stored = await sealed(Buffer.from('x'));
    const other = parseKey(Buffer.alloc(32, 8));
    const failure = collect(decrypt(of(stored), other));
    await expect(failure).rejects.toThrow(`encrypted with key ${key.id}, the key given is ${other.id}`);
  });
});

describe('keys', () => {
  it('may be raw, hexadecimal or base64, with a line end as editors leave it', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (bytes) => {
        const secret = Buffer.from(bytes);
        for (const form of [
          secret,
          secret.toString('hex'),
          `${secret.toString('base64')}\n`,
          Buffer.from(`${secret.toString('hex')}\n`),
        ]) {
          expect(parseKey(form).secret.equals(secret)).toBe(true);
        }
      }),
    );
  });

  it('of the wrong length are refused without being shown', () => {
    for (const wrong of ['', 'hunter2hunter2', 'ab'.repeat(31), Buffer.alloc(31), Buffer.alloc(33)]) {
      expect(() => parseKey(wrong)).toThrow(
        'encryption key: 32 bytes are needed, raw, as 64 hexadecimal digits or as base64',
      );
    }
  });
});
