// The oplog: which part a dump needs, reading a range of it raw, and choosing the entries of some namespaces.
import { BSON, type Document, type MongoClient, type Timestamp } from 'mongodb';
import {
  asBuffer,
  bsonType,
  documentsOf,
  elements,
  field,
  type RawElement,
  stringValue,
} from '../bson/raw.ts';
import type { DocumentRun } from '../kernels.ts';
import { rawFind } from '../raw-cursor.ts';
import { type ClusterTime, compareTimes, DumpError, majorityTime, toTimestamp } from './consistency.ts';

/** Where a dump's window must begin: at the first entry of the oldest transaction still open, else now. */
export async function oplogWindowStart(client: MongoClient): Promise<ClusterTime> {
  const open = await client
    .db('config')
    .collection('transactions')
    .find({ state: { $in: ['prepared', 'inProgress'] } })
    .sort({ 'startOpTime.ts': 1 })
    .limit(1)
    .next();
  const start = (open?.['startOpTime'] as { ts: Timestamp } | undefined)?.ts;
  return start ? { t: start.t, i: start.i } : majorityTime(client);
}

/**
 * Whether the oplog still reaches back to a time.
 * @throws DumpError oplog-overflow when it does not
 */
export async function assertOplogReaches(client: MongoClient, from: ClusterTime): Promise<void> {
  const oldest = await client
    .db('local')
    .collection('oplog.rs')
    .find({})
    .sort({ $natural: 1 })
    .limit(1)
    .next();
  const ts = oldest?.['ts'] as Timestamp | undefined;
  if (!ts || compareTimes({ t: ts.t, i: ts.i }, from) > 0) {
    throw new DumpError(
      'oplog-overflow',
      `the oplog no longer reaches back to ${from.t}:${from.i}; it needs to be larger, or the dump faster`,
    );
  }
}

export interface OplogRange {
  /** First entry's time, inclusive unless `exclusive`. */
  from: ClusterTime;
  /** Last entry's time, inclusive. */
  to: ClusterTime;
  exclusive?: boolean;
  signal?: AbortSignal | undefined;
}

/** The oplog's entries of a range, raw, in their order. */
export function readOplog(
  client: MongoClient,
  { from, to, exclusive, signal }: OplogRange,
): AsyncGenerator<DocumentRun> {
  const range: Document = { [exclusive ? '$gt' : '$gte']: toTimestamp(from), $lte: toTimestamp(to) };
  return rawFind(client.db('local'), {
    collection: 'oplog.rs',
    filter: { ts: range },
    ...(signal && { signal }),
  });
}

/** The time of an oplog entry. */
export function entryTime(entry: Uint8Array): ClusterTime {
  const ts = field(entry, 'ts');
  if (ts?.type !== bsonType.timestamp) throw new Error('not an oplog entry: it has no ts');
  return { i: ts.value.readUInt32LE(0), t: ts.value.readUInt32LE(4) };
}

/** The entries of a run that concern the chosen namespaces; entries of transactions are reduced to them. */
export function selectEntries(
  run: DocumentRun,
  takes: (db: string, collection: string) => boolean,
): DocumentRun {
  const kept: Buffer[] = [];
  for (const entry of documentsOf(run.data)) {
    const selected = selectEntry(entry, takes);
    if (selected) kept.push(selected);
  }
  return { data: Buffer.concat(kept), count: kept.length };
}

const unreplayable = new Set(['renameCollection', 'importCollection']);

function selectEntry(entry: Buffer, takes: (db: string, collection: string) => boolean): Buffer | undefined {
  const { op, ns, o } = entryFields(entry);
  if (op === 'n') return undefined;
  const [db, collection] = splitNamespace(ns);
  if (op !== 'c') {
    if (ns === 'admin.system.version')
      refuse('a write to admin.system.version (a feature compatibility change)', ns);
    return takes(db, logicalName(collection)) ? entry : undefined;
  }
  const [command] = o ? elements(o.value) : [];
  if (!command) return undefined;
  if (command.name === 'applyOps') return reduceTransaction(entry, takes);
  const target = command.type === bsonType.string ? stringValue(command) : '';
  if (unreplayable.has(command.name) && takes(db, target.slice(target.indexOf('.') + 1)))
    refuse(command.name, ns);
  if (command.name === 'commitTransaction' || command.name === 'abortTransaction') return entry;
  if (command.name === 'dropDatabase') return takes(db, '') ? entry : undefined;
  return takes(db, logicalName(target)) ? entry : undefined;
}

function refuse(what: string, ns: string): never {
  throw new DumpError(
    'oplog-unreplayable',
    `${what} happened on ${ns} during the dump, which an oplog replay cannot repeat; start the dump again`,
  );
}

function reduceTransaction(entry: Buffer, takes: (db: string, collection: string) => boolean): Buffer {
  const decoded = BSON.deserialize(entry, { promoteValues: false, bsonRegExp: true });
  const command = decoded['o'] as { applyOps: { ns: string }[] };
  const kept = command.applyOps.filter(({ ns }) => {
    const [db, collection] = splitNamespace(ns);
    return takes(db, logicalName(collection));
  });
  if (kept.length === command.applyOps.length) return entry;
  command.applyOps = kept;
  return asBuffer(BSON.serialize(decoded));
}

/** An oplog entry's operation, namespace and operand. */
export function entryFields(entry: Buffer): { op: string; ns: string; o: RawElement | undefined } {
  let op = '';
  let ns = '';
  let o: RawElement | undefined;
  for (const element of elements(entry)) {
    if (element.name === 'op') op = stringValue(element);
    else if (element.name === 'ns') ns = stringValue(element);
    else if (element.name === 'o') o = element;
  }
  return { op, ns, o };
}

/** `db.collection` into its two parts; the collection may contain dots. */
export function splitNamespace(ns: string): [db: string, collection: string] {
  const dot = ns.indexOf('.');
  return dot < 0 ? [ns, ''] : [ns.slice(0, dot), ns.slice(dot + 1)];
}

function logicalName(collection: string): string {
  return collection.startsWith('system.buckets.') ? collection.slice('system.buckets.'.length) : collection;
}
