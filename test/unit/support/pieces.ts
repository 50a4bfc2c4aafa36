/** Gives each piece in the memory of the one before, as a source may that promises a piece only until the next is asked for. */
export async function* inOneMemory(pieces: Iterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const all = [...pieces];
  const memory = Buffer.alloc(all.reduce((most, { length }) => Math.max(most, length), 0));
  for (const piece of all) {
    memory.fill(0xee).set(piece);
    yield memory.subarray(0, piece.length);
  }
  memory.fill(0xee);
}

/** Cuts bytes into pieces of at most `size`. */
export function cut(bytes: Uint8Array, size: number): Uint8Array[] {
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, at) =>
    bytes.subarray(at * size, (at + 1) * size),
  );
}

/** All of a stream whose pieces are only good until the next is asked for. */
export async function collect(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of source) parts.push(Buffer.from(part));
  return Buffer.concat(parts);
}
