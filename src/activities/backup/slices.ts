/** The activity that stores one slice of the oplog. */
import type { SettingsSource } from '../../backups/settings.ts';
import { openStorage, resolveKey } from '../../backups/settings.ts';
import { basesOf, sliceFilter, sliceGaps } from '../../backups/slices.ts';
import { verifiedBackups } from '../../backups/verified.ts';
import type { SliceReport } from '../../domain/point-in-time/types.ts';
import { writeSlice } from '../../mongodb/oplog/write.ts';
import { milliseconds } from '../../specs/duration.ts';
import type { BackupPolicy } from '../../specs/backup.types.ts';
import type { Report } from './context.ts';
import type { BackupMetrics } from './metrics.ts';
import { withMongo } from './source.ts';

/** A slice ends when it has read so much: bounds what a restore reads for one moment, and what a failure costs. */
const SLICE_BYTES = 256e6;

export async function sliceOplog(
  { policy }: { policy: BackupPolicy },
  from: SettingsSource & { version: string; metrics: BackupMetrics },
  signal: AbortSignal,
  report: Report,
): Promise<SliceReport> {
  const { source, destination, compression, pointInTime } = policy.spec;
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
    // A gap is told as long as slices remember it, so that a restart of the worker does not hide it.
    const gaps = slice?.chain === 1 ? [] : await sliceGaps(storage, name);
    const lastGap = gaps.at(-1)?.noticedAt ?? null;
    const every = pointInTime ? milliseconds(pointInTime.sliceEvery) / 1_000 : null;
    from.metrics.sliced(name, { reached: reached.t, every, lastGap, bytes: slice?.data?.size ?? 0 });
    return {
      reached,
      more,
      slice: slice && {
        chain: slice.chain,
        from: slice.from,
        entries: slice.entries,
        bytes: slice.bytes,
        size: slice.data?.size ?? 0,
        gap: slice.gap,
      },
    };
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
