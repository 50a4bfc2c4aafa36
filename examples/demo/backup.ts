/** Second part of the demo: a backup that is proven, a drill, and a collection that is lost and brought back. */
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Db, MongoClient } from 'mongodb';
import { labPaths } from '../../lab/index.ts';
import type { RunRef } from '../../src/client/backup.ts';
import type { SlipwayClient } from '../../src/client.ts';
import type { DrillStatus } from '../../src/domain/backup/drill.types.ts';
import type { RestoreInput, RestoreStatus } from '../../src/domain/backup/restore.types.ts';
import type { BackupStatus } from '../../src/domain/backup/types.ts';
import { parseBackupPolicy } from '../../src/specs/backup.ts';
import type { BackupPolicy } from '../../src/specs/backup.types.ts';
import type { Logbook } from './logbook.ts';
import type { Environment } from './stage.ts';
import { expectThat } from './told.ts';

/** Longest that one backup, drill or restore of the demo may take. */
const RUN_MS = 120_000;
const STARTER = 'demo';
const DATABASE = 'ecommerce';
const COLLECTION = 'products';
/** Orders that the shop is given, so that there is something to back up. */
const ORDERS = 20_000;

interface Scene {
  env: Environment;
  client: SlipwayClient;
  log: Logbook;
  /** Where the service answers with its products. */
  url: string;
}

/** @param keep leaves the policy, which runs every night, in place. */
export async function playBackup(scene: Scene, keep: boolean): Promise<void> {
  const { client, log } = scene;
  const policy = readPolicy();
  const { name } = policy.metadata;
  await withDatabase(scene.env, fillOrders);
  await client.backups.apply(policy);
  log.say(`policy ${name} applied: every night at 02:00 in Berlin`);
  try {
    const backup = await takeBackup(scene, policy);
    await drill(scene, policy, backup);
    await loseAndRestore(scene, policy, backup);
  } finally {
    if (!keep) await client.backups.delete(name);
  }
}

function readPolicy(): BackupPolicy {
  const file = fileURLToPath(new URL('./policy.yaml', import.meta.url));
  const policy = parseBackupPolicy(readFileSync(file, 'utf8'), { source: file });
  const directory = join(labPaths().dir, 'data', 'demo-backups');
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  return { ...policy, spec: { ...policy.spec, destination: { directory } } };
}

async function takeBackup({ client, log }: Scene, policy: BackupPolicy): Promise<string> {
  const ref = await client.backups.run(policy, STARTER);
  log.say(`backup started: ${client.workflowUrl(ref.id, ref.run)}`);
  const status = await ended<BackupStatus>(client, ref);
  const { outcome, reason, result } = status;
  expectThat(outcome === 'verified' && result !== null, `the backup ended as ${outcome}: ${reason}`);
  if (!result) throw new Error('unreachable');
  log.say(
    `  ${result.archive}: ${result.documents} documents of ${result.namespaces} ${result.namespaces === 1 ? 'collection' : 'collections'}, ${result.consistency},` +
      ` read back and verified in ${seconds(result.dumpMs + result.proveMs)}`,
  );
  return result.id;
}

async function drill({ client, log }: Scene, policy: BackupPolicy, backup: string): Promise<void> {
  const status = await ended<DrillStatus>(client, await client.backups.startDrill(policy, backup, STARTER));
  expectThat(status.phase === 'passed', `the drill ${status.phase}: ${status.reason}`);
  log.say(
    `drill passed: ${status.documents} documents restored into ${status.into}, equal, in ${seconds(status.restoreMs ?? 0)}`,
  );
}

async function loseAndRestore(scene: Scene, policy: BackupPolicy, backup: string): Promise<void> {
  const { env, client, log } = scene;
  const before = await productsServed(scene);
  expectThat(before > 0, 'the service has no products to lose');
  await withDatabase(env, (db) => db.collection(COLLECTION).drop());
  const without = await productsServed(scene);
  expectThat(without === 0, `the service still has ${without} products after the drop`);
  log.say(
    `somebody dropped ${DATABASE}.${COLLECTION}: the shop shows ${without} products instead of ${before}`,
  );
  const input: RestoreInput = {
    origin: { policy, backup: { id: backup } },
    target: { uriFrom: policy.spec.source.uriFrom },
    selection: { databases: null, collections: [`${DATABASE}.${COLLECTION}`], rename: [], users: false },
    dryRun: false,
    starter: STARTER,
    approved: false,
    backupBefore: null,
    approvalExpires: '10m',
  };
  const status = await ended<RestoreStatus>(client, await client.backups.startRestore(input));
  expectThat(status.outcome === 'restored', `the restore ended as ${status.outcome}: ${status.reason}`);
  const after = await productsServed(scene);
  expectThat(after === before, `the service has ${after} products instead of ${before} after the restore`);
  log.say(`restored in ${seconds(status.result?.ms ?? 0)}: the shop shows ${after} products again`);
}

async function withDatabase<T>(env: Environment, act: (db: Db) => Promise<T>): Promise<T> {
  const mongo = new MongoClient(env['MONGODB_URI'] ?? '', { serverSelectionTimeoutMS: 10_000 });
  try {
    return await act(mongo.db(DATABASE));
  } finally {
    await mongo.close();
  }
}

async function fillOrders(db: Db): Promise<void> {
  const orders = db.collection<{ _id: number }>('orders');
  if ((await orders.countDocuments()) === ORDERS) return;
  await orders.deleteMany({});
  await orders.createIndex({ customer: 1, placedAt: -1 });
  const firstDay = Date.UTC(2026, 0, 1);
  await orders.insertMany(
    Array.from({ length: ORDERS }, (_, nth) => ({
      _id: nth,
      customer: `customer-${nth % 977}`,
      placedAt: new Date(firstDay + nth * 60_000),
      items: [{ product: `p-${nth % 6}`, quantity: 1 + (nth % 4) }],
      totalCents: 500 + ((nth * 37) % 20_000),
    })),
    { ordered: false },
  );
}

async function ended<Status>(client: SlipwayClient, ref: RunRef): Promise<Status> {
  const view = await client.backups.follow<Status>(ref, { timeoutMs: RUN_MS, pollMs: 250 });
  const { execution, status } = view;
  expectThat(
    execution === 'COMPLETED' && status !== null,
    `${ref.id} is ${execution} after ${seconds(RUN_MS)}`,
  );
  return status as Status;
}

async function productsServed({ url }: Scene): Promise<number> {
  const answer = await fetch(`${url}?limit=100`, { signal: AbortSignal.timeout(10_000) });
  expectThat(answer.ok, `${url} answered ${answer.status}`);
  const body = (await answer.json()) as unknown[] | { products: unknown[] };
  return Array.isArray(body) ? body.length : body.products.length;
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
