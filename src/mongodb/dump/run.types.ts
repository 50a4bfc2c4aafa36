// What goes into a dump and what comes out of it.
import type { CollectionDescription } from '../archive/format.ts';
import type { NamespaceSummary } from '../archive/reader.ts';
import type { ServerFacts } from '../connect.ts';
import type { Throttle } from '../throttle.ts';
import type { Consistency, ConsistencyMode } from './consistency.ts';
import type { NamespaceFilter } from './listing.ts';

export interface DumpProgress {
  /** Bytes of BSON and documents read so far. */
  bytes: number;
  documents: number;
  /** What is being read, for example `shop.orders`. */
  namespace: string;
  namespacesDone: number;
  namespacesTotal: number;
  /** What the server's statistics say the whole will be. */
  estimatedBytes: number;
}

export interface DumpOptions extends NamespaceFilter {
  /** Default `auto`. */
  consistency?: ConsistencyMode;
  /** Collections read at the same time, 1 to 16; default 2. */
  concurrency?: number;
  /** Limit of reading in uncompressed MB/s; may be changed while the dump runs. */
  throttle?: Throttle;
  toolVersion: string;
  signal?: AbortSignal | undefined;
  /** Called after every batch; must be quick. */
  onProgress?: (progress: DumpProgress) => void;
}

export interface DumpedNamespace extends NamespaceSummary {
  /** The name people know: differs from `collection` for a time-series. */
  name: string;
  type: CollectionDescription['type'];
  indexes: string[];
}

export interface DumpResult {
  server: ServerFacts;
  consistency: Consistency;
  namespaces: DumpedNamespace[];
  documents: number;
  bytes: number;
  /** SHA-256 of the archive up to its first block. */
  preludeSha256: string;
  /** What a reader of the archive should know, e.g. that mongorestore cannot read it. */
  warnings: string[];
}
