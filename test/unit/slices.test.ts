/** Slices at a destination: what counts as one, what leads where, and what goes with the backups that need it. */
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { hold, releaseHold } from '../../src/backups/notes.ts';
import { prune, retentionVerdicts } from '../../src/backups/retention.ts';
import { reachOf, recoveryAt, sliceFilter } from '../../src/backups/slices.ts';
import type { Moment } from '../../src/domain/point-in-time/moment.ts';
import { SlicesRun } from '../../src/domain/point-in-time/run.ts';
import { slicesDetails } from '../../src/domain/point-in-time/view.ts';
import { listSlices, sliceDataName, sliceId, sliceManifestName } from '../../src/mongodb/oplog/catalog.ts';
import { parseBackupPolicy } from '../../src/specs/backup.ts';
import type { BackupPolicy } from '../../src/specs/backup.types.ts';
import type { BackupManifest } from '../../src/specs/manifest.ts';
import type { SliceManifest } from '../../src/specs/slice.ts';
import { DirectoryStorage } from '../../src/storage/directory.ts';

const START = Date.parse('2026-11-20T00:00:00Z') / 1_000;
const HOUR = 3_600;
const at = (hour: number): Moment => ({ t: START + hour * HOUR, i: 1 });
const clocks = [{ name: 'a test', time: (START + 400 * HOUR) * 1_000 }];

let directory: string;
let storage: DirectoryStorage;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'slipway-slices-'));
  storage = new DirectoryStorage(directory);
});
afterEach(() => rm(directory, { recursive: true }));

const policy = (keepFor = ''): BackupPolicy =>
  parseBackupPolicy(`
apiVersion: slipway/v1
kind: BackupPolicy
metadata: { name: shop }
spec:
  source: { uriFrom: { env: MONGODB_URI }, exclude: [shop.cache] }
  schedule: { at: "02:00" }
  destination: { directory: /backup }
  retention: { last: 2, keepAtLeast: 1 }
  pointInTime: { sliceEvery: 1h${keepFor} }
`);

async function backup(hour: number, owner = 'shop'): Promise<string> {
  const id = `dump-${owner}-${hour}`;
  const time = new Date(at(hour).t * 1_000).toISOString();
  const digest = 'a'.repeat(64);
  const manifest: BackupManifest = {
    kind: 'slipway-backup',
    version: 1,
    id,
    policy: owner,
    owner: 'x',
    archive: { name: `${id}.gz`, size: 4, sha256: digest, compression: 'gzip', preludeSha256: digest },
    source: { serverVersion: '6.0.5', topology: 'replicaSet' },
    consistency: { kind: 'snapshot', clusterTime: at(hour), except: [] },
    namespaces: [],
    documents: 0,
    bytes: 0,
    warnings: [],
    startedAt: time,
    storedAt: time,
    verifiedAt: time,
    toolVersion: 'test',
  };
  await storage.write(`${id}.gz`, 'dump');
  await storage.write(`${id}.manifest.json`, JSON.stringify(manifest));
  return id;
}

async function slice(
  from: number,
  to: number,
  { chain = 1, owner = 'shop', gap = null as SliceManifest['gap'] } = {},
) {
  const mark = (from * 1_000 + to).toString(16).padStart(8, '0');
  const data = sliceDataName(
    owner,
    { chain, from: at(from), mark },
    { compression: 'gzip', encrypted: false },
  );
  const manifest: SliceManifest = {
    kind: 'slipway-oplog-slice',
    version: 1,
    policy: owner,
    chain,
    from: at(from),
    to: at(to),
    term: 1,
    wall: 1_795_436_094_000,
    first: at(to),
    last: at(to),
    entries: 1,
    bytes: 10,
    data: { name: data, size: 4, sha256: 'b'.repeat(64), compression: 'gzip' },
    filter: { databases: [], include: [], exclude: [] },
    gap,
    storedAt: new Date(at(to).t * 1_000).toISOString(),
    toolVersion: 'test',
  };
  await storage.write(data, 'bson');
  await storage.write(sliceManifestName(sliceId(owner, { ...manifest, mark })), JSON.stringify(manifest));
}

const stretches = async () =>
  (await listSlices(storage, 'shop')).slices.map(({ from, to }) => [
    (from.t - START) / HOUR,
    (to.t - START) / HOUR,
  ]);

