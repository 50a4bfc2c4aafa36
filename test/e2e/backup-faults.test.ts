/** What servers, networks and disks do in the middle of a dump. */
import { execFileSync } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { MongoClient } from 'mongodb';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RunRef } from '../../src/client/backup.ts';
import type { BackupStatus } from '../../src/domain/backup/types.ts';
import { createBackup } from '../../src/mongodb/backup.ts';
import { verifyBackup } from '../../src/mongodb/backup/catalog.ts';
import { DirectoryStorage } from '../../src/storage/directory.ts';
import { BackupLab } from './backup.support.ts';
import { eventually } from './support/eventually.ts';
import { WorkerProcess } from './support/slipway-worker.ts';
import { ReplicaSet } from './support/replica-set.ts';
import { TcpProxy } from './support/tcp-proxy.ts';

const DOCUMENTS = 300;

let lab: BackupLab;
const workers: WorkerProcess[] = [];

beforeAll(async () => {
  lab = await BackupLab.open();
  await lab.mongo.use((client) => fill(client));
});

afterAll(async () => {
  await Promise.all(workers.map((worker) => worker.kill()));
  await lab?.close();
});

/** About 30 MB that do not compress. */
async function fill(client: MongoClient): Promise<void> {
  const noise = client.db('shop').collection('noise');
  for (let i = 0; i < 10; i++) {
    await noise.insertMany(
      Array.from({ length: DOCUMENTS / 10 }, () => ({
        a: crypto.getRandomValues(new Uint8Array(50_000)),
        b: crypto.getRandomValues(new Uint8Array(50_000)),
      })),
      { writeConcern: { w: 'majority' } },
    );
  }
}

/** The only worker that runs now has this connection string. */
async function workerWith(uri: string): Promise<void> {
  await lab.killWorkers();
  await Promise.all(workers.map((worker) => worker.kill()));
  workers.push(await WorkerProcess.start({ ...lab.env, MONGODB_URI: uri }));
}

const dumping = (ref: RunRef) =>
  eventually(`${ref.id} dumps`, async () => {
    const { progress } = await lab.client.backups.view<BackupStatus>(ref);
    return progress?.stage === 'dumping' && progress.bytes > 0 && progress;
  });
const faster = (ref: RunRef) => lab.client.backups.throttle(ref, { mbPerSecond: null, by: 'ann' });
const folder = () => mkdtemp(join(tmpdir(), 'slipway-faults-'));

/** Gives why attempts failed on the way. */
async function expectVerified(ref: RunRef, directory: string): Promise<string[]> {
  const retries = new Set<string>();
  const { status, progress } = await lab.client.backups.follow<BackupStatus>(ref, {
    pollMs: 200,
    timeoutMs: 180_000,
    onView: ({ retrying }) => retrying && retries.add(`attempt ${retrying.attempt}: ${retrying.why}`),
  });
  expect(status, JSON.stringify({ status, progress, retries: [...retries] })).toMatchObject({
    outcome: 'verified',
    result: { documents: DOCUMENTS },
  });
  const id = status?.result?.id ?? '';
  expect((await readdir(directory)).sort()).toEqual([`${id}.gz`, `${id}.manifest.json`]);
  await verifyBackup(new DirectoryStorage(directory), id);
  await rm(directory, { recursive: true });
  return [...retries];
}

describe('a dump under way', () => {
  const slow = '  throttle: { mbPerSecond: 1 }';

  test('goes on where it is although the primary steps down for another', async () => {
    const set = await ReplicaSet.start();
    try {
      await set.use((client) => fill(client));
      await workerWith(set.uri);
      const directory = await folder();
      const ref = await lab.client.backups.run(lab.policy('step-down', { directory, spec: slow }), 'ann');
      await dumping(ref);
      await set.stepDown();
      await faster(ref);
      const retries = await expectVerified(ref, directory);
      expect(retries).toEqual([]);
    } finally {
      await set.stop();
    }
  });

  test('ends verified although the network to the server is cut for some seconds', async () => {
    const proxy = await TcpProxy.start(Number(new URL(lab.mongo.uri).port));
    try {
      await workerWith(`mongodb://127.0.0.1:${proxy.port}/?directConnection=true`);
      const directory = await folder();
      const ref = await lab.client.backups.run(lab.policy('cut', { directory, spec: slow }), 'ann');
      await dumping(ref);
      proxy.cut();
      await new Promise((resolve) => setTimeout(resolve, 4_000));
      proxy.mend();
      await faster(ref);
      await expectVerified(ref, directory);
    } finally {
      await proxy.stop();
    }
  });
});

describe('a disk that is a few pages too small', () => {
  const PAGE = 4_096;

  test('fills at the last write, or has no room for the manifest: then nothing is left, or all is whole', async () => {
    const directory = await folder();
    const outcomes: string[] = [];
    await lab.mongo.use(async (client) => {
      await client
        .db('small')
        .collection('c')
        .insertMany(
          Array.from({ length: 400 }, () => ({ noise: crypto.getRandomValues(new Uint8Array(1_000)) })),
        );
      const take = (id: string) =>
        createBackup(client, new DirectoryStorage(directory), {
          policy: 'p',
          owner: id,
          id,
          compression: 'none',
          databases: ['small'],
          toolVersion: 'test',
        });
      const { archive } = await take('dump-20260101-000000');
      await rm(directory, { recursive: true });
      const pages = Math.ceil(archive.size / PAGE);
      for (const more of [-1, 0, 1, 2, 3, 4]) {
        const mounted = await folder();
        const options = `size=${(pages + more) * PAGE}`;
        try {
          execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', mounted], { stdio: 'ignore' });
        } catch {
          return expect.soft(process.getuid?.(), 'only root can make a small file system').not.toBe(0);
        }
        try {
          const storage = new DirectoryStorage(mounted);
          const id = `dump-20260101-00000${more + 2}`;
          const outcome = await createBackup(client, storage, {
            policy: 'p',
            owner: id,
            id,
            compression: 'none',
            databases: ['small'],
            toolVersion: 'test',
          }).then(
            () => 'made',
            (error: Error) => error.message,
          );
          outcomes.push(outcome);
          const files = (await readdir(mounted)).sort();
          if (outcome === 'made') {
            expect(files).toEqual([`${id}.archive`, `${id}.manifest.json`]);
            await verifyBackup(storage, id);
          } else {
            expect(outcome).toMatch(/no space left/);
            expect(files).toEqual([]);
          }
        } finally {
          execFileSync('umount', [mounted]);
        }
      }
    });
    expect(outcomes[0]).toMatch(/cannot write dump-20260101-000001.archive .*no space left/);
    expect(outcomes.some((outcome) => /manifest.*no space left/.test(outcome))).toBe(true);
    expect(outcomes.at(-1)).toBe('made');
  });
});
