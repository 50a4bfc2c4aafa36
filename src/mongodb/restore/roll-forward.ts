/**
 * Carries restored collections forward: replays slices of the oplog over them, from the moment that the backup shows to
 * the one that is wanted. All slices are read and proven before anything is written, and what collections there will be in
 * the end is known by then.
 */
import { createHash } from 'node:crypto';
import type { MongoClient } from 'mongodb';
import { type Moment, momentText } from '../../domain/point-in-time/moment.ts';
import type { SliceManifest } from '../../specs/slice.ts';
import type { Bytes } from '../../storage/compression.ts';
import type { ReadingKey } from '../../storage/encryption.ts';
import { type OrderedDocument, parseExtendedJson, toExtendedJson } from '../bson/extended-json.ts';
import { splitNamespace } from '../dump/oplog.ts';
import { readSlice } from '../oplog/read.ts';
import { sliceSelection } from '../oplog/selection.ts';
import { type Operation, OperationWriter, OplogReplayError } from './apply.ts';
import { allowMixedSchemas, createCollection, dataCollection, dropIfThere } from './collections.ts';
import { Course, type CourseHandlers } from './course.ts';
import { Definitions, idleHands, type StagingHands } from './definitions.ts';
import { renamer, type RestoreItem, type RestoreSelection, selector } from './plan.ts';

export interface SliceSource {
  manifest: SliceManifest;
  open: (signal?: AbortSignal) => Promise<Bytes>;
}

export interface RollForwardOptions {
  /** In their order; the first holds `after`, the last `until`. */
  slices: readonly SliceSource[];
  /** The moment that the backup shows. */
  after: Moment;
  /** The moment that is wanted: entries at or before it are replayed. */
  until: Moment;
  key?: ReadingKey | undefined;
  selection: RestoreSelection;
}

/** What the slices hold for the restore. */
export interface RollForwardFacts {
  slices: number;
  /** Entries after the backup's moment, at or before the one that is wanted. */
  entries: number;
  /** Bytes of all slices that are read. */
  bytes: number;
  last: Moment | null;
}

type Event =
  | { kind: 'command'; name: string; db: string; o: OrderedDocument }
  | { kind: 'view'; op: string; o: OrderedDocument; o2: OrderedDocument | undefined }
  /** Namespaces written to since the event before, with how many documents came and went. */
  | { kind: 'writes'; growth: Map<string, number> };

interface Work {
  signal?: AbortSignal | undefined;
  /** More bytes and entries have been handled. */
  onProgress?: (bytes: number, entries: number) => void;
}

export class RollForward {
  readonly #options: RollForwardOptions;
  readonly #selects: (name: string) => boolean;
  readonly #stored: (name: string) => boolean;
  /** Names from which something selected comes by renaming. */
  readonly #sources = new Set<string>();
  #events: Event[] = [];
  #facts: RollForwardFacts | undefined;

  constructor(options: RollForwardOptions) {
    this.#options = options;
    this.#selects = selector(options.selection);
    const filter = options.slices[0]?.manifest.filter ?? {};
    const stored = sliceSelection(filter);
    this.#stored = (name) => stored.takes(...splitNamespace(name));
  }

  /** Tells this roll forward from any other: its slices, and how far it goes. */
  get digest(): string {
    const { slices, after, until } = this.#options;
    const hash = createHash('sha256').update(`${momentText(after)} ${momentText(until)}`);
    for (const { manifest } of slices)
      hash.update(JSON.stringify([manifest.from, manifest.to, manifest.data?.sha256]));
    return hash.digest('hex');
  }

  /**
   * Reads and proves all slices.
   * @throws BackupDamagedError, EncryptionError, OplogReplayError
   */
  async scan(work: Work = {}): Promise<RollForwardFacts> {
    if (this.#facts) return this.#facts;
    const events: Event[] = [];
    const course = await this.#go(work, {
      write: (operation) => this.#noteWrite(events, operation),
      command: (name, db, o) => {
        events.push({ kind: 'command', name, db, o: parseExtendedJson(toExtendedJson(o)) });
      },
    });
    this.#events = events;
    for (const event of [...events].reverse()) {
      if (event.kind !== 'command' || event.name !== 'renameCollection') continue;
      if (this.#wants(String(event.o.get('to')))) this.#sources.add(String(event.o.get('renameCollection')));
    }
    const { slices } = this.#options;
    const bytes = slices.reduce((sum, { manifest }) => sum + manifest.bytes, 0);
    this.#facts = { slices: slices.length, entries: course.entries, bytes, last: course.last };
    return this.#facts;
  }

