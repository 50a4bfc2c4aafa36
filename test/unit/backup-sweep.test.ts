import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { noteName, sweepRuns } from '../../src/mongodb/backup/catalog.ts';
import { DirectoryStorage } from '../../src/storage/directory.ts';

async function withRuns(...runs: { id: string; owner: string }[]) {
  const folder = await mkdtemp(join(tmpdir(), 'slipway-sweep-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const storage = new DirectoryStorage(folder);
  for (const { id, owner } of runs) {
    const note = { policy: 'shop', owner, archive: `${id}.gz`, startedAt: '2026-11-23T02:00:00Z' };
    await storage.write(noteName(id), JSON.stringify(note));
    await storage.write(`${id}.gz`, 'without a manifest');
  }
  return { storage, files: async () => (await readdir(folder)).sort() };
}
const runs = [
  { id: 'dump-1', owner: 'backup.shop-1/r1' },
  { id: 'dump-2', owner: 'backup.shop-2/r2' },
];

test('a run that is given up while it waits for another removes nothing of that other', async () => {
  const { storage, files } = await withRuns(...runs);
  expect(await sweepRuns(storage, 'shop', 'backup.shop-2/r2')).toEqual(['dump-2']);
  expect(await files()).toEqual(['dump-1.gz', 'dump-1.running.json']);
});

test('a run that begins, alone with its policy, removes what any killed run has left', async () => {
  const { storage, files } = await withRuns(...runs);
  expect(await sweepRuns(storage, 'shop')).toEqual(['dump-1', 'dump-2']);
  expect(await files()).toEqual([]);
});
