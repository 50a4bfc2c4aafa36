import type { MongoClient } from 'mongodb';
import { contentSum } from '../kernels.ts';
import { hex64 } from '../archive/reader.ts';
import { rawFind } from '../raw-cursor.ts';

/** What a collection holds now. */
export interface ContentSummary {
  documents: number;
  bytes: number;
  /** As in manifests: sum of the XXH64 of each document. */
  contentSum: string;
}

/** Reads a collection from end to end. */
export async function summarize(
  client: MongoClient,
  db: string,
  collection: string,
  { signal, onProgress }: { signal?: AbortSignal | undefined; onProgress?: (bytes: number) => void } = {},
): Promise<ContentSummary> {
  const session = client.startSession({ causalConsistency: false });
  let documents = 0;
  let bytes = 0;
  let sum = 0n;
  try {
    for await (const run of rawFind(client.db(db), {
      collection,
      hint: { $natural: 1 },
      session,
      ...(signal && { signal }),
    })) {
      documents += run.count;
      bytes += run.data.length;
      sum = contentSum(run.data, sum);
      onProgress?.(run.data.length);
    }
  } finally {
    await session.endSession();
  }
  return { documents, bytes, contentSum: hex64(sum) };
}