  #noteWrite(events: Event[], { op, ns, o, o2 }: Operation): void {
    if (ns.endsWith('.system.views')) {
      events.push({ kind: 'view', op, o: parsed(o), o2: o2 && parsed(o2.value) });
      return;
    }
    let last = events.at(-1);
    if (last?.kind !== 'writes') events.push((last = { kind: 'writes', growth: new Map() }));
    last.growth.set(ns, (last.growth.get(ns) ?? 0) + (op === 'i' ? 1 : op === 'd' ? -1 : 0));
  }

  /** What has to be loaded from the archive: what is selected, and what it comes from. After {@link scan}. */
  get archiveSelection(): RestoreSelection {
    const { selection } = this.#options;
    return selection.include?.length
      ? { ...selection, include: [...selection.include, ...this.#sources] }
      : selection;
  }

  /**
   * The collections that there will be, with how many documents they will hold, and every database in which something is staged. Touches nothing.
   * @throws OplogReplayError when the slices hold what cannot be repeated
   */
  async look(
    id: string,
    items: readonly RestoreItem[],
  ): Promise<{ items: RestoreItem[]; databases: string[] }> {
    const databases = new Set(items.map(({ db }) => db));
    const hands = { ...idleHands, create: async ({ db }: RestoreItem) => void databases.add(db) };
    const definitions = this.#definitions(id, items, hands);
    for (const event of this.#events) {
      if (event.kind === 'command') await definitions.command(event.name, event.db, event.o);
      else if (event.kind === 'view') definitions.view(event.op, event.o, event.o2);
      else for (const [ns, growth] of event.growth) this.#grow(definitions, ns, growth);
    }
    return {
      items: definitions.items.filter(({ source }) => this.#selects(source)),
      databases: [...databases],
    };
  }

  #grow(definitions: Definitions, ns: string, growth: number): void {
    const item = definitions.staged(ns);
    if (item) item.documents += growth;
    else this.#assertForeign(definitions, ns);
  }

  /**
   * Replays over the staging collections. Gives the collections that there are now, with what they hold.
   * @throws OplogReplayError, BackupDamagedError and errors of the driver
   */
  async carryOut(
    client: MongoClient,
    id: string,
    items: readonly RestoreItem[],
    work: Work = {},
  ): Promise<RestoreItem[]> {
    const writer = new OperationWriter(client, { strict: true });
    const definitions = this.#definitions(id, items, handsOf(client));
    await this.#go(work, {
      write: async (operation) => {
        const { op, ns, o, o2 } = operation;
        const item = definitions.staged(ns);
        if (item) await writer.write(operation, `${item.db}.${dataCollection(item, item.staging)}`);
        else if (ns.endsWith('.system.views')) definitions.view(op, parsed(o), o2 && parsed(o2.value));
        else this.#assertForeign(definitions, ns);
      },
      command: async (name, db, o) => {
        await writer.flush();
        await definitions.command(name, db, parsed(o));
      },
    });
    await writer.flush();
    const kept: RestoreItem[] = [];
    for (const item of definitions.items) {
      if (this.#selects(item.source)) kept.push(await counted(client, item));
      else if (item.kind !== 'view') await dropIfThere(client.db(item.db), item.staging);
    }
    return kept;
  }

  #definitions(id: string, items: readonly RestoreItem[], hands: StagingHands): Definitions {
    const follows = (name: string) => this.#wants(name) && this.#stored(name);
    return new Definitions({ id, items, follows, rename: renamer(this.#options.selection), hands });
  }

  #wants(name: string): boolean {
    return this.#selects(name) || this.#sources.has(name);
  }

  #assertForeign(definitions: Definitions, ns: string): void {
    if (!definitions.follows(ns)) return;
    throw new OplogReplayError(
      `the oplog writes to ${ns}, which the backup does not hold; choose another backup`,
    );
  }

  async #go({ signal, onProgress }: Work, handlers: CourseHandlers): Promise<Course> {
    const { slices, after, until, key } = this.#options;
    const course = new Course(after, until, handlers);
    for (const { manifest, open } of slices) {
      for await (const run of readSlice(manifest, () => open(signal), key)) {
        signal?.throwIfAborted();
        await course.take(run.data);
        onProgress?.(run.data.length, run.count);
      }
    }
    return course;
  }
}

function parsed(document: Buffer): OrderedDocument {
  return parseExtendedJson(toExtendedJson(document));
}

function handsOf(client: MongoClient): StagingHands {
  return {
    create: async (item) => {
      const db = client.db(item.db);
      await createCollection(db, item, item.staging);
      if (item.kind === 'timeseries') await allowMixedSchemas(db, item.staging);
    },
    drop: (item) => dropIfThere(client.db(item.db), item.staging),
    modify: async (item, change) => {
      await client.db(item.db).command({ collMod: item.staging, ...Object.fromEntries(change) });
    },
  };
}

async function counted(client: MongoClient, item: RestoreItem): Promise<RestoreItem> {
  if (item.kind === 'view') return item;
  const db = client.db(item.db);
  const { n } = await db.command({ count: dataCollection(item, item.staging) });
  const { size } = await db.command({ collStats: item.staging });
  return { ...item, documents: Number(n), bytes: Number(size ?? 0) };
}
