/**
 * Makes backups, restores, a drill and slices of an oplog on real servers of its own, and saves their histories for
 * test/replay: `node test/replay/save-backups.ts`. Run it when a change of workflow code is not to be replayed any more.
 */
import { rm } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';
import type { RunRef } from '../../src/client/backup.ts';
import type { RestoreInput, RestoreStatus } from '../../src/domain/backup/restore.types.ts';
import type { BackupStatus } from '../../src/domain/backup/types.ts';
import { slicesId } from '../../src/domain/backup/names.ts';
import { momentText } from '../../src/domain/point-in-time/moment.ts';
import { majorityTime } from '../../src/mongodb/dump/consistency.ts';
import type { BackupPolicy } from '../../src/specs/backup.types.ts';
import { BackupLab, SECRET } from '../e2e/backup.support.ts';
import { restoreOf } from '../restore-input.ts';
import { eventually } from '../e2e/support/eventually.ts';
import { save } from './save.ts';

const lab = await BackupLab.open();
const temporal = new Client({ connection: await Connection.connect({ address: lab.temporal.address }) });
const { backups } = lab.client;

const keep = async (name: string, { id, run }: RunRef) => {
  await save(lab.temporal.address, name, id, run ?? undefined, {
    [lab.directory]: '/backup',
    [SECRET]: 'app',
  });
  process.stdout.write(`${name}: ${id}\n`);
};
const end = (ref: RunRef) =>
  backups.follow<BackupStatus | RestoreStatus>(ref, { pollMs: 200, timeoutMs: 180_000 });
const take = async (policy: BackupPolicy) => {
  const ref = await backups.run(policy, 'ann');
  await end(ref);
  return ref;
};
const is = (ref: RunRef, wanted: string) =>
  eventually(
    `${ref.id} is ${wanted}`,
    async () => (await backups.view<RestoreStatus>(ref)).status?.phase === wanted,
  );
const startRestore = (policy: BackupPolicy, change: Partial<RestoreInput> = {}) =>
  backups.startRestore(restoreOf(policy, { backupBefore: policy, ...change }));
const decide = async (ref: RunRef, verdict: 'approveRestore' | 'rejectRestore') => {
  await is(ref, 'awaiting-approval');
  const { status } = await backups.view<RestoreStatus>(ref);
  await backups[verdict](ref, { plan: status?.plan?.digest ?? '', by: 'ben', why: 'as agreed' });
  await end(ref);
};
/** The last run of a type, and of a policy's name in its id. */
async function found(type: string): Promise<RunRef> {
  return await eventually(`a ${type} ends`, async () => {
    for await (const each of temporal.workflow.list({
      query: `WorkflowType = '${type}' AND ExecutionStatus != 'Running'`,
    }))
      return { id: each.workflowId, run: each.runId };
    return undefined;
  });
}

try {
  await lab.mongo.use(async (client) => {
    const orders = client.db('shop').collection('orders');
    await orders.insertMany(Array.from({ length: 500 }, (_, i) => ({ _id: i as never, total: i })));
    await client
      .db('big')
      .collection('noise')
      .insertMany(
        Array.from({ length: 40 }, () => ({
          bytes: Buffer.from(crypto.getRandomValues(new Uint8Array(65_000))),
        })),
      );

    const plain = lab.policy('shop', { spec: '  drill: { every: 1d }' });
    await keep('backup-verified', await take(plain));
    await keep('drill-passed', await found('drill'));
    await keep('source-lock', await found('sourceLock'));
    await keep('backup-failed', await take(lab.policy('nowhere', { directory: `${lab.directory}/nowhere` })));

    const slow = lab.policy('slow', { databases: 'big', spec: '  throttle: { mbPerSecond: 1 }' });
    const cancelled = await backups.run(slow, 'ann');
    await is(cancelled, 'dumping');
    const waiting = await backups.run(lab.policy('patient'), 'ann');
    await is(waiting, 'waiting');
    await backups.throttle(cancelled, { mbPerSecond: 2, by: 'ben' });
    await backups.cancel(cancelled);
    await end(cancelled);
    await keep('backup-throttled-then-cancelled', cancelled);
    await end(waiting);
    await keep('backup-that-waited', waiting);

    const approved = await startRestore(plain);
    await decide(approved, 'approveRestore');
    await keep('restore-approved', approved);
    await keep('backup-before-restore', { id: `${approved.id}.before`, run: null });
    const rejected = await startRestore(plain);
    await decide(rejected, 'rejectRestore');
    await keep('restore-rejected', rejected);
    const failed = await startRestore(plain, { origin: { file: `${lab.directory}/nothing.gz` } });
    await end(failed);
    await keep('restore-failed', failed);

    const policy = lab.policy('moments', { spec: '  pointInTime: { sliceEvery: 10s }' });
    await backups.apply(policy);
    await take(policy);
    await orders.insertOne({ _id: 'good' as never }, { writeConcern: { w: 'majority' } });
    const at = momentText(await majorityTime(client));
    await orders.drop();
    await delay(11_000);
    await backups.pause('moments', 'ann', 'incident');
    await eventually(
      'slices rest',
      async () => (await backups.slices('moments'))?.status?.phase === 'paused',
    );
    const moment = await startRestore(policy, { origin: { policy, backup: { at } } });
    await end(moment);
    await keep('restore-to-a-moment', moment);
    await backups.resume('moments', 'ben');
    await delay(2_000);
    await backups.delete('moments', 'ben');
    const slices = { id: slicesId('moments'), run: null };
    await eventually('slices end', async () => (await backups.slices('moments'))?.execution === 'COMPLETED');
    await keep('oplog-slices', slices);
  });
} finally {
  await temporal.connection.close();
  await lab.close();
  await rm(lab.directory, { recursive: true, force: true });
}
