/**
 * Restores a mongodump archive (ours or mongodump's own) without ever putting data at risk that is there: the whole
 * archive is proven first; documents go into staging collections; counts and contents are compared; indexes are built;
 * only then names are swapped. A restore that is called again with the same id goes on where it was killed.
 */
import { createHash } from 'node:crypto';
import type { MongoClient } from 'mongodb';
import { readArchive } from './archive/reader.ts';
import { type ArchiveProof, unwrapArchive } from './backup/archive-file.ts';
import { serverFacts } from './connect.ts';
import { RestoreJournal } from './restore/journal.ts';
import { type RestorePlan, RestorePlanError } from './restore/plan.ts';
import { previewRestore } from './restore/preview.ts';
import { ProgressMeter } from './restore/progress.ts';
import type { RestoreOptions, RestoreResult } from './restore/run.types.ts';
import { dropStaging, fillStaging } from './restore/stage.ts';
import { swapAll } from './restore/swap.ts';
import { UsersAndRoles } from './restore/users.ts';

export { previewRestore } from './restore/preview.ts';
export {
  RestoreFailedError,
  type RestoreOptions,
  type RestorePhase,
  type RestoreProgress,
  type RestoreResult,
  type RestoreSource,
} from './restore/run.types.ts';

/**
 * Carries a restore out.
 * @throws RestorePlanError before anything is written, RestoreFailedError before anything is swapped, and errors of
 * reading, of the driver, or of the signal
 */
export async function restore(client: MongoClient, options: RestoreOptions): Promise<RestoreResult> {
  if (!/^[A-Za-z0-9-]{1,40}$/.test(options.id)) {
    throw new RestorePlanError(
      `restore id ${JSON.stringify(options.id)}: 1 to 40 letters, digits and - are allowed`,
    );
  }
  return new RestoreRun(client, options).run();
}

class RestoreRun {
  readonly #client: MongoClient;
  readonly #options: RestoreOptions;
  readonly #progress: ProgressMeter;
  readonly #users = new UsersAndRoles();
  #keepsZeroTimestamps = false;

  constructor(client: MongoClient, options: RestoreOptions) {
    this.#client = client;
    this.#options = options;
    this.#progress = new ProgressMeter(options.onProgress);
  }

  async run(): Promise<RestoreResult> {
    this.#progress.enter('verify', this.#options.manifest?.bytes ?? 0);
    const onProgress = (bytes: number) => this.#progress.report({ bytes });
    const { plan, proof } = await previewRestore(this.#client, { ...this.#options, onProgress });
    this.#keepsZeroTimestamps = (await serverFacts(this.#client)).majorMinor[0] >= 8;
    const journal = new RestoreJournal(
      this.#client,
      this.#options.id,
      plan,
      fingerprint(proof, plan, this.#options.rollForward?.digest),
    );
    const resumed = await journal.phase();
    if (resumed !== 'swapping') {
      this.#assertMayReplace(plan);
      await dropStaging(this.#client, plan, this.#options.id);
      await this.#stage(plan, journal);
    }
    this.#progress.enter('swap');
    await swapAll(this.#client, plan.items, {
      keepsZeroTimestamps: this.#keepsZeroTimestamps,
      onSwapped: (item) => this.#progress.doneWith(item),
    });
    await journal.enter('swapping'); // when a majority has this, it has the swaps
    const usersAndRoles = await this.#mergeUsers(plan, resumed === 'swapping');
    await journal.remove();
    this.#progress.enter('done');
    return result(plan, usersAndRoles, this.#progress.timings);
  }

  /** Everything before the swap; when any of it fails, the staging collections are dropped. */
  async #stage(plan: RestorePlan, journal: RestoreJournal): Promise<void> {
    await journal.enter('loading');
    try {
      await fillStaging({
        client: this.#client,
        options: this.#options,
        plan,
        progress: this.#progress,
        users: this.#users,
        keepsZeroTimestamps: this.#keepsZeroTimestamps,
      });
      this.#options.signal?.throwIfAborted();
      await journal.enter('swapping');
    } catch (error) {
      await dropStaging(this.#client, plan, this.#options.id).catch(() => undefined); // the first error is the one to tell
      await journal.remove().catch(() => undefined);
      throw error;
    }
  }

  async #mergeUsers(plan: RestorePlan, resumed: boolean): Promise<boolean> {
    if (!this.#restoresUsers(plan)) return false;
    this.#progress.enter('users');
    if (resumed) await this.#readUsers();
    await this.#users.merge(this.#client);
    return true;
  }

  /** Users and roles name databases: they fit only when everything keeps its name. */
  #restoresUsers(plan: RestorePlan): boolean {
    const { usersAndRoles = true, include, exclude, nsFrom } = this.#options;
    return usersAndRoles && plan.hasUsersAndRoles && !include?.length && !exclude?.length && !nsFrom?.length;
  }

  async #readUsers(): Promise<void> {
    const { open, key, signal } = this.#options;
    for await (const event of readArchive(unwrapArchive(await open(signal), key))) {
      if (event.kind === 'documents' && event.namespace.db === 'admin')
        this.#users.take(event.namespace.collection, event.data);
    }
  }

  #assertMayReplace(plan: RestorePlan): void {
    const existing = plan.items.filter(({ replaces }) => replaces !== undefined);
    if (existing.length === 0 || this.#options.replace) return;
    const names = existing.slice(0, 5).map(({ db, collection }) => `${db}.${collection}`);
    const more = existing.length > 5 ? ` and ${existing.length - 5} more` : '';
    throw new RestorePlanError(
      `${names.join(', ')}${more} exist already; allow replacing them, or restore under other names`,
    );
  }
}

function result(
  { items, skipped }: RestorePlan,
  usersAndRoles: boolean,
  timings: RestoreResult['timings'],
): RestoreResult {
  return {
    restored: items.map(({ source, db, collection, kind, documents, bytes, replaces }) => ({
      source,
      target: `${db}.${collection}`,
      kind,
      documents,
      bytes,
      replaced: replaces !== undefined,
    })),
    skipped,
    usersAndRoles,
    documents: items.reduce((sum, item) => sum + item.documents, 0),
    bytes: items.reduce((sum, item) => sum + item.bytes, 0),
    timings,
  };
}

/** Same archive, same names: only then may a later run go on with what an earlier one has staged. */
function fingerprint(proof: ArchiveProof, plan: RestorePlan, slices = ''): string {
  const hash = createHash('sha256').update(proof.sha256).update(slices);
  for (const { source, db, collection, staging } of plan.items)
    hash.update(JSON.stringify([source, db, collection, staging]));
  return hash.digest('hex');
}
