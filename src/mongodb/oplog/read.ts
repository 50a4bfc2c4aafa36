// Reading a stored slice back: what it says of itself must be what it holds, to the last byte.
import { compareMoments, type Moment } from '../../domain/point-in-time/moment.ts';
import type { SliceManifest } from '../../specs/slice.ts';
import type { Bytes } from '../../storage/compression.ts';
import type { ReadingKey } from '../../storage/encryption.ts';
import { hashOnTheSpot } from '../../storage/hashing.ts';
import { hashed, unwrapArchive } from '../backup/archive-file.ts';
import { BackupDamagedError } from '../backup/catalog.ts';
import { documentsOf } from '../bson/raw.ts';
import { entryTime } from '../dump/oplog.ts';
import type { DocumentRun } from '../kernels.ts';
import { documentRuns } from './documents.ts';

/** What is checked of a slice when it is read. */
export type SliceFacts = Pick<SliceManifest, 'from' | 'to' | 'first' | 'last' | 'entries' | 'bytes'> & {
  data: { sha256: string; size: number } | null;
};

/**
 * The entries of a slice in their order. The last run comes only when all of it has been found to be right.
 * @throws BackupDamagedError when it is not what it says; EncryptionError and errors of zlib
 */
export async function* readSlice(
  facts: SliceFacts,
  open: () => Promise<Bytes>,
  key: ReadingKey | undefined,
): AsyncGenerator<DocumentRun> {
  if (facts.data === null) return;
  const hash = hashOnTheSpot.start();
  let size = 0;
  const stored = hashed(await open(), hash, (bytes) => (size += bytes));
  const check = new OrderCheck(facts);
  let held: DocumentRun | undefined;
  for await (const run of documentRuns(unwrapArchive(stored, key))) {
    check.take(run);
    if (held) yield held;
    held = run;
  }
  check.end();
  if (size !== facts.data.size) damaged(`it has ${size} bytes instead of ${facts.data.size}`);
  if ((await hash.digest()) !== facts.data.sha256)
    damaged('its SHA-256 is not the one noted when it was stored');
  if (held) yield held;
}

/** Entries must come in their order, within the slice's stretch, and all of them. */
export class OrderCheck {
  readonly #facts: SliceFacts;
  #entries = 0;
  #bytes = 0;
  #first: Moment | undefined;
  #last: Moment | undefined;

  constructor(facts: SliceFacts) {
    this.#facts = facts;
  }

  take({ data, count }: DocumentRun): void {
    this.#entries += count;
    this.#bytes += data.length;
    for (const entry of documentsOf(data)) {
      const time = entryTime(entry);
      if (compareMoments(time, this.#last ?? this.#facts.from) <= 0)
        damaged('its entries are not in their order');
      this.#first ??= time;
      this.#last = time;
    }
    if (this.#last && compareMoments(this.#last, this.#facts.to) > 0) damaged('it goes on after its end');
  }

  end(): void {
    const { entries, bytes, first, last } = this.#facts;
    if (this.#entries !== entries) damaged(`it holds ${this.#entries} entries instead of ${entries}`);
    if (this.#bytes !== bytes) damaged(`it holds ${this.#bytes} bytes of entries instead of ${bytes}`);
    const isOther = (a: Moment | undefined, b: Moment | null) => !a || !b || compareMoments(a, b) !== 0;
    if (entries > 0 && (isOther(this.#first, first) || isOther(this.#last, last)))
      damaged('its first or last entry is another');
  }
}

function damaged(what: string): never {
  throw new BackupDamagedError(`a slice of the oplog is damaged: ${what}`);
}