describe('slices at a destination', () => {
  test('are those of the policy, whose manifest is there', async () => {
    await slice(0, 1);
    await slice(1, 2);
    await slice(0, 1, { owner: 'shop-2' });
    await writeFile(
      join(directory, 'oplog.shop.000001.0000000001-0000000001.deadbeef.bson.gz'),
      'left by a kill',
    );
    await writeFile(join(directory, 'oplog.shop.txt'), 'a note of somebody');
    const { slices, orphans } = await listSlices(storage, 'shop');
    expect(slices).toHaveLength(2);
    expect(orphans).toEqual(['oplog.shop.000001.0000000001-0000000001.deadbeef.bson.gz']);
  });

  test('go when the last backup that needs them has gone, and no other file with them', async () => {
    for (const hour of [1, 25, 49]) await backup(hour);
    for (let hour = 0; hour < 60; hour += 6) await slice(hour, hour + 6);
    await slice(0, 6, { owner: 'other' });
    await writeFile(join(directory, 'oplog.shop.txt'), 'a note of somebody');
    const summary = await prune(storage, policy(), clocks);
    expect(summary).toMatchObject({
      deleted: ['dump-shop-1'],
      problems: [],
      slices: { deleted: 4, kept: 6 },
    });
    expect((await stretches())[0]).toEqual([24, 30]);
    const left = await readdir(directory);
    expect(left.filter((name) => name.startsWith('oplog.shop.0') && name.includes('.bson'))).toHaveLength(6);
    expect(left).toEqual(expect.arrayContaining(['oplog.shop.txt']));
    expect(left.filter((name) => name.startsWith('oplog.other.'))).toHaveLength(2);
    const { manifest, slices } = await recoveryAt(storage, 'shop', at(40), null);
    expect([manifest.id, slices.length]).toEqual(['dump-shop-25', 3]);
  });

  test('stay as long as a running restore holds the backup that they lead from', async () => {
    for (const hour of [1, 25, 49]) await backup(hour);
    for (let hour = 0; hour < 60; hour += 6) await slice(hour, hour + 6);
    const until = new Date((START + 500 * HOUR) * 1_000).toISOString();
    await hold(storage, 'dump-shop-1', { claimant: 'restore of ann', until });
    expect(await prune(storage, policy(), clocks)).toMatchObject({
      deleted: [],
      slices: { deleted: 0, kept: 10 },
    });
    await releaseHold(storage, 'dump-shop-1', 'restore of ann');
    expect(await prune(storage, policy(), clocks)).toMatchObject({ slices: { deleted: 4 } });
  });

  test('reach back no farther than the policy wants, but from a backup', async () => {
    for (const hour of [1, 25, 49]) await backup(hour);
    for (let hour = 0; hour < 60; hour += 6) await slice(hour, hour + 6);
    const keep = policy(', keepFor: 10h');
    keep.spec.retention = { last: 9, keepAtLeast: 1 };
    expect(await prune(storage, keep, clocks)).toMatchObject({
      deleted: [],
      slices: { deleted: 8, kept: 2 },
    });
    expect((await stretches())[0]).toEqual([48, 54]);
  });

  test('are no foreign archives, and none at all are nothing to speak of', async () => {
    await backup(1);
    expect(await prune(storage, policy(), clocks)).toEqual({ kept: 1, deleted: [], problems: [] });
    await slice(0, 6);
    expect((await retentionVerdicts(storage, policy(), clocks)).map(({ id }) => id)).toEqual(['dump-shop-1']);
  });

  test('tell what can be reached, and why something cannot', async () => {
    await backup(1);
    await slice(0, 6);
    await slice(6, 12);
    await slice(20, 26, { chain: 2, gap: { after: at(12), reason: 'the oplog was too small' } });
    await backup(22);
    const { ranges, gaps, reached } = await reachOf(storage, 'shop');
    expect(ranges.map(({ from, to }) => [from, to])).toEqual([
      [at(1), at(12)],
      [at(22), at(26)],
    ]);
    expect(gaps).toMatchObject([{ after: at(12), until: at(20), reason: 'the oplog was too small' }]);
    expect(reached).toEqual(at(26));
    await expect(recoveryAt(storage, 'shop', at(15), null)).rejects.toThrow(
      /^policy shop: 2026-11-20T15:00:00Z \(\d+,1\) cannot be reached: no slices lead to it from a backup; reachable is 2026-11-20T01:00:00Z to 2026-11-20T12:00:00Z, 2026-11-20T22:00:00Z to 2026-11-21T02:00:00Z; the newest backup before it is dump-shop-1 of 2026-11-20T01:00:00Z$/,
    );
  });

  test('with a manifest that was changed are told apart, not used', async () => {
    await backup(1);
    await slice(0, 6);
    const name = (await readdir(directory)).find((each) => each.endsWith('.slice.json')) ?? '';
    for (const content of ['{', '{"kind":"slipway-oplog-slice"}']) {
      await writeFile(join(directory, name), content);
      await expect(recoveryAt(storage, 'shop', at(5), null)).rejects.toThrow(
        /slice from .* to .*: the manifest of the slice is not/,
      );
    }
  });

  test('read on the page of their workflow as they are: how far, since when not, and what is lost', () => {
    const run = new SlicesRun({ policy: policy(), paused: null, carried: null }, 'oplog.shop', 'r', 0);
    const gap = { after: at(1), reason: 'the oplog <was> too small' };
    run.sliced(
      {
        reached: at(6),
        more: false,
        slice: { chain: 2, from: at(3), entries: 7, bytes: 9, size: 1_500, gap },
      },
      0,
    );
    expect(slicesDetails(run.status())).toContain('Slices of the oplog are stored');
    expect(slicesDetails(run.status())).toMatch(/Slices reach to\W+2026\W+11\W+20T06:00:00Z/);
    expect(slicesDetails(run.status())).toMatch(
      /Cannot be restored:.*\n\n- 2026-11-20T01:00:00Z to 2026-11-20T03:00:00Z/,
    );
    run.failed('no space left', 60_000);
    expect(slicesDetails(run.status())).toMatch(
      /### No slice can be stored at the moment\n\nSince 1970-01-01 00:01:00: no space left/,
    );
  });

  test('hold what backups hold, without what drills leave', () => {
    expect(sliceFilter(policy())).toEqual({
      databases: [],
      include: [],
      exclude: ['shop.cache', 'slipway_drill_*'],
    });
  });
});
