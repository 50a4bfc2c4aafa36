import type { Bytes } from './compression.ts';

/**
 * The first `length` bytes of a stream (fewer when it is shorter), and the whole stream to read from its start. The stream
 * may use a piece's memory again once the next is asked for.
 */
export async function peek(source: Bytes, length: number): Promise<{ start: Buffer; whole: Bytes }> {
  const iterator = source[Symbol.asyncIterator]();
  const taken: Uint8Array[] = [];
  let total = 0;
  while (total < length) {
    const last = taken.pop();
    if (last) taken.push(Buffer.from(last));
    const next = await iterator.next();
    if (next.done) break;
    taken.push(next.value);
    total += next.value.length;
  }
  const start = Buffer.concat(taken).subarray(0, length);
  return { start, whole: resume(taken, iterator) };
}

async function* resume(taken: Uint8Array[], iterator: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield* taken.splice(0);
    for (let next = await iterator.next(); !next.done; next = await iterator.next()) yield next.value;
  } finally {
    await iterator.return?.();
  }
}

/** The stream without its first `length` bytes. */
export async function* skip(source: Bytes, length: number): AsyncGenerator<Uint8Array> {
  let left = length;
  for await (const chunk of source) {
    if (left < chunk.length) yield chunk.subarray(left);
    left = Math.max(0, left - chunk.length);
  }
}
