/** The engine's process as an installed worker starts it, and the most memory that it ever holds. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Db, MongoClient } from 'mongodb';
import { afterAll, beforeAll, expect } from 'vitest';
import { runEngine } from '../../../src/activities/backup/engine.ts';
import type { EngineJob } from '../../../src/activities/backup/engine.types.ts';
import type { FromClaim } from '../../../src/activities/backup/origin.ts';
import type { RestoreWork, TakeInput } from '../../../src/activities/backup/types.ts';
import type { RestoreResult } from '../../../src/domain/backup/restore.types.ts';
import type { BackupSummary } from '../../../src/domain/backup/types.ts';
import type { ClusterAccess } from '../../../src/kubernetes/connection.ts';
import { parseBackupPolicy } from '../../../src/specs/backup.ts';
import type { BackupPolicy } from '../../../src/specs/backup.types.ts';
import { hashes, type MongoServer } from '../backup-engine.support.ts';

export const LIMIT_BYTES = 200e6;

const BUNDLE = fileURLToPath(new URL('../../../scripts/bundle.ts', import.meta.url));

let built: string;

beforeAll(() => {
  built = mkdtempSync(join(tmpdir(), 'slipway-engine-'));
  const { status, stderr } = spawnSync(process.execPath, [BUNDLE, 'engine', built], { encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
});

afterAll(() => rmSync(built, { recursive: true }));

export interface Place {
  server: MongoServer;
  /** What a policy says beside source and schedule, as YAML under `spec`. */
  settings: string;
  /** What the policy finds in the worker's environment. */
  env: Record<string, string>;
  /** The way to the API server, where one is needed. */
  access?: () => Promise<ClusterAccess>;
}

const children = () =>
  readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').trim().split(' ').filter(Boolean);

/** Does one job. */
export async function inEngine<T>(
  job: EngineJob,
  input: unknown,
  { server, env, access }: Place,
): Promise<{ result: T; peakBytes: number }> {
  const others = new Set(children());
  let peakBytes = 0;
  const sampling = setInterval(() => {
    for (const pid of children().filter((each) => !others.has(each))) {
      try {
        const kib = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
        peakBytes = Math.max(peakBytes, Number(kib ?? 0) * 1024);
      } catch {
        // it has just ended
      }
    }
  }, 20);
  try {
    const result = await runEngine<T>(
      { job, input, attempt: 1, signal: new AbortController().signal, report: () => undefined },
      {
        env: { ...process.env, ...env, MONGODB_URI: server.uri },
        kube: access ? { get: () => Promise.reject(new Error('nothing is read here')) } : null,
        ...(access && { access }),
        engine: join(built, 'engine.js'),
        version: 'test',
      },
    );
    return { result, peakBytes };
  } finally {
    clearInterval(sampling);
  }
}

export function policyFor({ settings }: Place, database: string, name: string): BackupPolicy {
  return parseBackupPolicy(`
apiVersion: slipway/v1
kind: BackupPolicy
metadata: { name: ${name} }
spec:
  source: { uriFrom: { env: MONGODB_URI }, databases: [${database}] }
  schedule: { at: "02:00" }
${settings}`);
}

let number = 0;

/** Backs a database up and restores it under another name; neither takes more memory than may be, and all comes back. */
export async function thereAndBack(place: Place, database: string): Promise<void> {
  const { policy, summary } = await thereOnly(place, database);
  await backAgain(place, database, policy, summary);
}

/** A backup, taken within the limit. */
export async function thereOnly(
  place: Place,
  database: string,
): Promise<{ policy: BackupPolicy; summary: BackupSummary }> {
  const id = `dump-20260101-${String(++number).padStart(6, '0')}`;
  const policy = policyFor(place, database, `${database}-${number}`);
  const take: TakeInput = { policy, id, workflow: { id: 'w', run: 'r' } };
  const taken = await inEngine<BackupSummary>('takeBackup', take, place);
  expect(taken.peakBytes).toBeGreaterThan(30e6);
  expect(taken.peakBytes).toBeLessThan(LIMIT_BYTES);
  return { policy, summary: taken.result };
}

/** Its restore under another name, within the limit and equal; gives the peak. */
export async function backAgain(
  place: Place,
  database: string,
  policy: BackupPolicy,
  { id, documents }: BackupSummary,
  more: FromClaim = {},
  /** Of the database that was backed up, when it is not on this server. */
  others?: Record<string, string>,
): Promise<number> {
  const into = `${database}_again`;
  const { client } = place.server;
  const work: RestoreWork & FromClaim = {
    ...more,
    origin: { policy, backup: { id } },
    target: { uriFrom: policy.spec.source.uriFrom },
    selection: {
      databases: null,
      collections: null,
      rename: [{ from: `${database}.*`, to: `${into}.*` }],
      users: false,
    },
    archive: id,
    replace: false,
    claimant: `${id}-${into}`,
  };
  const restored = await inEngine<RestoreResult>('restore', work, place);
  expect(restored.result.documents).toBe(documents);
  expect(restored.peakBytes).toBeLessThan(LIMIT_BYTES);
  expect(await hashes(client, into)).toEqual(others ?? (await hashes(client, database)));
  await client.db(into).dropDatabase();
  return restored.peakBytes;
}

/** More than {@link LIMIT_BYTES} of texts, which compress, and of blobs, which do not. */
export async function fillLarge(client: MongoClient, database: string): Promise<Db> {
  const words = Array.from({ length: 4_000 }, () => Math.random().toString(36).slice(2));
  const text = (length: number) =>
    Array.from({ length }, () => words[Math.floor(Math.random() * words.length)]).join(' ');
  const db = client.db(database);
  for (let batch = 0; batch < 90; batch++) {
    const documents = Array.from({ length: 1_000 }, (_, n) => ({ batch, n, text: text(100) }));
    await db.collection('texts').insertMany(documents, { writeConcern: { w: 1 } });
    const blobs = Array.from({ length: 20 }, () => ({
      bytes: crypto.getRandomValues(new Uint8Array(65_000)),
    }));
    await db.collection('blobs').insertMany(blobs, { writeConcern: { w: 1 } });
  }
  expect(Number((await db.stats())['dataSize'])).toBeGreaterThan(LIMIT_BYTES);
  return db;
}
