/** `kill -9` of what makes a backup, at every step of its way to the destination. */
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { watch } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { RunRef } from '../../src/client/backup.ts';
import type { BackupStatus } from '../../src/domain/backup/types.ts';
import { listBackups, verifyBackup } from '../../src/mongodb/backup/catalog.ts';
import { DirectoryStorage } from '../../src/storage/directory.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { BackupLab, FaultyBucket } from './backup.support.ts';
import type { WorkerProcess } from './support/slipway-worker.ts';

const DOCUMENTS = 240;

let lab: BackupLab;
let worker: WorkerProcess;
let s3: FaultyBucket;

beforeAll(async () => {
  [lab, s3] = await Promise.all([BackupLab.open(), FaultyBucket.open('killed')]);
  [worker] = lab.workers as [WorkerProcess];
  await lab.mongo.use(async (client) => {
    // About 31 MB that do not compress: four parts of an upload.
    const noise = client.db('shop').collection('noise');
    for (let i = 0; i < 12; i++) {
      await noise.insertMany(
        Array.from({ length: DOCUMENTS / 12 }, () => ({
          a: crypto.getRandomValues(new Uint8Array(65_000)),
          b: crypto.getRandomValues(new Uint8Array(65_000)),
        })),
      );
    }
  });
});

afterEach(() => s3.proxy.calm());

afterAll(async () => {
  await s3?.close();
  await lab?.close();
});

const policy = (name: string, destination: string) =>
  lab.policy(name, { destination, spec: '  compression: none' });
const end = (ref: RunRef) =>
  lab.client.backups.follow<BackupStatus>(ref, { pollMs: 200, timeoutMs: 180_000 });

/** What the catalog shows must be whole, whatever was killed. Gives how much it shows. */
async function shown(storage: Storage): Promise<number> {
  const entries = await listBackups(storage);
  for (const { id, state } of entries) {
    expect(state, id).toBe('verified');
    await verifyBackup(storage, id);
  }
  return entries.length;
}

interface Step {
  step: string;
  method: string;
  url: RegExp;
  /** Before the server has the request, or when it has answered and nobody knows. */
  when: 'before' | 'after';
  /** Backups that may be shown when it is dead. */
  shows: number;
}

const note = /\.running\.json/;
const manifest = /\.manifest\.json/;
const archive = /\.archive(\?|$)/;
const steps: Step[] = [
  { step: 'before its note is there', method: 'PUT', url: note, when: 'before', shows: 0 },
  { step: 'when its note is there', method: 'PUT', url: note, when: 'after', shows: 0 },
  { step: 'before its upload begins', method: 'POST', url: /\?uploads/, when: 'before', shows: 0 },
  { step: 'when its upload has begun', method: 'POST', url: /\?uploads/, when: 'after', shows: 0 },
  { step: 'in the middle of the data', method: 'PUT', url: /partNumber=2/, when: 'before', shows: 0 },
  { step: 'when a part is stored', method: 'PUT', url: /partNumber=2/, when: 'after', shows: 0 },
  { step: 'before its upload is completed', method: 'POST', url: /uploadId=/, when: 'before', shows: 0 },
  { step: 'when its upload is complete', method: 'POST', url: /uploadId=/, when: 'after', shows: 0 },
  { step: 'before it reads back', method: 'GET', url: archive, when: 'before', shows: 0 },
  { step: 'while it reads back', method: 'GET', url: archive, when: 'after', shows: 0 },
  { step: 'before its manifest is there', method: 'PUT', url: manifest, when: 'before', shows: 0 },
  { step: 'when its manifest is there', method: 'PUT', url: manifest, when: 'after', shows: 1 },
  { step: 'before its note is removed', method: 'DELETE', url: note, when: 'before', shows: 1 },
  { step: 'when its note is removed', method: 'DELETE', url: note, when: 'after', shows: 1 },
];

describe('a backup to S3 that is killed', () => {
  test.each(steps)(
    '$step shows nothing that is not whole, and the next attempt leaves only a verified backup',
    async (at) => {
      const prefix = `step-${steps.indexOf(at)}`;
      const storage = s3.bucket.storage(prefix);
      const deaths: Promise<number>[] = [];
      const strike = (method: string, url: string) => {
        if (deaths.length > 0 || method !== at.method || !at.url.test(url)) return false;
        worker.killEngines();
        deaths.push(shown(storage));
        return true;
      };
      if (at.when === 'before') s3.proxy.fault = (method, url) => (strike(method, url) ? 'cut' : 'none');
      else s3.proxy.answered = (method, url) => void strike(method, url);
      const ref = await lab.client.backups.run(policy(prefix, s3.destination(prefix)), 'ann');
      const { status } = await end(ref);
      expect(await Promise.all(deaths)).toEqual([at.shows]);
      expect(status).toMatchObject({ outcome: 'verified', result: { documents: DOCUMENTS } });
      expect(await shown(storage)).toBe(1);
      const id = status?.result?.id ?? '';
      expect(await s3.bucket.keys(prefix)).toEqual([
        `${prefix}/${id}.archive`,
        `${prefix}/${id}.manifest.json`,
      ]);
      expect(await s3.bucket.uploads(`${prefix}/`)).toEqual([]);
      await storage.close();
    },
  );
});

describe('a backup to a directory that is killed', () => {
  test.each([
    ['when its note is being written', /\.running\.json\.[0-9a-f]+\.partial$/],
    ['when its note appears', /\.running\.json$/],
    ['when its unfinished file appears', /\.archive\.[0-9a-f]+\.partial$/],
    ['when its archive gets its name', /^dump-\d+-\d+(-\d+)?\.archive$/],
    ['when its manifest is being written', /\.manifest\.json\.[0-9a-f]+\.partial$/],
    ['when its manifest appears', /^dump-[\d-]+\.manifest\.json$/],
  ])(
    '%s shows nothing that is not whole, and the next attempt leaves only a verified backup',
    async (_, file) => {
      const directory = await mkdtemp(join(tmpdir(), 'slipway-killed-'));
      const storage = new DirectoryStorage(directory);
      const deaths: Promise<number>[] = [];
      const watcher = watch(directory, (_event, name) => {
        if (deaths.length > 0 || !file.test(name ?? '')) return;
        worker.killEngines();
        deaths.push(shown(storage));
      });
      try {
        const name = `dir-${String(file).replaceAll(/[^a-z]/g, '')}`.slice(0, 40);
        const { status } = await end(
          await lab.client.backups.run(policy(name, `{ directory: ${directory} }`), 'ann'),
        );
        expect(await Promise.all(deaths)).toHaveLength(1);
        expect(status).toMatchObject({ outcome: 'verified', result: { documents: DOCUMENTS } });
        expect(await shown(storage)).toBe(1);
        const id = status?.result?.id ?? '';
        expect((await readdir(directory)).sort()).toEqual([`${id}.archive`, `${id}.manifest.json`]);
      } finally {
        watcher.close();
        await rm(directory, { recursive: true });
      }
    },
  );
});
