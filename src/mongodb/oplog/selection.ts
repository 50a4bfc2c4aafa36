// Which oplog entries a slice keeps. Documents only of the namespaces that the policy takes; commands on collections of
// every database that it takes part of, because a collection that is renamed may come from outside or leave.
import {
  asBuffer,
  bsonType,
  documentsOf,
  elements,
  type RawElement,
  rawDocument,
  rawElement,
  stringField,
} from '../bson/raw.ts';
import { type NamespaceFilter, namespaceMatcher, namespaceSelector } from '../dump/listing.ts';
import { entryFields, splitNamespace } from '../dump/oplog.ts';
import type { DocumentRun } from '../kernels.ts';
import { stagingPrefix } from '../staging.ts';

/** Collections of the server that are filled under a passing name and then renamed: $out, mapReduce, convertToCapped. */
const passing = /^tmp(\.agg_out\.|\.mr\.|[A-Za-z0-9]{5}\.(renameCollection|convertToCapped)\b)/;
const unreplayed = new Set(['local', 'config']);

export interface SliceSelection {
  /** Documents of this namespace are kept. `collection` may be `system.buckets.X` for a time-series X. */
  takes(db: string, collection: string): boolean;
  /** Commands of this database are kept. */
  touches(db: string): boolean;
}

/** The selection that a policy's filter makes. */
export function sliceSelection(filter: NamespaceFilter): SliceSelection {
  const selects = namespaceSelector(filter);
  const isIncluded = filter.include?.length ? namespaceMatcher(filter.include.map(databasePart)) : () => true;
  const isExcluded = namespaceMatcher(
    (filter.exclude ?? []).filter((pattern) => /^[^.]*(\.\*)?$/.test(pattern)).map(databasePart),
  );
  const touches = (db: string) =>
    !unreplayed.has(db) &&
    (!filter.databases?.length || filter.databases.includes(db)) &&
    isIncluded(db) &&
    !isExcluded(db);
  return {
    touches,
    takes: (db, collection) => {
      if (!touches(db) || (db === 'admin' && collection.startsWith('system.'))) return false;
      if (collection === 'system.views' || collection.startsWith(stagingPrefix)) return true;
      return passing.test(collection) || selects(db, peopleName(collection));
    },
  };
}

function databasePart(pattern: string): string {
  return pattern.split('.', 1)[0] ?? pattern;
}

/** The name that people know: a time-series is called without the prefix of its buckets. */
export function peopleName(collection: string): string {
  return collection.startsWith('system.buckets.') ? collection.slice('system.buckets.'.length) : collection;
}

/** The entries of a run that a slice keeps; entries of transactions are reduced to what it keeps of them. */
export function keepEntries(run: DocumentRun, selection: SliceSelection): DocumentRun {
  const kept: Buffer[] = [];
  let isWhole = true;
  for (const entry of documentsOf(run.data)) {
    const selected = keepEntry(entry, selection);
    if (selected) kept.push(selected);
    isWhole &&= selected === entry;
  }
  if (isWhole) return run;
  return { data: Buffer.concat(kept), count: kept.length };
}

function keepEntry(entry: Buffer, selection: SliceSelection): Buffer | undefined {
  const { op, ns, o } = entryFields(entry);
  if (op === 'n') return undefined;
  const [db, collection] = splitNamespace(ns);
  if (op !== 'c') return selection.takes(db, collection) ? entry : undefined;
  const command = o && firstName(o.value);
  // Also empty it stays, for its transaction is only whole with it.
  if (command === 'applyOps') return reduceTransaction(entry, o as RawElement, selection);
  if (command === 'commitTransaction' || command === 'abortTransaction') return entry;
  return selection.touches(db) ? entry : undefined;
}

function firstName(document: Buffer): string | undefined {
  for (const { name } of elements(document)) return name;
  return undefined;
}

/** Rebuilt from its own bytes, so that no type and no order changes. */
function reduceTransaction(entry: Buffer, o: RawElement, selection: SliceSelection): Buffer {
  const command = [...elements(o.value)];
  const operations = command.find(({ name }) => name === 'applyOps');
  if (operations?.type !== bsonType.array) return entry;
  const all = [...elements(operations.value)];
  const kept = all.filter(({ value }) => {
    const [db, collection] = splitNamespace(stringField(value, 'ns') ?? '');
    return stringField(value, 'op') === 'c' ? selection.touches(db) : selection.takes(db, collection);
  });
  if (kept.length === all.length) return entry;
  const array = rawDocument(...kept.map(({ type, value }, at) => rawElement(type, String(at), value)));
  const reduced = rawDocument(
    ...command.map(({ type, name, value }) => rawElement(type, name, name === 'applyOps' ? array : value)),
  );
  return asBuffer(
    rawDocument(
      ...[...elements(entry)].map(({ type, name, value }) =>
        rawElement(type, name, name === 'o' ? reduced : value),
      ),
    ),
  );
}
