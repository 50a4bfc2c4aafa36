// At which moment a dump shows the data: one cluster time for all, a window of the oplog, or no such promise.
import { type Document, type MongoClient, Timestamp } from 'mongodb';
import type { ServerFacts } from '../connect.ts';

/** Seconds since 1970 and a counter within the second. */
export interface ClusterTime {
  t: number;
  i: number;
}

export type Consistency =
  /** Every namespace was read at this one cluster time, except those that the server cannot read so. */
  | { kind: 'snapshot'; clusterTime: ClusterTime; except: string[] }
  /** The data is of different moments; replaying the archive's oplog over it gives the state at `to`. */
  | { kind: 'oplog'; from: ClusterTime; to: ClusterTime }
  /** Namespaces may be of different moments. */
  | { kind: 'none'; reason: string };

/** `auto`: snapshot where the server can and the dump is expected to fit its history, else oplog, else none. */
export type ConsistencyMode = 'auto' | 'snapshot' | 'oplog' | 'none';

export type DumpProblem =
  | 'snapshot-too-old'
  | 'collection-changed'
  | 'oplog-overflow'
  | 'oplog-unreplayable'
  | 'consistency-unavailable';

/** A dump that cannot be right; `problem` tells which retry helps. */
export class DumpError extends Error {
  override name = 'DumpError';
  readonly problem: DumpProblem;
  constructor(problem: DumpProblem, message: string, options?: ErrorOptions) {
    super(message, options);
    this.problem = problem;
  }
}

/** Slow enough to be true of a small server: used to guess whether a dump fits the server's snapshot history. */
const expectedBytesPerSecond = 40e6;

export interface ConsistencyChoice {
  kind: 'snapshot' | 'oplog' | 'none';
  reason: string;
}

/**
 * Decides how to read.
 * @throws DumpError consistency-unavailable when the wanted mode is impossible on this server
 */
export async function chooseConsistency(
  client: MongoClient,
  facts: ServerFacts,
  mode: ConsistencyMode,
  estimatedBytes: number,
  bytesPerSecond: number | undefined,
): Promise<ConsistencyChoice> {
  const snapshots = facts.topology !== 'standalone' && facts.majorMinor[0] >= 5;
  const oplog = facts.topology === 'replicaSet';
  if (mode === 'snapshot' && !snapshots)
    return unavailable('snapshot reads need a replica set or mongos of version 5.0 or later', facts);
  if (mode === 'oplog' && !oplog) return unavailable('an oplog window needs a replica set', facts);
  if (mode !== 'auto') return { kind: mode, reason: 'as demanded' };
  if (snapshots) {
    const window = await snapshotWindowSeconds(client);
    const expected = estimatedBytes / Math.min(expectedBytesPerSecond, bytesPerSecond ?? Infinity);
    if (expected < window * 0.7 || !oplog)
      return {
        kind: 'snapshot',
        reason: `expected to take ${Math.ceil(expected)} s of the ${window} s history`,
      };
    return {
      kind: 'oplog',
      reason: `expected to take ${Math.ceil(expected)} s, the server keeps ${window} s of history`,
    };
  }
  if (oplog) return { kind: 'oplog', reason: `server ${facts.version} has no snapshot reads` };
  return {
    kind: 'none',
    reason: `a ${facts.topology} server of version ${facts.version} offers neither snapshot reads nor an oplog`,
  };
}

function unavailable(message: string, { version, topology }: ServerFacts): never {
  throw new DumpError(
    'consistency-unavailable',
    `${message}; this is a ${topology} server of version ${version}`,
  );
}

async function snapshotWindowSeconds(client: MongoClient): Promise<number> {
  const parameter = 'minSnapshotHistoryWindowInSeconds';
  try {
    const reply = await client.db('admin').command({ getParameter: 1, [parameter]: 1 });
    return Number(reply[parameter] ?? 300);
  } catch {
    return 300; // the server's default; reading it may not be allowed to us
  }
}

/** The newest moment that a majority of the replica set has, so that no failover can take it back. */
export async function majorityTime(client: MongoClient): Promise<ClusterTime> {
  const hello = await client.db('admin').command({ hello: 1 });
  const write = hello['lastWrite'] as { majorityOpTime?: { ts: Timestamp } } | undefined;
  const time = write?.majorityOpTime?.ts ?? (hello['operationTime'] as Timestamp | undefined);
  if (!time) throw new DumpError('consistency-unavailable', 'the server tells no cluster time');
  return { t: time.t, i: time.i };
}

export function toTimestamp({ t, i }: ClusterTime): Timestamp {
  return new Timestamp({ t, i });
}

export function compareTimes(a: ClusterTime, b: ClusterTime): number {
  return a.t - b.t || a.i - b.i;
}

/** Read concern that shows the data at one cluster time. */
export function snapshotAt(time: ClusterTime): Document {
  return { level: 'snapshot', atClusterTime: toTimestamp(time) };
}
