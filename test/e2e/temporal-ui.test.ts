/** The Temporal UI as an approver uses it: the real one, in a real browser, on real releases. */
import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { Dockyard, possible } from './support/dockyard.ts';
import { openBrowser, TemporalUi } from './support/temporal-ui.ts';
import { gate } from './support/vessel.ts';

const STEPS = [{ weight: 25 }, gate('half'), { weight: 50 }];
const SIGNED = { by: 'bob', why: 'read it in the UI' };

let yard: Dockyard;
let browser: Browser;
let ui: TemporalUi;

describe.runIf(possible)('a release in the Temporal UI', () => {
  beforeAll(async () => {
    browser = await openBrowser();
    yard = await Dockyard.open({ ui: true });
    await yard.client.setup();
  });
  beforeEach(async () => {
    ui = await TemporalUi.open(browser, yard.temporal.uiUrl ?? '');
  });
  afterEach(async ({ task }) => {
    if (task.result?.state === 'fail')
      process.stderr.write(`${await ui.shown()}\n${yard.worker.output.slice(-4_000)}\n`);
    await ui.close();
  });
  afterAll(async () => {
    await yard?.close();
    await browser?.close();
  });

  test('an approver reads what is wanted, sends the JSON that the page shows, and sees the release go on', async () => {
    const vessel = await yard.vessel();
    const release = await vessel.launch('v1.1.0', STEPS);
    const { canary } = await vessel.reaches('awaiting-approval', (status) => status.canary.ready === 1);

    await ui.openRelease(release);
    const { text, command } = await ui.read('Waiting for approval, step 2 of 4: gate half');
    await ui.picture('release-at-gate');
    expect(text).toContain('Healthy: all 5 pods are ready');
    expect(text).toMatch(/canary: 1 of 1 pod ready, \S+:v1\.1\.0/);
    expect(text).toMatch(/Wanted from you: 1 approval of gate half\..*Send an Update › approve or reject/);
    expect(text).toMatch(
      /If you do nothing: at [\d:]+ UTC on .+ the gate expires and the release is rolled back/,
    );
    expect(command).toEqual({ gate: 'half', revision: canary.hash, by: 'YOUR NAME', why: 'YOUR REASON' });

    const dialog = await ui.sendUpdate('approve', { ...command, ...SIGNED }, 'update-dialog');
    await dialog.waitFor({ state: 'hidden' });
    const end = await vessel.ends();
    expect(end.outcome).toBe('promoted');
    await vessel.expectPromoted('v1.1.0');

    await ui.refresh();
    const after = await ui.read('Promoted');
    await ui.picture('release-promoted');
    expect(after.text).toContain('bob approved gate half: read it in the UI');
    expect(after.command).toBeNull();
  });

  test('an approval for another revision is refused in the dialog, with a sentence that names what is open', async () => {
    const vessel = await yard.shared();
    const release = await vessel.launch('v1.1.0', STEPS);
    const { canary } = await vessel.reaches('awaiting-approval');
    await ui.openRelease(release);
    const { command } = await ui.read('Waiting for approval');
    const dialog = await ui.sendUpdate('approve', { ...command, ...SIGNED, revision: 'stale' });
    const sentence = `revision stale is not the one at gate "half"; that is ${canary.hash}`;
    await dialog.getByText(sentence, { exact: true }).waitFor();
    await ui.picture('update-refused');
    // The dialog prints a stack too, when a failure has one.
    expect(await dialog.innerText()).not.toMatch(/\.ts\b|ApplicationFailure/);
    expect((await vessel.status()).gate).toMatchObject({ approvals: [] });
    await vessel.abort();
    await vessel.ends();
  });

  test('the link "awaiting approval" lists the release that waits, and not the one that bakes', async () => {
    const [waiting, baking] = await Promise.all([yard.shared(), yard.vessel(1)]);
    const [wanted, other] = await Promise.all([
      waiting.launch('v1.1.0', STEPS),
      baking.launch('v1.1.0', [{ weight: 50 }, { bake: '5m' }]),
    ]);
    await Promise.all([waiting.reaches('awaiting-approval'), baking.reaches('baking')]);
    // The index follows within a second or two, and an open list does not follow it.
    const listed = async () => (await yard.client.list({ phase: 'awaiting-approval' })).map(({ id }) => id);
    await expect.poll(listed, { timeout: 20_000 }).toContain(wanted.id);
    await ui.goto(yard.client.savedViewUrl() ?? '');
    await ui.page.getByRole('link', { name: wanted.id }).waitFor();
    await ui.picture('awaiting-approval');
    expect(await ui.page.getByRole('link', { name: other.id }).count()).toBe(0);
    await Promise.all([waiting.abort(), baking.abort()]);
  });
});
