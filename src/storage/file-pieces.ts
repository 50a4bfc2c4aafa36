import type { FileHandle } from 'node:fs/promises';

const pieceBytes = 512 << 10;

/**
 * The bytes of a file, read one piece ahead into memory that is used again: fresh memory for every piece costs more than
 * reading. A piece is only good until the next is asked for.
 */
export async function* filePieces(
  open: () => Promise<FileHandle>,
  signal?: AbortSignal,
): AsyncGenerator<Buffer> {
  const file = await open();
  const read = async (memory: Buffer) =>
    memory.subarray(0, (await file.read(memory, 0, pieceBytes, null)).bytesRead);
  let free: Buffer = Buffer.allocUnsafeSlow(pieceBytes);
  let taken: Buffer = Buffer.allocUnsafeSlow(pieceBytes);
  let reading = read(taken);
  try {
    for (let piece = await reading; piece.length > 0; piece = await reading) {
      signal?.throwIfAborted();
      [free, taken] = [taken, free];
      reading = read(taken);
      reading.catch(() => undefined); // is awaited in its turn
      yield piece;
    }
  } finally {
    await reading.catch(() => undefined); // the file must not be closed under it
    await file.close();
  }
}
