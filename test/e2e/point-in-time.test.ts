/** Any moment, by commands and workflows: slices while there is load, kills, gaps, and restores to moments in between. */
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { MongoClient } from 'mongodb';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { reachOf } from '../../src/backups/slices.ts';
import type { RestoreStatus } from '../../src/domain/backup/restore.types.ts';
import type { BackupStatus } from '../../src/domain/backup/types.ts';
import { compareMoments, type Moment, momentText } from '../../src/domain/point-in-time/moment.ts';
import { entryTime, readOplog } from '../../src/mongodb/dump/oplog.ts';
import { documentsOf } from '../../src/mongodb/bson/raw.ts';
import { majorityTime } from '../../src/mongodb/dump/consistency.ts';
import { listSlices, readSliceManifest } from '../../src/mongodb/oplog/catalog.ts';
import { readSlice } from '../../src/mongodb/oplog/read.ts';
import { keepEntries, sliceSelection } from '../../src/mongodb/oplog/selection.ts';
import type { BackupPolicy } from '../../src/specs/backup.types.ts';
import { DirectoryStorage } from '../../src/storage/directory.ts';
import { restoreOf } from '../restore-input.ts';
import { BackupLab } from './backup.support.ts';
import { eventually } from './support/eventually.ts';

let lab: BackupLab;
let policy: BackupPolicy;
let storage: DirectoryStorage;
let number = 0;

beforeAll(async () => {
  // An oplog so small that it turns over when a test wants it to.
  lab = await BackupLab.open({ mongod: ['--oplogSize', '24', '--syncdelay', '5'] });
});
afterAll(() => lab?.close());
beforeEach(async () => {
  const directory = join(lab.directory, `p${++number}`);
  await mkdir(directory);
  storage = new DirectoryStorage(directory);
  const spec =
    '  pointInTime: { sliceEvery: 10s }\n  compression: zstd\n  encryption: { keyFrom: { env: BACKUP_KEY } }';
  policy = lab.policy(`moments-${number}`, { databases: 'bank', directory, spec });
});
afterEach(async () => {
  await lab.client.backups.delete(policy.metadata.name).catch(() => undefined);
  await lab.mongo.use((client) => client.db('bank').dropDatabase());
});

const backup = async () => {
  const ref = await lab.client.backups.run(policy, 'ann');
  const { status } = await lab.client.backups.follow<BackupStatus>(ref, { pollMs: 200, timeoutMs: 120_000 });
  expect(status).toMatchObject({ phase: 'verified', problems: [] });
  return status?.result?.id ?? '';
};
const reach = () => reachOf(storage, policy.metadata.name);
/** Waits until a moment is in a slice. */
const reached = (moment: Moment) =>
  eventually(
    `slices reach ${momentText(moment)}`,
    async () => {
      const { reached: newest } = await reach();
      if (newest !== null && compareMoments(newest, moment) >= 0) return true;
      throw new Error(JSON.stringify(await lab.client.backups.slices(policy.metadata.name)));
    },
    120_000,
  );
const slices = async () => (await lab.client.backups.slices(policy.metadata.name))?.status;
const restore = async (at: string, more: string[] = []) =>
  await lab.cli([
    ...['restore', '--policy', policy.metadata.name, '--at', at, '--yes', '--wait', '--no-backup-before'],
    ...more,
  ]);

