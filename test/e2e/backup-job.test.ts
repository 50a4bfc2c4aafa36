/** Backups by Jobs on the lab's real node: real pods, a real claim, real faults. */
import { open, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { canRunRealNode } from '../../lab/machine.ts';
import { eventually } from '../../lab/wait.ts';
import { isFinished } from '../../src/domain/backup-job/sight.ts';
import type { BackupStatus } from '../../src/domain/backup/types.ts';
import { hashes } from './backup-engine.support.ts';
import { JobLab, PASSWORD, smallDisk } from './backup-job.support.ts';

/** So little CPU that a dump takes many seconds. */
const SLOW = `      resources: { requests: { cpu: 10m }, limits: { cpu: 120m, memory: 512Mi } }`;
const WITHIN = { timeoutMs: 120_000, pauseMs: 100 };

describe.skipIf(!canRunRealNode())('a backup by a Job', () => {
  let lab: JobLab;

  beforeAll(async () => {
    lab = await JobLab.open();
  });
  afterAll(() => lab?.close());

  test('is proven, listed, verified, and comes back as it was; the password is nowhere but in the Secret', async () => {
    const policy = lab.policy('good');
    const ref = await lab.start(policy);
    const { status, execution } = await lab.end(ref);
    expect({ execution, reason: status?.reason, problems: status?.problems }).toEqual({
      execution: 'COMPLETED',
      reason: null,
      problems: [],
    });
    const result = status?.result;
    expect(result).toMatchObject({
      documents: 700,
      namespaces: 2,
      location: `PVC ${lab.namespace}/backup-pvc`,
    });
    expect(await lab.files()).toEqual([`${result?.id}.gz`, `${result?.id}.manifest.json`]);

    const [job, ...others] = await lab.jobs(policy);
    expect(others).toEqual([]);
    expect(job?.metadata.name).toBe(`slipway-good-${result?.id.slice('dump-'.length)}`);
    const logs = await Promise.all((await lab.pods(policy)).map((pod) => lab.log(pod)));
    expect(logs.join()).toContain('slipway:result');
    const traces = [await lab.history(ref), JSON.stringify(job), ...logs, lab.worker.output];
    for (const secret of [PASSWORD, encodeURIComponent(PASSWORD), PASSWORD.slice(-12)])
      for (const trace of traces) expect(trace).not.toContain(secret);

    const listed = await lab.cli(policy, 'backup', 'list');
    expect(listed).toMatchObject({ code: 0, stderr: '' });
    expect(listed.stdout).toMatch(new RegExp(`${result?.id} +verified .* 700 `));
    expect((await lab.cli(policy, 'backup', 'show', 'latest')).stdout).toContain(result?.sha256);
    expect(await lab.cli(policy, 'backup', 'verify')).toMatchObject({
      code: 0,
      stdout: `${result?.id}: whole\n`,
    });

    const restored = await lab.command(
      ...['restore', '--archive', join(lab.folder, result?.archive ?? ''), '--into-env', 'MONGODB_URI'],
      ...['--ns-from', `${lab.database}.*`, '--ns-to', `${lab.database}_copy.*`, '--wait'],
    );
    expect(restored).toMatchObject({ code: 0 });
    expect(await hashes(lab.mongo, `${lab.database}_copy`)).toEqual(await hashes(lab.mongo, lab.database));
  });

  test('with a wrong password fails at once, says that MongoDB refuses, and leaks nothing', async () => {
    const policy = lab.policy('wrong', { key: 'wrong' });
    const before = await lab.files();
    const ref = await lab.start(policy);
    const { status, execution } = await lab.end(ref);
    expect(execution).toBe('FAILED');
    expect(status?.reason).toMatch(/MongoDB refuses: .*(AuthenticationFailed|Authentication failed)/);
    const pods = await lab.pods(policy);
    expect(pods).toHaveLength(1);
    const traces = [
      await lab.history(ref),
      status?.reason ?? '',
      ...(await Promise.all(pods.map((pod) => lab.log(pod)))),
    ];
    for (const trace of traces) expect(trace).not.toContain(PASSWORD.slice(-12));
    expect(await lab.files()).toEqual(before);
  });

  test('of a database that is gone or misspelt fails at once, and leaves no backup that would be the newest', async () => {
    const policy = lab.policy('gone');
    policy.spec.source.databases = [`${lab.database}_gone`];
    const before = await lab.files();
    const { status, execution } = await lab.take(policy);
    expect(execution).toBe('FAILED');
    expect(status?.reason).toContain(
      'mongodump found nothing that the policy takes: is it gone, or misspelt?',
    );
    expect(await lab.pods(policy)).toHaveLength(1);
    expect(await lab.files()).toEqual(before);
  });

  test('whose Secret lacks the key fails with the reason of the kubelet, and leaves no Job', async () => {
    const policy = lab.policy('keyless', { key: 'missing' });
    const { status, execution } = await lab.take(policy);
    expect(execution).toBe('FAILED');
    expect(status?.reason).toMatch(/does not start: CreateContainerConfigError: .*missing/);
    expect(await lab.jobs(policy)).toEqual([]);
  });

  test('whose image cannot be had fails with the reason, and leaves no Job', async () => {
    const policy = lab.policy('imageless', { image: 'docker.io/slipway-test/nowhere:1' });
    const { status, execution } = await lab.take(policy);
    expect(execution).toBe('FAILED');
    expect(status?.reason).toMatch(/does not start: (ErrImagePull|ImagePullBackOff): .*nowhere:1/);
    const left = () => Promise.all(['dump', 'look', 'sweep'].map((task) => lab.jobs(policy, task)));
    expect(await eventually(async () => (await left()).flat().length === 0, WITHIN)).toBe(true);
  });

  test('whose worker is killed while the Job runs ends in success with that one Job', async () => {
    const policy = lab.policy('killed', { job: SLOW });
    const ref = await lab.start(policy);
    const job = await lab.dumping(policy, ref);
    await lab.worker.kill();
    await lab.worker.start();
    const { status } = await lab.end(ref);
    expect(status).toMatchObject({ outcome: 'verified', result: { documents: 700 } });
    expect((await lab.jobs(policy)).map(({ metadata }) => metadata.uid)).toEqual([job.metadata.uid]);
  });

  test('that ended while no worker was there is taken as it is', async () => {
    const policy = lab.policy('unattended', { job: SLOW });
    const ref = await lab.start(policy);
    const job = await lab.dumping(policy, ref);
    await lab.worker.kill();
    const finished = async () => (await lab.jobs(policy)).every(isFinished);
    expect(await eventually(finished, { timeoutMs: 120_000, pauseMs: 200 })).toBe(true);
    await lab.worker.start();
    expect((await lab.end(ref)).status).toMatchObject({ outcome: 'verified', result: { documents: 700 } });
    expect((await lab.jobs(policy)).map(({ metadata }) => metadata.uid)).toEqual([job.metadata.uid]);
  });

  test('that is cancelled deletes its Job and leaves nothing on the claim', async () => {
    const policy = lab.policy('cancelled', { job: SLOW });
    const before = await lab.files();
    const ref = await lab.start(policy);
    await lab.dumping(policy, ref);
    expect((await lab.files()).length).toBeGreaterThan(before.length);
    await lab.client.backups.cancel(ref);
    expect((await lab.end(ref)).execution).toBe('CANCELLED');
    expect(await lab.jobs(policy)).toEqual([]);
    expect(await lab.pods(policy)).toEqual([]);
    expect(await lab.files()).toEqual(before);
  });

  test('whose Job is deleted by somebody fails and says so', async () => {
    const policy = lab.policy('deleted', { job: SLOW });
    const ref = await lab.start(policy);
    const job = await lab.dumping(policy, ref);
    const path = `/apis/batch/v1/namespaces/${lab.namespace}/jobs/${job.metadata.name}`;
    await lab.kube('DELETE', `${path}?propagationPolicy=Background`);
    const { status, execution } = await lab.end(ref);
    expect(execution).toBe('FAILED');
    expect(status?.reason).toContain('its Job was deleted before it had ended');
  });

  test.each([
    ['long before the end', 6_000_000],
    ['when only its last bytes are missing', -8_192],
  ])('on a disk that is full %s is no backup, and says why', async (what, room) => {
    const whole = (await lab.take(lab.policy('whole'))).status?.result?.size ?? 0;
    const disk = await smallDisk(room > 0 ? room : whole + room);
    try {
      const name = `small-${what.split(' ').at(-1)}`;
      await lab.claim(name, disk.folder);
      const policy = lab.policy(name);
      const { destination } = policy.spec;
      if ('job' in destination) destination.job.pvc = name;
      const { status, execution } = await lab.take(policy);
      expect(execution).toBe('FAILED');
      expect(status?.reason).toMatch(/No space left on device/);
      expect(await lab.files(disk.folder)).toEqual([]);
    } finally {
      await disk.remove();
    }
  });

  test('that runs out of memory says so', async () => {
    const policy = lab.policy('hungry', {
      job: `      resources: { requests: { memory: 8Mi }, limits: { memory: 12Mi } }`,
    });
    const { status, execution } = await lab.take(policy);
    expect(execution).toBe('FAILED');
    expect(status?.reason).toMatch(/out of memory \(OOMKilled\)|exit code 137/);
  });

  test('is not made twice at a time: a second run waits for the first', async () => {
    const policy = lab.policy('twice', { job: SLOW });
    const first = await lab.start(policy);
    await lab.dumping(policy, first);
    const second = await lab.start(policy);
    const waits = async () =>
      (await lab.client.backups.view<BackupStatus>(second)).status?.phase === 'waiting';
    expect(await eventually(waits, WITHIN)).toBe(true);
    let atOnce = 0;
    const looking = { over: false };
    const watched = (async () => {
      while (!looking.over) {
        const active = (await lab.jobs(policy)).filter((job) => !isFinished(job));
        atOnce = Math.max(atOnce, active.length);
        await new Promise((next) => setTimeout(next, 200));
      }
    })();
    const [one, two] = await Promise.all([lab.end(first), lab.end(second)]);
    looking.over = true;
    await watched;
    expect([one.status?.outcome, two.status?.outcome]).toEqual(['verified', 'verified']);
    expect(one.status?.result?.id).not.toBe(two.status?.result?.id);
    expect(atOnce).toBe(1);
  });

  test('waits for the Job of a run that was terminated, and says so', async () => {
    const policy = lab.policy('orphaned', { job: SLOW });
    const first = await lab.start(policy);
    const orphan = await lab.dumping(policy, first);
    await lab.terminate(first);
    const second = await lab.start(policy);
    const says = async () =>
      (await lab.client.backups.view(second)).progress?.note ===
      `waits for Job ${orphan.metadata.name} of another run of this policy`;
    expect(await eventually(says, WITHIN)).toBe(true);
    expect((await lab.end(second)).status).toMatchObject({ outcome: 'verified' });
    const ends = (await lab.jobs(policy)).map(({ status }) => status?.completionTime ?? '').sort();
    expect(ends).toHaveLength(2);
    expect(ends).not.toContain('');
  });

  test('goes by the rules of retention: files of others stay, and so does the last verified one', async () => {
    const policy = lab.policy('kept', {
      job: `      history: { successful: 1, failed: 1 }`,
      spec: '  retention: { last: 2, keepAtLeast: 1 }',
    });
    await writeFile(join(lab.folder, 'dump-20200101-000000.gz'), 'made by somebody else');
    const taken: string[] = [];
    for (let i = 0; i < 3; i++) taken.push((await lab.take(policy)).status?.result?.id ?? '');
    const [first, second, third] = taken;
    const files = await lab.files();
    expect(files).not.toContain(`${first}.gz`);
    expect(files).not.toContain(`${first}.manifest.json`);
    for (const name of [`${second}.gz`, `${third}.manifest.json`, 'dump-20200101-000000.gz'])
      expect(files).toContain(name);
    expect(await lab.jobs(policy)).toHaveLength(1);

    // The newest is cut short: it counts no more, and what is left that is verified stays.
    await truncate(join(lab.folder, `${third}.gz`), 1_000);
    const dry = await lab.cli(policy, 'backup', 'prune', '--dry-run');
    expect(dry.stdout).toMatch(new RegExp(`${second} +keep +the newest verified backup`));
    expect(dry.stdout).toMatch(/dump-20200101-000000\.gz +keep +not made by Slipway: no manifest/);
    expect((await lab.cli(policy, 'backup', 'list')).stdout).toMatch(new RegExp(`${third} +damaged`));
    await rm(join(lab.folder, 'dump-20200101-000000.gz'));
  });

  test('whose archive is changed afterwards is found out by verify', async () => {
    const policy = lab.policy('flipped');
    const { status } = await lab.take(policy);
    const file = await open(join(lab.folder, status?.result?.archive ?? ''), 'r+');
    await file.write(Buffer.from([1, 2, 3]), 0, 3, 5_000);
    await file.close();
    const checked = await lab.cli(policy, 'backup', 'verify', '--all');
    expect(checked.code).toBe(1);
    expect(checked.stdout).toContain('its SHA-256 is not the one noted when it was stored');
  });

  // Last, for it takes the worker's rights away.
  test('is refused before anything is made when the worker may not make Jobs, and says what to add to its Role', async () => {
    const bindings = `/apis/rbac.authorization.k8s.io/v1/namespaces/${lab.namespace}/rolebindings`;
    await lab.kube('DELETE', `${bindings}/slipway-backup-job`);
    const policy = lab.policy('forbidden');
    const { status, execution } = await lab.take(policy);
    expect(execution).toBe('FAILED');
    expect(status?.reason).toContain('the worker may not create, get, list, watch, delete jobs');
    expect(status?.reason).toContain('add to its Role');
    expect(await lab.jobs(policy, 'look')).toEqual([]);
  });
});
