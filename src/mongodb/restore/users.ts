// Users and roles travel as ordinary documents, and come in by the server's own merge, as with mongorestore.
import { type MongoClient, MongoServerError } from 'mongodb';
import { rawInsert } from '../raw-write.ts';
import { dropIfThere } from './collections.ts';

const temporaryUsers = '__slipway_restore_users';
const temporaryRoles = '__slipway_restore_roles';

/** Collects the documents of the archive's authorization namespaces, which are few. */
export class UsersAndRoles {
  readonly #users: Buffer[] = [];
  readonly #roles: Buffer[] = [];
  #bytes = 0;

  /** Takes documents if they are users or roles, and says whether they were. */
  take(collection: string, data: Buffer): boolean {
    const kind = /^(?:\$admin\.)?system\.(users|roles|version)$/.exec(collection)?.[1];
    if (kind === undefined) return false;
    this.#bytes += data.length;
    if (this.#bytes > 256 << 20) throw new Error('the archive holds more than 256 MiB of users and roles');
    if (kind !== 'version') (kind === 'users' ? this.#users : this.#roles).push(Buffer.from(data));
    return true;
  }

  /**
   * Merges them into the server: those that exist are replaced, others stay.
   * @throws MongoServerError when the restoring user may not do that
   */
  async merge(client: MongoClient): Promise<void> {
    if (this.#users.length + this.#roles.length === 0) return;
    const admin = client.db('admin');
    const temporary = [
      { collection: temporaryUsers, runs: this.#users },
      { collection: temporaryRoles, runs: this.#roles },
    ];
    try {
      for (const { collection, runs } of temporary) {
        await dropIfThere(admin, collection);
        await admin.command({ create: collection });
        if (runs.length === 0) continue;
        const failed = await rawInsert({
          db: admin,
          collection,
          pieces: runs,
          ordered: false,
          keepsZeroTimestamps: false,
        });
        if (failed[0])
          throw new Error(`users and roles: the server refused ${failed[0].id}: ${failed[0].message}`);
      }
      await admin.command({
        _mergeAuthzCollections: 1,
        tempUsersCollection: `admin.${temporaryUsers}`,
        tempRolesCollection: `admin.${temporaryRoles}`,
        drop: false,
        db: '',
        writeConcern: { w: 'majority' },
      });
    } finally {
      for (const { collection } of temporary) await dropIfThere(admin, collection).catch(ignoreServerError);
    }
  }
}

function ignoreServerError(error: unknown): void {
  if (!(error instanceof MongoServerError)) throw error;
}