const accounts = 200;
const names = ['a', 'b', 'c', 'd'];
async function openBank(): Promise<void> {
  const filler = Array.from({ length: accounts }, (_, i) => ({
    _id: i as never,
    balance: 100,
    pad: 'x'.repeat(500),
  }));
  await lab.mongo.use((client) =>
    Promise.all(names.map((name) => client.db('bank').collection(name).insertMany(filler))),
  );
}
/** Moves money until it is told to stop, in transactions and without pause. Gives the number of transfers. */
function transfers(client: MongoClient): () => Promise<number> {
  let running = true;
  let count = 0;
  const any = () => names[Math.floor(Math.random() * names.length)] as string;
  const work = (async () => {
    while (running) {
      await client.withSession((session) =>
        session.withTransaction(async () => {
          const [from, to] = [Math.floor(Math.random() * accounts), Math.floor(Math.random() * accounts)];
          const bank = client.db('bank');
          await bank
            .collection(any())
            .updateOne({ _id: from as never }, { $inc: { balance: -5 } }, { session });
          await bank.collection(any()).updateOne({ _id: to as never }, { $inc: { balance: 5 } }, { session });
          await bank.collection('log').insertOne({ from, to }, { session });
        }),
      );
      count++;
    }
  })();
  return async () => {
    running = false;
    await work;
    return count;
  };
}
async function totalOf(client: MongoClient, db: string): Promise<number> {
  let total = 0;
  for (const name of names)
    for await (const { balance } of client.db(db).collection(name).find()) total += balance as number;
  return total;
}
/** Everything in the bank, and when that was. */
async function picture(client: MongoClient, db = 'bank') {
  const { collections } = await client.db(db).command({ dbHash: 1 });
  return collections as Record<string, string>;
}

/** Every entry of the oplog that the policy takes, between two moments, and every entry of the slices. */
async function entriesOf(client: MongoClient, from: Moment, to: Moment): Promise<string[]> {
  const selection = sliceSelection({ databases: ['bank'] });
  const times: string[] = [];
  for await (const run of readOplog(client, { from, to, exclusive: true }))
    for (const entry of documentsOf(keepEntries(run, selection).data))
      times.push(momentText(entryTime(entry)));
  return times;
}
async function sliced(): Promise<{ times: string[]; from: Moment; to: Moment }> {
  const { name } = policy.metadata;
  const key = (await import('../../src/storage/encryption.ts')).parseKey(lab.env['BACKUP_KEY'] ?? '');
  const listed = (await listSlices(storage, name)).slices;
  const times: string[] = [];
  for (const slice of listed) {
    const manifest = await readSliceManifest(storage, name, slice);
    for await (const run of readSlice(manifest, async () => storage.read(manifest.data?.name ?? ''), key))
      for (const entry of documentsOf(run.data)) times.push(momentText(entryTime(entry)));
  }
  const [first, last] = [listed[0], listed.at(-1)];
  if (!first || !last) throw new Error('no slices');
  return { times, from: first.from, to: last.to };
}

