/** The work of the activity that stores one slice of the oplog. */
import { openStorage, resolveKey, type SettingsSource } from '../../backups/settings.ts';
import { basesOf, sliceFilter, sliceGaps } from '../../backups/slices.ts';
import { verifiedBackups } from '../../backups/verified.ts';
import type { SliceReport } from '../../domain/point-in-time/types.ts';
import { writeSlice } from '../../mongodb/oplog/write.ts';
import type { Report } from './context.ts';
import { withMongo } from './source.ts';
import type { SliceInput } from './types.ts';

/** A slice ends when it has read so much: bounds what a restore reads for one moment, and what a failure costs. */
const SLICE_BYTES = 256e6;

/** What the engine says of a slice: the activity's result, and what else the metrics tell. */
export interface StoredSlice {
  report: SliceReport;
  /** Where the slices go on after the last gap that they remember, in seconds since 1970. */
  lastGap: number | null;
}

export async function storeSlice(
  { policy }: SliceInput,
  from: SettingsSource & { version: string },
  signal: AbortSignal,
  report: Report,
): Promise<StoredSlice> {
  const { source, destination, compression } = policy.spec;
  const { name } = policy.metadata;
  const key = await resolveKey(policy, from);
  const storage = await openStorage(destination, from);
  try {
    const { slice, reached, more } = await withMongo(source.uriFrom, from, (client) =>
      writeSlice(client, storage, {
        policy: name,
        filter: sliceFilter(policy),
        compression,
        key,
        maxBytes: SLICE_BYTES,
        bases: async () => basesOf(await verifiedBackups(storage, name)).map(({ at }) => at),
        toolVersion: `slipway ${from.version}`,
        signal,
        onProgress: ({ bytes, entries }) => report(progressOf(bytes, entries)),
      }),
    );
    const gaps = slice?.chain === 1 ? [] : await sliceGaps(storage, name);
    const stored = slice && {
      chain: slice.chain,
      from: slice.from,
      entries: slice.entries,
      bytes: slice.bytes,
      size: slice.data?.size ?? 0,
      gap: slice.gap,
    };
    return { report: { reached, more, slice: stored }, lastGap: gaps.at(-1)?.until.t ?? null };
  } finally {
    await storage.close();
  }
}

function progressOf(bytes: number, entries: number) {
  return {
    stage: 'dumping' as const,
    bytes,
    totalBytes: 0,
    documents: entries,
    namespace: 'oplog',
    namespaces: 0,
    totalNamespaces: 0,
  };
}
