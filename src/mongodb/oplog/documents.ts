// BSON documents out of a stream of bytes that knows nothing of where they begin.
import { minDocumentLength } from '../bson/raw.ts';
import type { DocumentRun } from '../kernels.ts';
import type { Bytes } from '../../storage/compression.ts';

/** An oplog entry may be larger than the largest document by so much. */
const maxDocumentLength = (16 << 20) + (16 << 10);

/**
 * The documents of a stream, in runs about as large as its pieces. The stream may use a piece's memory again once the next
 * is asked for; a run has memory of its own.
 * @throws Error when a length cannot be one, or the stream ends within a document
 */
export async function* documentRuns(source: Bytes): AsyncGenerator<DocumentRun> {
  let parts: Uint8Array[] = [];
  let length = 0;
  let needed = minDocumentLength;
  for await (const chunk of source) {
    length += chunk.length;
    if (length < needed) {
      parts.push(Buffer.from(chunk));
      continue;
    }
    const bytes = Buffer.concat([...parts, chunk], length);
    const { end, count } = wholeDocuments(bytes);
    if (count > 0) yield { data: bytes.subarray(0, end), count };
    const rest = bytes.subarray(end);
    parts = rest.length > 0 ? [rest] : [];
    length = rest.length;
    needed = length >= 4 ? rest.readInt32LE(0) : minDocumentLength;
  }
  if (length > 0) throw new Error('the stream ends in the middle of a document (truncated)');
}

function wholeDocuments(bytes: Buffer): { end: number; count: number } {
  let end = 0;
  let count = 0;
  while (bytes.length - end >= 4) {
    const length = bytes.readInt32LE(end);
    if (length < minDocumentLength || length > maxDocumentLength)
      throw new Error(`a document of ${length} bytes: the stream is damaged`);
    if (end + length > bytes.length) break;
    end += length;
    count++;
  }
  return { end, count };
}