describe('a policy with pointInTime', () => {
  test('brings back any moment of a bank under load, each with the right total', async () => {
    const { name } = policy.metadata;
    await openBank();
    const file = join(lab.directory, `${name}.json`);
    await writeFile(file, JSON.stringify(policy));
    const applied = await lab.cli(['backup', 'apply', '-f', file]);
    expect(applied.out).toContain(`a slice every 10s, by workflow oplog.${name}`);
    await lab.mongo.use(async (client) => {
      const stop = transfers(client);
      const base = await backup();
      const moments: Moment[] = [];
      for (let i = 0; i < 3; i++) {
        await delay(1_500);
        moments.push(await majorityTime(client));
      }
      expect(await stop()).toBeGreaterThan(10);
      const end = await majorityTime(client);
      const last = await picture(client);
      await reached(end);

      const shown = await lab.cli(['backup', 'show', base, '--policy', name]);
      expect(shown.out).toMatch(/Leads to +every moment until/);
      expect((await lab.cli(['backup', 'list', '--policy', name])).out).toContain(
        'Every moment of these can be restored',
      );
      expect((await lab.cli(['backup', 'describe', name])).out).toMatch(
        /Oplog slices +running; they reach to 20/,
      );

      const logged: number[] = [];
      for (const moment of moments) {
        const done = await restore(momentText(moment), ['--ns-from', 'bank.*', '--ns-to', 'then.*']);
        expect(done).toMatchObject({ code: 0 });
        expect(await totalOf(client, 'then')).toBe(names.length * accounts * 100);
        logged.push(await client.db('then').collection('log').countDocuments());
        await client.db('then').dropDatabase();
      }
      expect(logged).toEqual([...logged].sort((a, b) => a - b));
      expect(new Set(logged).size).toBe(moments.length);

      // And in its own place, over a bank that somebody has ruined.
      await client
        .db('bank')
        .collection('a')
        .updateMany({}, { $set: { balance: 0 } });
      await client.db('bank').collection('b').drop();
      await client.db('bank').collection('log').rename('lost');
      const done = await restore(momentText(end));
      expect(done).toMatchObject({ code: 0 });
      const { lost: _, ...now } = await picture(client);
      expect(now).toEqual(last);
      expect(
        (await client.db('bank').listCollections().toArray()).filter((each) => each.name.includes('slipway')),
      ).toEqual([]);
    });
  });

  test('says in a dry run which backup, slices and entries it would use, and touches nothing', async () => {
    await openBank();
    await lab.client.backups.apply(policy);
    await lab.mongo.use(async (client) => {
      const base = await backup();
      await client
        .db('bank')
        .collection('a')
        .insertMany([{}, {}, {}], { writeConcern: { w: 'majority' } });
      const at = await majorityTime(client);
      await client
        .db('bank')
        .collection('a')
        .insertOne({}, { writeConcern: { w: 'majority' } });
      await reached(await majorityTime(client));
      const before = await picture(client);
      const dry = await lab.cli([
        'restore',
        '--policy',
        policy.metadata.name,
        '--at',
        momentText(at),
        '--dry-run',
        '--wait',
      ]);
      expect(dry).toMatchObject({ code: 0 });
      expect(dry.out).toMatch(
        new RegExp(`${base} shows .*; 3 entries of \\d+ slices? of the oplog lead to `),
      );
      expect(await picture(client)).toEqual(before);
      const json = await lab.cli([
        ...[
          'restore',
          '--policy',
          policy.metadata.name,
          '--at',
          momentText(at),
          '--dry-run',
          '--wait',
          '-o',
          'json',
        ],
      ]);
      const { plan } = JSON.parse(json.out) as RestoreStatus;
      expect(plan?.pointInTime).toMatchObject({ moment: momentText(at), entries: 3 });
      expect(plan?.namespaces).toContainEqual(
        expect.objectContaining({ from: 'bank.a', documents: accounts + 3 }),
      );
    });
  });

  test('ends a restore to a moment on the next worker when the first is killed, with nothing left behind', async () => {
    await openBank();
    await lab.client.backups.apply(policy);
    await lab.mongo.use(async (client) => {
      await backup();
      const bank = client.db('bank');
      for (let i = 0; i < 20; i++)
        await bank.collection('log').insertMany(Array.from({ length: 1_000 }, (_, n) => ({ i, n })));
      await bank.collection('a').createIndex({ balance: 1 }, { expireAfterSeconds: 1_000_000 });
      await bank.collection('b').rename('bb');
      const at = await majorityTime(client);
      const expected = await picture(client);
      await reached(at);
      const input = restoreOf(policy, {
        origin: { policy, backup: { at: momentText(at) } },
        selection: { rename: [{ from: 'bank.*', to: 'then.*' }] },
        approved: true,
      });
      const ref = await lab.mongo.whenStaged(
        'then',
        () => lab.client.backups.startRestore(input),
        () => lab.killWorkers(),
      );
      await lab.worker();
      const { status } = await lab.client.backups.follow<RestoreStatus>(ref, {
        pollMs: 200,
        timeoutMs: 180_000,
      });
      expect(status).toMatchObject({ phase: 'restored', failures: [] });
      expect(await picture(client, 'then')).toEqual(expected);
      expect(await client.db('then').collection('a').indexes()).toHaveLength(2);
      const there = await client.db('then').listCollections().toArray();
      expect(there.map(({ name }) => name).sort()).toEqual(['a', 'bb', 'c', 'd', 'log']);
      await client.db('then').dropDatabase();
    });
  });

  test('loses and repeats no entry when its worker is killed again and again', async () => {
    await openBank();
    await lab.client.backups.apply(policy);
    await lab.mongo.use(async (client) => {
      const stop = transfers(client);
      for (let i = 0; i < 4; i++) {
        // Whatever it is doing: more often than not it stores a slice, for each attempt begins anew at once.
        await delay(1_000 + 700 * i);
        await lab.killWorkers();
        await lab.worker();
      }
      await stop();
      const end = await majorityTime(client);
      await reached(end);
      const { times, from, to } = await sliced();
      expect(times).toEqual(await entriesOf(client, from, to));
      expect(new Set(times).size).toBe(times.length);
      const { slices: count, gaps } = await reach();
      expect(count).toBeGreaterThan(1);
      expect(gaps).toEqual([]);
      const left = (await readdir(storage.location)).filter((file) => file.startsWith('.'));
      expect(left).toEqual([]);
    });
  });

  test('notices that the oplog has turned over, refuses moments of the gap, and goes on from the next backup', async () => {
    const { name } = policy.metadata;
    await openBank();
    await lab.client.backups.apply(policy);
    await lab.mongo.use(async (client) => {
      await backup();
      const good = await majorityTime(client);
      await reached(good);
      await lab.client.backups.pause(name, 'ann', 'too long');
      await eventually('slices rest', async () => (await slices())?.phase === 'paused');
      const fill = async () => {
        for (let i = 0; i < 10; i++)
          await client
            .db('bank')
            .collection('noise')
            .insertOne({ pad: 'n'.repeat(1_000_000) });
      };
      await fill();
      const lost = await majorityTime(client);
      // The server cuts its oplog when it writes, and not before the next checkpoint.
      await eventually('the oplog has turned over', async () => {
        await fill();
        const oplog = client.db('local').collection('oplog.rs');
        const oldest = await oplog.find().sort({ $natural: 1 }).limit(1).next();
        return (oldest?.['ts'].getHighBits() ?? 0) > lost.t;
      });
      await lab.client.backups.resume(name, 'ann');
      const [gap] = await eventually('the gap is seen', async () => {
        const { gaps } = await reach();
        return gaps.length > 0 && gaps;
      });
      expect(gap?.reason).toMatch(/the oplog no longer reached back to/);
      await eventually('the workflow tells it', async () => (await slices())?.gaps.length === 1);
      expect((await lab.cli(['backup', 'describe', name])).out).toMatch(/Gap +20.*no longer reached back/);

      const refused = await restore(momentText(lost));
      expect(refused.code).toBe(1);
      expect(refused.out).toMatch(/cannot be reached: .*; reachable is 20\S+ to 20\S+/);

      await backup();
      await client
        .db('bank')
        .collection('a')
        .insertOne({ _id: 'later' as never });
      const later = await majorityTime(client);
      await reached(later);
      expect((await reach()).ranges).toHaveLength(2);
      expect((await restore(momentText(good), ['--ns-from', 'bank.*', '--ns-to', 'then.*'])).code).toBe(0);
      expect(await client.db('then').collection('noise').countDocuments()).toBe(0);
      expect((await restore(momentText(later), ['--ns-from', 'bank.*', '--ns-to', 'later.*'])).code).toBe(0);
      expect(await client.db('later').collection('a').countDocuments()).toBe(accounts + 1);
      await client.db('then').dropDatabase();
      await client.db('later').dropDatabase();
    });
  });

  test('rests, goes on and ends with its policy', async () => {
    const { name } = policy.metadata;
    await lab.client.backups.apply(policy);
    await eventually('it runs', async () => (await slices())?.phase === 'running');
    await lab.mongo.use(async (client) => {
      await client.db('bank').collection('a').insertOne({});
      const written = await majorityTime(client);
      await lab.client.backups.pause(name, 'ann', 'maintenance');
      await eventually('it rests', async () => (await slices())?.phase === 'paused');
      // What was written until the pause is stored.
      const { reached: newest } = await reach();
      expect(newest && compareMoments(newest, written)).toBeGreaterThanOrEqual(0);
    });
    await lab.client.backups.apply(policy);
    expect((await slices())?.phase).toBe('paused');
    await lab.client.backups.resume(name, 'ann');
    await eventually('it goes on', async () => (await slices())?.phase === 'running');
    policy.spec.pointInTime = null;
    await lab.client.backups.apply(policy);
    await eventually(
      'it has ended',
      async () => (await lab.client.backups.slices(name))?.execution === 'COMPLETED',
    );
  });
});
