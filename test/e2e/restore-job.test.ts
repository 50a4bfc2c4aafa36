/** Restores, by name, of what Jobs have put on a claim: a real pod reads it, its bytes come out by exec. */
import { readdirSync, readFileSync } from 'node:fs';
import { open, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { canRunRealNode } from '../../lab/machine.ts';
import { eventually } from '../../lab/wait.ts';
import type { RunRef, RunView } from '../../src/client/backup.ts';
import type { RestoreStatus } from '../../src/domain/backup/restore.types.ts';
import type { BackupSummary } from '../../src/domain/backup/types.ts';
import type { Pod } from '../../src/domain/workload/objects.types.ts';
import type { BackupPolicy } from '../../src/specs/backup.types.ts';
import { hashes } from './backup-engine.support.ts';
import { JobLab, PASSWORD, type PolicyOptions } from './backup-job.support.ts';

const WITHIN = { timeoutMs: 120_000, pauseMs: 50 };
/** It has read the archive once, slowly, before it reads to restore. */
const READS = { timeoutMs: 240_000, pauseMs: 20 };
/** So little CPU that reading takes seconds. */
const SLOW = `      resources: { requests: { cpu: 10m }, limits: { cpu: 10m, memory: 512Mi } }`;
const INTO = ['--into-env', 'MONGODB_URI'];

/** Whether a process of this machine has this argument. */
function isRunning(argument: string): boolean {
  return readdirSync('/proc').some((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').includes(argument);
    } catch {
      return false; // it has just ended
    }
  });
}

