// Client-side encryption. A file is: magic, header length, header JSON, then chunks of 1 MiB sealed with AES-256-GCM.
// Every file has its own key (HKDF of the given key with a random salt), so that a chunk's nonce may be its number. The
// nonce also says whether the chunk is the last: chunks that are swapped, repeated, cut off or added do not open.
import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes } from 'node:crypto';
import type { Bytes } from './compression.ts';
import { peek, skip } from './peek.ts';

const fileMagic = Buffer.from('SLIPENC1');
const chunkLength = 1 << 20;
const tagLength = 16;
const cipher = 'aes-256-gcm';

/** A 256-bit key and its public name. */
export interface EncryptionKey {
  /** 16 hexadecimal digits that tell keys apart and give nothing away about them. */
  id: string;
  secret: Buffer;
}

/** What older files are read with: one key, or whoever finds one by its id. A finder throws {@link WrongKeyError}. */
export type ReadingKey = EncryptionKey | ((keyId: string) => EncryptionKey);

/** The bytes were changed. */
export class EncryptionError extends Error {
  override name = 'EncryptionError';
}

/** The bytes may be whole, but there is no key for them, or another one. */
export class WrongKeyError extends EncryptionError {
  override name = 'WrongKeyError';
}

/**
 * Reads a key: 32 raw bytes, or text with 64 hexadecimal digits or base64 of 32 bytes.
 * @throws EncryptionError that says what is allowed, not what was found
 */
export function parseKey(material: Uint8Array | string): EncryptionKey {
  const text =
    typeof material === 'string' ? material.trim() : Buffer.from(material).toString('latin1').trim();
  let secret: Buffer | undefined;
  if (typeof material !== 'string' && material.length === 32) secret = Buffer.from(material);
  else if (/^[0-9a-f]{64}$/i.test(text)) secret = Buffer.from(text, 'hex');
  else if (/^[A-Za-z0-9+/_-]{43}=?$/.test(text)) secret = Buffer.from(text, 'base64');
  if (secret?.length !== 32) {
    throw new EncryptionError(
      'encryption key: 32 bytes are needed, raw, as 64 hexadecimal digits or as base64',
    );
  }
  const id = createHmac('sha256', secret).update('slipway key id').digest('hex').slice(0, 16);
  return { id, secret };
}

/** Encrypts a stream. */
export async function* encrypt(source: Bytes, key: EncryptionKey): AsyncGenerator<Buffer> {
  const salt = randomBytes(32);
  const header = fileHeader({ keyId: key.id, salt: salt.toString('base64'), chunkLength });
  const fileKey = deriveKey(key, salt);
  yield header;
  let index = 0;
  for await (const { bytes, last } of chunksOf(source, chunkLength)) {
    const seal = createCipheriv(cipher, fileKey, nonce(index++, last));
    seal.setAAD(header);
    yield seal.update(bytes);
    yield Buffer.concat([seal.final(), seal.getAuthTag()]);
  }
}

/**
 * Decrypts a stream written by {@link encrypt}.
 * @throws WrongKeyError when the key is another, EncryptionError when a single bit, the order or the length was changed
 */
export async function* decrypt(source: Bytes, key: ReadingKey): AsyncGenerator<Buffer> {
  const { header, rest } = await readHeader(source);
  const { keyId, salt } = parseHeader(header);
  const found = typeof key === 'function' ? key(keyId) : key;
  if (keyId !== found.id)
    throw new WrongKeyError(`encrypted with key ${keyId}, the key given is ${found.id}`);
  const fileKey = deriveKey(found, salt);
  let index = 0;
  for await (const { bytes, last } of chunksOf(rest, chunkLength + tagLength)) {
    if (bytes.length < tagLength)
      throw new EncryptionError('the encrypted file ends in the middle (truncated)');
    const open = createDecipheriv(cipher, fileKey, nonce(index++, last), { authTagLength: tagLength });
    open.setAAD(header);
    open.setAuthTag(bytes.subarray(-tagLength));
    let plain: Buffer;
    try {
      plain = open.update(bytes.subarray(0, -tagLength));
      open.final(); // gives no bytes in this mode, and throws unless all are as they were
    } catch (cause) {
      throw new EncryptionError(`chunk ${index - 1} of the encrypted file was changed, moved or cut off`, {
        cause,
      });
    }
    yield plain;
  }
}

/** Whether a file, by its first bytes, is one of ours and encrypted. */
export function isEncrypted(start: Uint8Array): boolean {
  return fileMagic.equals(start.subarray(0, fileMagic.length));
}

function deriveKey(key: EncryptionKey, salt: Buffer): Buffer {
  return Buffer.from(hkdfSync('sha256', key.secret, salt, 'slipway file key', 32));
}

/** 32 bits: last or not; 64 bits: the chunk's number. */
function nonce(index: number, last: boolean): Buffer {
  const bytes = Buffer.alloc(12);
  bytes.writeUInt32BE(last ? 1 : 0, 0);
  bytes.writeBigUInt64BE(BigInt(index), 4);
  return bytes;
}

function fileHeader(fields: { keyId: string; salt: string; chunkLength: number }): Buffer {
  const json = Buffer.from(JSON.stringify(fields));
  const length = Buffer.alloc(4);
  length.writeUInt32BE(json.length);
  return Buffer.concat([fileMagic, length, json]);
}

function parseHeader(header: Buffer): { keyId: string; salt: Buffer } {
  try {
    const fields = JSON.parse(header.toString('utf8', fileMagic.length + 4)) as Record<string, unknown>;
    if (fields['chunkLength'] !== chunkLength) throw new Error('unknown chunk length');
    return { keyId: String(fields['keyId']), salt: Buffer.from(String(fields['salt']), 'base64') };
  } catch (cause) {
    throw new EncryptionError('the header of the encrypted file is damaged', { cause });
  }
}

async function readHeader(source: Bytes): Promise<{ header: Buffer; rest: Bytes }> {
  const first = await peek(source, fileMagic.length + 4);
  if (first.start.length < fileMagic.length + 4)
    throw new EncryptionError('the encrypted file ends within its header (truncated)');
  if (!isEncrypted(first.start)) throw new EncryptionError('not a file encrypted by slipway');
  const length = headerLength(first.start);
  const { start, whole } = await peek(first.whole, length);
  if (start.length < length)
    throw new EncryptionError('the encrypted file ends within its header (truncated)');
  return { header: start, rest: skip(whole, length) };
}

function headerLength(start: Buffer): number {
  const length = start.readUInt32BE(fileMagic.length);
  if (length > 4096) throw new EncryptionError('the header of the encrypted file is damaged');
  return fileMagic.length + 4 + length;
}

/**
 * Pieces of exactly `length` bytes; the last, which may be shorter and even empty, is marked. Each lies in the memory of the
 * one before.
 */
async function* chunksOf(source: Bytes, length: number): AsyncGenerator<{ bytes: Buffer; last: boolean }> {
  const memory = Buffer.allocUnsafeSlow(length);
  let collected = 0;
  for await (const chunk of source) {
    for (let at = 0; at < chunk.length; ) {
      if (collected === length) {
        yield { bytes: memory, last: false };
        collected = 0;
      }
      const part = chunk.subarray(at, at + length - collected);
      memory.set(part, collected);
      collected += part.length;
      at += part.length;
    }
  }
  yield { bytes: memory.subarray(0, collected), last: true };
}
