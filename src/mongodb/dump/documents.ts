// Reads one collection's documents at the dump's moment, and says in words what kept the server from giving them.
import { type MongoClient, MongoServerError } from 'mongodb';
import type { DocumentRun } from '../kernels.ts';
import { rawFind } from '../raw-cursor.ts';
import { type ClusterTime, DumpError, snapshotAt } from './consistency.ts';
import type { ListedCollection } from './listing.ts';

/** The server's codes. */
const namespaceNotFound = 26;
const queryPlanKilled = 175;
const snapshotTooOld = 239;
const snapshotUnavailable = 246;

export interface ReadOptions {
  /** Missing: as the data is now. */
  snapshot?: ClusterTime | undefined;
  /** A dropped collection is no error when the oplog that follows tells of the drop. */
  mayVanish: boolean;
  signal?: AbortSignal | undefined;
}

/**
 * Hands a collection's documents to `take`, run by run; false when they are of another moment than `snapshot`, because
 * this server cannot read a capped collection (before 7.0) at a past time.
 * @throws DumpError snapshot-too-old or collection-changed, and what the driver or `take` throws
 */
export async function readDocuments(
  client: MongoClient,
  listed: ListedCollection,
  { snapshot, mayVanish, signal }: ReadOptions,
  take: (run: DocumentRun) => Promise<void>,
): Promise<boolean> {
  let started = false;
  const copy = async (at: ClusterTime | undefined) => {
    for await (const run of read(client, listed, at, signal)) {
      started = true;
      await take(run);
    }
  };
  try {
    await copy(snapshot);
    return true;
  } catch (error) {
    const code = error instanceof MongoServerError ? error.code : undefined;
    if (code === snapshotUnavailable && listed.capped && !started) {
      await copy(undefined);
      return false;
    }
    if (mayVanish && code === namespaceNotFound) return true;
    throw explain(error, listed);
  }
}

/** By UUID where there is one: a read by name of a dropped collection is empty, by UUID it is an error. */
async function* read(
  client: MongoClient,
  listed: ListedCollection,
  snapshot: ClusterTime | undefined,
  signal: AbortSignal | undefined,
): AsyncGenerator<DocumentRun> {
  const session = client.startSession({ causalConsistency: false });
  try {
    yield* rawFind(client.db(listed.db), {
      collection: listed.uuid ?? (listed.dataName as string),
      hint: { $natural: 1 },
      sums: true,
      session,
      ...(snapshot && { readConcern: snapshotAt(snapshot) }),
      ...(signal && { signal }),
    });
  } finally {
    await session.endSession();
  }
}

/** The server's codes for a read that lost its moment, in words that say what to do. */
function explain(error: unknown, { db, name }: ListedCollection): unknown {
  if (!(error instanceof MongoServerError)) return error;
  const cause = { cause: error };
  switch (error.code) {
    case snapshotTooOld:
      return new DumpError(
        'snapshot-too-old',
        `${db}.${name}: the dump took longer than the server keeps history (minSnapshotHistoryWindowInSeconds)`,
        cause,
      );
    case namespaceNotFound:
    case queryPlanKilled:
    case snapshotUnavailable:
      return new DumpError(
        'collection-changed',
        `${db}.${name} was changed, dropped or renamed while it was dumped: ${error.message}`,
        cause,
      );
    default:
      return error;
  }
}