describe.skipIf(!canRunRealNode())('a restore from a claim', () => {
  let lab: JobLab;
  let backup: BackupSummary;
  const policy = (options: PolicyOptions = {}) => lab.policy('shop', options);
  const from = (name: string) => `${lab.database}_${name}`;

  beforeAll(async () => {
    lab = await JobLab.open();
    backup = await taken(policy());
  });
  afterAll(() => lab?.close());

  async function taken(of: BackupPolicy): Promise<BackupSummary> {
    const { status } = await lab.take(of);
    if (!status?.result) throw new Error(status?.reason ?? 'no backup');
    return status.result;
  }

  /** Starts a restore of everything into databases named anew. */
  function start(to: string, of = policy({ job: SLOW })): Promise<RunRef> {
    return lab.client.backups.startRestore({
      origin: { policy: of, backup: { latest: true } },
      target: { uriFrom: { env: 'MONGODB_URI' } },
      selection: {
        databases: null,
        collections: null,
        rename: [{ from: `${lab.database}.*`, to: `${from(to)}.*` }],
        users: false,
      },
      dryRun: false,
      starter: 'ann',
      approved: true,
      backupBefore: null,
      approvalExpires: '1h',
    });
  }

  function end(ref: RunRef): Promise<RunView<RestoreStatus>> {
    return lab.client.backups.follow<RestoreStatus>(ref, { pollMs: 200, timeoutMs: 280_000 });
  }

  /** The pod out of which bytes come right now, for the restore and not for its plan: containers run on this machine. */
  async function reading(ref: RunRef): Promise<Pod> {
    const restoring = async () =>
      (await lab.client.backups.view<RestoreStatus>(ref)).status?.phase === 'restoring';
    if (!(await eventually(restoring, READS))) throw new Error(`${ref.id} never restores`);
    const underway = async () => isRunning(`if=/backup/${backup.archive}`);
    if (!(await eventually(underway, READS))) throw new Error(`${ref.id} never reads`);
    const [pod] = await lab.readers();
    if (!pod) throw new Error(`${ref.id} reads without a pod`);
    return pod;
  }

  const databases = async () =>
    (await lab.mongo.db().admin().listDatabases({ nameOnly: true })).databases.map(({ name }) => name);

  test('brings the latest back by its name as it was, and any other by its id; nothing stays, and no secret is told', async () => {
    const renamed = ['--ns-from', `${lab.database}.*`, '--ns-to', `${from('copy')}.*`];
    const dry = await lab.cli(policy(), 'restore', '--latest', ...INTO, ...renamed, '--dry-run', '--wait');
    expect(dry).toMatchObject({ code: 0, stderr: '' });
    expect(dry.stdout).toContain(`Archive ${backup.id} at PVC ${lab.namespace}/backup-pvc`);
    expect(dry.stdout).toMatch(/orders -> \S+_copy\.orders +500 +new/);
    expect(await databases()).not.toContain(from('copy'));

    const done = await lab.cli(
      policy(),
      ...['restore', '--backup', backup.id, ...INTO, ...renamed, '--wait', '-o', 'json'],
    );
    expect(done).toMatchObject({ code: 0 });
    const status = JSON.parse(done.stdout) as { id: string };
    expect(JSON.stringify(status)).toContain('"restored"');
    expect(await hashes(lab.mongo, from('copy'))).toEqual(await hashes(lab.mongo, lab.database));

    const offered = await lab.command('complete', '--', 'restore', '--policy', 'shop', '--backup', '');
    expect(offered.stdout).toContain(`${backup.id}\tdata of `);

    expect(await lab.readers()).toEqual([]);
    expect(await lab.files()).toEqual([`${backup.id}.gz`, `${backup.id}.manifest.json`]);
    const history = await lab.history({ id: status.id, run: null });
    expect(history).toContain(backup.id);
    for (const trace of [history, lab.worker.output, dry.stdout, done.stdout])
      for (const secret of [PASSWORD, PASSWORD.slice(-12), lab.token, lab.token.slice(-40)])
        expect(trace).not.toContain(secret);
  });

  test('takes what is selected, under the name it is to have', async () => {
    const { code } = await lab.cli(
      policy(),
      ...['restore', '--latest', ...INTO, '--collection', `${lab.database}.orders`],
      ...['--ns-from', `${lab.database}.*`, '--ns-to', `${from('some')}.*`, '--wait'],
    );
    expect(code).toBe(0);
    const { orders, ...others } = await hashes(lab.mongo, from('some'));
    expect(others).toEqual({});
    expect(orders).toEqual((await hashes(lab.mongo, lab.database))['orders']);
  });

  test('whose reader is deleted midway ends as it should with another', async () => {
    const ref = await start('cut');
    const pod = await reading(ref);
    const path = `/api/v1/namespaces/${lab.namespace}/pods/${pod.metadata.name}?gracePeriodSeconds=0`;
    await lab.kube('DELETE', path);
    const { status } = await end(ref);
    expect(status).toMatchObject({ outcome: 'restored', result: { documents: 700 } });
    expect(await hashes(lab.mongo, from('cut'))).toEqual(await hashes(lab.mongo, lab.database));
    expect(await lab.readers()).toEqual([]);
  });

  test('whose worker is killed while it reads ends as it should with the next; no reader, file or collection stays', async () => {
    const ref = await start('killed');
    const pod = await reading(ref);
    await lab.worker.kill();
    await lab.worker.start();
    const others = async () =>
      (await lab.readers()).some(({ metadata }) => metadata.uid !== pod.metadata.uid);
    expect(await eventually(others, WITHIN)).toBe(true);
    expect(await lab.readers()).toHaveLength(1);
    expect((await end(ref)).status).toMatchObject({ outcome: 'restored', result: { documents: 700 } });
    expect(await hashes(lab.mongo, from('killed'))).toEqual(await hashes(lab.mongo, lab.database));
    expect(await lab.readers()).toEqual([]);
    expect((await lab.files()).filter((name) => name.includes('hold'))).toEqual([]);
  });

  test('that is cancelled while it reads takes its reader away and leaves nothing', async () => {
    const ref = await start('cancelled');
    await reading(ref);
    await lab.client.backups.cancel(ref);
    expect((await end(ref)).execution).toBe('CANCELLED');
    expect(await lab.readers()).toEqual([]);
    expect(await databases()).not.toContain(from('cancelled'));
    expect((await lab.files()).filter((name) => name.includes('hold'))).toEqual([]);
  });

  test('is never from an archive that is not what was proven, and says what is wrong with it', async () => {
    const torn = await taken(lab.policy('torn'));
    const file = await open(join(lab.folder, torn.archive), 'r+');
    await file.write(Buffer.from([1, 2, 3]), 0, 3, torn.size - 5_000);
    await file.close();
    const flipped = await end(await start('torn', lab.policy('torn')));
    expect(flipped.status?.reason).toMatch(
      /damaged: .*(its SHA-256 is not|have the CRC|Z_|invalid|incorrect|checksum)/,
    );
    await truncate(join(lab.folder, torn.archive), torn.size - 1);
    const cut = await end(await start('torn', lab.policy('torn')));
    expect(cut.status?.reason).toContain('no verified backup of policy torn');
    expect([flipped, cut].map(({ execution }) => execution)).toEqual(['FAILED', 'FAILED']);
    expect(await databases()).not.toContain(from('torn'));
    expect(await lab.readers()).toEqual([]);
  });

  test('that waits for its approval holds its archive against retention, and lets go when it has ended', async () => {
    const kept = lab.policy('kept', { spec: '  retention: { last: 1, keepAtLeast: 1 }' });
    const old = await taken(kept);
    const started = await lab.cli(kept, 'restore', '--backup', old.id, ...INTO, '-o', 'name');
    const ref = { id: started.stdout.trim(), run: null };
    const asks = async () =>
      (await lab.client.backups.view<RestoreStatus>(ref)).status?.phase === 'awaiting-approval';
    expect(await eventually(asks, WITHIN)).toBe(true);
    const newer = await taken(kept);
    expect(await lab.files()).toContain(`${old.id}.gz`);
    const dry = await lab.cli(kept, 'backup', 'prune', '--dry-run');
    expect(dry.stdout).toMatch(new RegExp(`${old.id} +keep +.*${ref.id}`));
    expect((await lab.command('restore', 'reject', ref.id, '--why', 'enough')).code).toBe(0);
    expect((await end(ref)).status?.outcome).toBe('rejected');
    const newest = await taken(kept);
    const files = await lab.files();
    for (const { id } of [old, newer]) expect(files.filter((name) => name.startsWith(id))).toEqual([]);
    expect(files).toContain(newest.archive);
  });

  test('is tried by a drill after a backup, which is written down beside it, and cleans up', async () => {
    const uri = lab.mongoUri;
    const drilled = lab.policy('drilled', {
      spec: '  drill: { every: 1d, into: { uriFrom: { env: MONGODB_URI } } }',
    });
    const first = (await lab.take(drilled)).status;
    expect(first).toMatchObject({
      outcome: 'verified',
      problems: [],
      drill: { phase: 'passed', documents: 700 },
    });
    const second = (await lab.take(drilled)).status;
    expect(second).toMatchObject({ outcome: 'verified', drill: null }); // not due for a day
    const byHand = await lab.cli(drilled, 'backup', 'drill', '--wait');
    expect(byHand).toMatchObject({ code: 0 });
    expect(byHand.stdout).toContain(second?.result?.id);
    const listed = await lab.cli(drilled, 'backup', 'list');
    for (const id of [first?.result?.id, second?.result?.id])
      expect(listed.stdout).toMatch(new RegExp(`${id} .* passed in `));
    expect(
      (await databases()).filter((name) => name.includes('drill') && name.includes(lab.database)),
    ).toEqual([]);
    expect(await lab.readers()).toEqual([]);
    expect(listed.stdout).not.toContain(uri);
  });

  test('into the source itself needs the right to read its Secret, and says so before a pod is made', async () => {
    const into = policy({ host: new URL(lab.mongoUri.replace('mongodb:', 'http:')).host });
    const run = (...flags: string[]) =>
      lab.cli(into, 'restore', '--latest', '--collection', `${lab.database}.orders`, '--wait', ...flags);
    const refused = await run();
    expect(refused.code).toBe(1);
    expect(refused.stdout + refused.stderr).toMatch(
      /the worker may not read it; add to its Role in \S+: \{ .*secrets.*app-secrets.*get.* \}; or restore .*--into-env NAME/,
    );
    expect(await lab.jobs(into, 'look')).toEqual([]);
    await lab.mayRead('app-secrets');
    const before = (await hashes(lab.mongo, lab.database))['orders'];
    await lab.mongo.db(lab.database).collection('orders').drop();
    const done = await run();
    expect(done).toMatchObject({ code: 0 });
    expect((await hashes(lab.mongo, lab.database))['orders']).toEqual(before);
  });

  // Last, for it takes the worker's rights away.
  test('without its Role is refused before anything is made, and says what to add', async () => {
    const bindings = `/apis/rbac.authorization.k8s.io/v1/namespaces/${lab.namespace}/rolebindings`;
    await lab.kube('DELETE', `${bindings}/slipway-backup-restore`);
    const { status } = await end(await start('forbidden'));
    expect(status?.reason).toContain('the worker may not create, get pods/exec');
    expect(status?.reason).toContain('resourceNames: ["slipway-backup-reader-1"');
    expect(await lab.readers()).toEqual([]);
  });
});
