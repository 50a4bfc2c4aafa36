// Where a restore stands, kept beside the data so that whoever takes over after a crash knows. The first part of the work
// only fills staging collections and can be done again; once the swap has begun it must be carried to its end.
import type { Collection, MongoClient } from 'mongodb';
import { stagingPrefix } from '../staging.ts';
import type { RestorePlan } from './plan.ts';

export type JournalPhase = 'loading' | 'swapping';

interface JournalState {
  _id: 'state';
  phase: JournalPhase;
  fingerprint: string;
}

export class RestoreJournal {
  readonly #collection: Collection<JournalState>;
  readonly #fingerprint: string;

  /** The journal lies in the first database of the plan, where the restore may write anyway. */
  constructor(client: MongoClient, id: string, plan: RestorePlan, fingerprint: string) {
    const db = plan.items.map((item) => item.db).sort()[0] ?? 'admin';
    this.#collection = client.db(db).collection<JournalState>(`${stagingPrefix}${id}`);
    this.#fingerprint = fingerprint;
  }

  /** The phase in which an earlier run of the same restore stopped. A journal of another restore counts as none. */
  async phase(): Promise<JournalPhase | undefined> {
    const state = await this.#collection.findOne({ _id: 'state' });
    return state?.fingerprint === this.#fingerprint ? state.phase : undefined;
  }

  /** Notes a phase; when this returns, a majority has it, and all that was written before. */
  async enter(phase: JournalPhase): Promise<void> {
    const state = { phase, fingerprint: this.#fingerprint };
    await this.#collection.replaceOne({ _id: 'state' }, state, {
      upsert: true,
      writeConcern: { w: 'majority', j: true },
    });
  }

  async remove(): Promise<void> {
    await this.#collection.drop();
  }
}
