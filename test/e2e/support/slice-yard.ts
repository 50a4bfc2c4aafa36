/** Two servers and a folder: backups and slices of the one, restored to any moment on the other. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { momentOf } from '../../../src/backups/slices.ts';
import type { Moment } from '../../../src/domain/point-in-time/moment.ts';
import { planRecovery } from '../../../src/domain/point-in-time/reach.ts';
import { createBackup } from '../../../src/mongodb/backup.ts';
import { majorityTime } from '../../../src/mongodb/dump/consistency.ts';
import { listSlices, readSliceManifest } from '../../../src/mongodb/oplog/catalog.ts';
import { type SliceOptions, type SliceOutcome, writeSlice } from '../../../src/mongodb/oplog/write.ts';
import { previewRestore, restore } from '../../../src/mongodb/restore.ts';
import type { RestoreSelection } from '../../../src/mongodb/restore/plan.ts';
import { RollForward } from '../../../src/mongodb/restore/roll-forward.ts';
import type { BackupManifest } from '../../../src/specs/manifest.ts';
import { DirectoryStorage } from '../../../src/storage/directory.ts';
import type { EncryptionKey } from '../../../src/storage/encryption.ts';
import type { Storage } from '../../../src/storage/storage.ts';
import { type MongoServer, startMongod } from '../backup-engine.support.ts';

/** What a test may leave on either server. */
const DATABASES = ['shop', 'other', 'restored'];

export class SliceYard {
  readonly source: MongoServer;
  readonly target: MongoServer;
  /** New for every test. */
  folder = '';
  storage: Storage = new DirectoryStorage('');
  /** The backup that was taken last. */
  base!: BackupManifest;
  #runs = 0;

  private constructor(source: MongoServer, target: MongoServer) {
    this.source = source;
    this.target = target;
  }

  static async open(): Promise<SliceYard> {
    const [source, target] = await Promise.all([startMongod(), startMongod()]);
    return new SliceYard(source, target);
  }

  async close(): Promise<void> {
    await Promise.all([this.source.stop(), this.target.stop()]);
  }

  async begin(): Promise<void> {
    this.folder = await mkdtemp(join(tmpdir(), 'slipway-slices-'));
    this.storage = new DirectoryStorage(this.folder);
  }

  async clear(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
    for (const name of DATABASES)
      await Promise.all([this.source, this.target].map(({ client }) => client.db(name).dropDatabase()));
  }

  /** A backup of these databases, which slices go on from. */
  async take(databases = ['shop'], key?: EncryptionKey): Promise<BackupManifest> {
    this.base = await createBackup(this.source.client, this.storage, {
      policy: 'p',
      owner: `run-${this.#runs}`,
      id: `dump-${this.#runs++}`,
      compression: 'gzip',
      key,
      databases,
      toolVersion: 'test',
    });
    return this.base;
  }

  /** One slice of what has come since the last. */
  async slice(change: Partial<SliceOptions> = {}): Promise<SliceOutcome> {
    return await writeSlice(this.source.client, this.storage, {
      policy: 'p',
      filter: { databases: ['shop'] },
      compression: 'zstd',
      maxBytes: 64 << 20,
      bases: async () => [timeOf(this.base)],
      toolVersion: 'test',
      ...change,
    });
  }

  /** A moment after everything that has happened. */
  async now(): Promise<Moment> {
    const tick = this.source.client.db('shop').collection('tick');
    await tick.insertOne({}, { writeConcern: { w: 'majority' } });
    await tick.deleteMany({}, { writeConcern: { w: 'majority' } });
    return await majorityTime(this.source.client);
  }

  async rollForward(
    moment: Moment,
    selection: RestoreSelection = {},
    key?: EncryptionKey,
  ): Promise<RollForward> {
    const { storage, base } = this;
    const { slices } = await listSlices(storage, 'p');
    const recovery = planRecovery([{ id: base.id, at: timeOf(base) }], slices, moment);
    if (typeof recovery === 'string') throw new Error(recovery);
    const sources = await Promise.all(
      recovery.slices.map(async (each) => {
        const manifest = await readSliceManifest(storage, 'p', each);
        return { manifest, open: async () => storage.read(manifest.data?.name ?? '') };
      }),
    );
    return new RollForward({ slices: sources, after: recovery.base.at, until: moment, key, selection });
  }

  async restoreAt(moment: Moment, selection: RestoreSelection = {}, key?: EncryptionKey) {
    const { storage, base } = this;
    return await restore(this.target.client, {
      ...selection,
      id: `r${this.#runs++}`,
      open: async () => storage.read(base.archive.name),
      key,
      manifest: base,
      rollForward: await this.rollForward(moment, selection, key),
      replace: true,
    });
  }

  /** Collections and documents as a dry run tells them. */
  async planAt(moment: Moment): Promise<string[]> {
    const { storage, base } = this;
    const { plan } = await previewRestore(this.target.client, {
      open: async () => storage.read(base.archive.name),
      manifest: base,
      rollForward: await this.rollForward(moment),
    });
    return plan.items.map((item) => `${item.db}.${item.collection} ${item.documents}`);
  }
}

function timeOf(manifest: BackupManifest): Moment {
  const moment = momentOf(manifest);
  if (!moment) throw new Error('a backup of no one moment');
  return moment;
}
