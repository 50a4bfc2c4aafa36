// Whether the oplog goes on where a slice ended. An entry's time and term name it for ever within its replica set, and the
// wall clock that wrote it tells it from one of the same name in another: as long as that very entry is there, nothing
// between it and what follows can be missing.
import type { Document, MongoClient, Timestamp } from 'mongodb';
import { compareMoments, type Moment, momentLabel } from '../../domain/point-in-time/moment.ts';
import { toTimestamp } from '../dump/consistency.ts';

/** An entry of the oplog by its name. */
export interface EntryName {
  at: Moment;
  term: number;
  /** When it was written, by the clock of its primary, in milliseconds; -1: not known. */
  wall: number;
}

/** Whether two names are of one entry. */
export function isSameEntry(one: EntryName, other: EntryName): boolean {
  const sameWall = one.wall === other.wall || one.wall === -1 || other.wall === -1;
  return compareMoments(one.at, other.at) === 0 && one.term === other.term && sameWall;
}

/** Where the next slice begins. */
export interface Beginning extends EntryName {
  chain: number;
  /** The head of a chain is stored even when nothing has happened since: the next slice goes on from it. */
  isHead: boolean;
  gap: { after: Moment; reason: string } | null;
}

/** The oplog's first or last entry. */
async function edge(client: MongoClient, direction: 1 | -1): Promise<EntryName | undefined> {
  const entry = await client
    .db('local')
    .collection('oplog.rs')
    .find({}, { projection: { ts: 1, t: 1, wall: 1 }, sort: { $natural: direction } })
    .limit(1)
    .next();
  return entry ? nameOf(entry) : undefined;
}

/** The first entry at a time or after it. */
async function entryFrom(client: MongoClient, at: Moment): Promise<EntryName | undefined> {
  const entry = await client
    .db('local')
    .collection('oplog.rs')
    .find({ ts: { $gte: toTimestamp(at) } }, { projection: { ts: 1, t: 1, wall: 1 } })
    .limit(1)
    .next();
  return entry ? nameOf(entry) : undefined;
}

function nameOf(entry: Document): EntryName {
  const { t, i } = entry['ts'] as Timestamp;
  const { wall } = entry;
  return { at: { t, i }, term: Number(entry['t'] ?? -1), wall: wall instanceof Date ? wall.getTime() : -1 };
}

/** Why the oplog does not go on after this entry, or `null` when it does. */
export async function breakAfter(client: MongoClient, last: EntryName): Promise<string | null> {
  const found = await entryFrom(client, last.at);
  // A member that lags has not seen the entry yet: that is no break.
  if (!found) return null;
  if (isSameEntry(found, last)) return null;
  const oldest = await edge(client, 1);
  return oldest && compareMoments(oldest.at, last.at) > 0
    ? `the oplog no longer reached back to ${momentLabel(last.at)}: it is too small for the time without slices, or this is another server`
    : `the entry at ${momentLabel(last.at)} is no longer in the oplog: the server has another history`;
}

/**
 * Where a new chain begins: at the oldest of these moments that the oplog still holds and that comes after `after`, so that
 * the backups of these moments can be gone on from; else at `now`.
 */
export async function beginChain(
  client: MongoClient,
  now: Moment,
  { bases, after }: { bases: readonly Moment[]; after: Moment | null },
): Promise<EntryName | undefined> {
  const oldest = await edge(client, 1);
  const usable = bases
    .filter(
      (at) =>
        oldest &&
        compareMoments(at, oldest.at) >= 0 &&
        compareMoments(at, now) <= 0 &&
        (!after || compareMoments(at, after) >= 0),
    )
    .sort(compareMoments);
  const start = usable[0] ?? now;
  const entry = await entryFrom(client, start);
  // Only an entry that is there proves that the oplog holds all that follows.
  if (entry && compareMoments(entry.at, start) === 0) return entry;
  return usable.length > 0 ? entryFrom(client, now) : entry;
}
