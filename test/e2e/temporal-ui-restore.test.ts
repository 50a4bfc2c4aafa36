/** A restore that replaces data, approved in the real Temporal UI in a real browser: nobody needs a terminal for it. */
import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import type { RestoreStatus } from '../../src/domain/backup/restore.types.ts';
import type { BackupStatus } from '../../src/domain/backup/types.ts';
import { restoreOf } from '../restore-input.ts';
import { BackupLab } from './backup.support.ts';
import { eventually } from './support/eventually.ts';
import { openBrowser, TemporalUi } from './support/temporal-ui.ts';

const SIGNED = { by: 'bob', why: 'the import at noon broke the totals' };

let lab: BackupLab;
let browser: Browser;
let ui: TemporalUi;

beforeAll(async () => {
  browser = await openBrowser();
  lab = await BackupLab.open({ ui: true });
});
beforeEach(async () => {
  ui = await TemporalUi.open(browser, lab.temporal.uiUrl ?? '');
  await lab.mongo.use(async (client) => {
    await client.db('shop').dropDatabase();
    await client
      .db('shop')
      .collection('orders')
      .insertMany([{ total: 10 }, { total: 20 }]);
    await client.db('shop').collection('customers').insertOne({ name: 'Eve' });
  });
});
afterEach(async ({ task }) => {
  if (task.result?.state === 'fail')
    process.stderr.write(
      `${await ui.shown()}\n${lab.workers.map(({ output }) => output.slice(-4_000)).join('\n')}\n`,
    );
  await ui.close();
});
afterAll(async () => {
  await lab?.close();
  await browser?.close();
});

/** A backup of what is there, which then goes wrong; and a restore of it that waits. */
async function wanted() {
  const policy = lab.policy('ecommerce');
  const ref = await lab.client.backups.run(policy, 'ann');
  const { status } = await lab.client.backups.follow<BackupStatus>(ref, { pollMs: 200, timeoutMs: 120_000 });
  expect(status).toMatchObject({ outcome: 'verified' });
  await lab.mongo.use(async (client) => {
    const shop = client.db('shop');
    await shop.collection('orders').updateMany({}, { $set: { total: 0 } });
    await shop.collection('orders').insertOne({ total: 0 });
    await shop.collection('customers').drop();
  });
  const restore = await lab.client.backups.startRestore(restoreOf(policy, { backupBefore: policy }));
  const waiting = await eventually('the restore waits', async () => {
    const view = await lab.client.backups.view<RestoreStatus>(restore);
    return view.status?.phase === 'awaiting-approval' && view.status;
  });
  return { restore, waiting };
}
const totals = () =>
  lab.mongo.use(async (client) =>
    (await client.db('shop').collection('orders').find().sort({ total: 1 }).toArray()).map(
      ({ total }) => total as number,
    ),
  );

test('the page says what would be replaced, by what, and what to send; sent there, it goes on, and the data is back', async () => {
  const { restore, waiting } = await wanted();
  await ui.openRelease(restore);
  const { text, command } = await ui.read('Waiting for approval: data would be replaced');
  await ui.picture('restore-waits');
  expect(text).toMatch(
    /ann asks to replace shop\.orders on the server of variable MONGODB_URI by the data of 20\d\d-\d\d-\d\d [\d:]+ UTC\. What was written there since is gone then\./,
  );
  expect(text).toContain('A backup by policy ecommerce is taken before.');
  expect(text).toMatch(/shop\.orders: 2 documents, replaces about 3 documents/);
  expect(text).toMatch(/shop\.customers: 1 document, new/);
  expect(text).toMatch(/Archive dump-\S+ at .*, data of 20\d\d-\d\d-\d\d [\d:]+ UTC/);
  expect(text).toMatch(/If you do nothing: at 20\d\d-\d\d-\d\d [\d:]+ UTC it ends and nothing is touched\./);
  expect(command).toEqual({ plan: waiting.plan?.digest, by: 'YOUR NAME', why: 'YOUR REASON' });
  expect(await totals()).toEqual([0, 0, 0]);

  const refused = await ui.sendUpdate('approve', { ...command, ...SIGNED, plan: 'another' });
  await refused
    .getByText(`plan: found "another", but the plan that waits is ${waiting.plan?.digest}`)
    .waitFor();
  await ui.picture('restore-refused');
  expect(await totals()).toEqual([0, 0, 0]);

  await ui.openRelease(restore);
  await ui.read('Waiting for approval');
  const dialog = await ui.sendUpdate('approve', { ...command, ...SIGNED }, 'restore-dialog');
  await dialog.waitFor({ state: 'hidden' });
  const end = await lab.client.backups.follow<RestoreStatus>(restore, { pollMs: 200, timeoutMs: 120_000 });
  expect(end.status).toMatchObject({ outcome: 'restored', approval: SIGNED });
  expect(await totals()).toEqual([10, 20]);

  await ui.refresh();
  const after = await ui.read('Restored');
  await ui.picture('restore-done');
  expect(after.command).toBeNull();
  expect(after.text).toContain('bob approved: the import at noon broke the totals');
  expect(after.text).toContain(
    `To undo it: backup ${end.status?.backupBefore} holds what was there before; restore it by its name.`,
  );
});

test('rejected there, it ends and nothing is touched', async () => {
  const { restore } = await wanted();
  await ui.openRelease(restore);
  const { command } = await ui.read('Waiting for approval');
  const dialog = await ui.sendUpdate('reject', { ...command, ...SIGNED });
  await dialog.waitFor({ state: 'hidden' });
  const end = await lab.client.backups.follow<RestoreStatus>(restore, { pollMs: 200, timeoutMs: 120_000 });
  expect(end.status).toMatchObject({ outcome: 'rejected', backupBefore: null });
  await ui.refresh();
  const { text } = await ui.read('Rejected; nothing was touched');
  await ui.picture('restore-rejected');
  expect(text).toContain('bob rejected: the import at noon broke the totals');
  expect(await totals()).toEqual([0, 0, 0]);
});
