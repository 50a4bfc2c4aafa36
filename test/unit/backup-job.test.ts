import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { backupFailureOf } from '../../src/activities/backup/failure.ts';
import { JobFailedError } from '../../src/backups/job-runner.ts';
import { readVolume, verifiedIn, volumeVerdicts } from '../../src/backups/volume.ts';
import { progressText } from '../../src/cli/render/backup.ts';
import { dumpJob, errandJob, jobName } from '../../src/domain/backup-job/job.ts';
import { DumpLog, hasBeginning, isWhole, lastWords } from '../../src/domain/backup-job/log.ts';
import {
  deleteScript,
  dumpScript,
  lookScript,
  noteScript,
  releaseScript,
  sweepScript,
} from '../../src/domain/backup-job/script.ts';
import { everRan, type Job, parting, sightOf } from '../../src/domain/backup-job/sight.ts';
import type { ContainerState, Pod } from '../../src/domain/workload/objects.types.ts';
import { parseBackupPolicy } from '../../src/specs/backup.ts';
import type { BackupPolicy } from '../../src/specs/backup.types.ts';
import { parseManifest } from '../../src/specs/manifest.ts';

const NOW = Date.parse('2026-11-23T02:00:00Z');

function policyOf(mountPath = '/backup', more = ''): BackupPolicy {
  return parseBackupPolicy(`
apiVersion: slipway/v1
kind: BackupPolicy
metadata: { name: shop }
spec:
  source:
    uriFrom: { secret: { namespace: e, name: app-secrets, key: mongo-password, host: mongodb-0.mongodb, username: "o'brien" } }
    databases: [shop]
  schedule: { at: "02:00" }
  destination: { job: { namespace: e, image: "mongo:6.0", pvc: backup-pvc, mountPath: ${mountPath} } }
${more}`);
}
const policy = policyOf();
const run = { id: 'dump-20261123-020000', owner: 'backup.shop-2026-11-23T02:00:00Z/r1' };

describe('a policy with destination.job', () => {
  const text = JSON.stringify(policy);
  test.each([
    ['"username"', '"srv":true,"username"', 'secret.srv: does not go with destination.job'],
    ['"databases":["shop"]', '"databases":["shop","other"]', 'mongodump takes one database or all of them'],
    [
      '"compression":"gzip"',
      '"compression":"zstd"',
      'spec.compression: found "zstd"; allowed with destination.job',
    ],
    ['"throttle":null', '"throttle":{"mbPerSecond":5}', 'spec.throttle: does not go with destination.job'],
    ['"namespace":"e","image"', '"namespace":"f","image"', 'must be a secret of namespace f'],
    ['"ttl":"7d"', '"ttl":"7"', 'spec.destination.job.ttl: found "7"'],
  ])('is refused with what mongodump in a Job cannot do: %s -> %s', (from, to, message) => {
    expect(text).toContain(from);
    expect(() => parseBackupPolicy(text.replace(from, to))).toThrow(message);
  });
});

describe('the Job of a backup', () => {
  test('is named after the time for which it was planned, so that a worker that was killed finds it again', () => {
    expect(jobName('shop', run.id)).toBe('slipway-shop-20261123-020000');
    expect(jobName('shop', `${run.id}-2`, 3)).toBe('slipway-shop-20261123-020000-2-3');
  });

  test('has a name that Kubernetes allows and that stays unique, however long the policy is called', () => {
    const label = fc.stringMatching(/^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$/);
    fc.assert(
      fc.property(
        fc.uniqueArray(label, { minLength: 2, maxLength: 2 }),
        fc.integer({ min: 1, max: 9 }),
        ([a = '', b = ''], number) => {
          const names = [jobName(a, run.id, number), jobName(b, run.id, number)];
          for (const name of names) expect(name).toMatch(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/);
          expect(names[0]).not.toBe(names[1]);
        },
      ),
    );
  });

  test('is bounded in time and attempts, cleans up after itself, and may do nothing but write to the claim', () => {
    const { spec } = dumpJob(policy, run, 'slipway-shop');
    expect(spec).toMatchObject({
      backoffLimit: 2,
      activeDeadlineSeconds: 21_600,
      ttlSecondsAfterFinished: 604_800,
      podReplacementPolicy: 'Failed',
      template: {
        spec: {
          restartPolicy: 'Never',
          terminationGracePeriodSeconds: 1,
          automountServiceAccountToken: false,
          securityContext: {
            runAsNonRoot: true,
            runAsUser: 1000,
            seccompProfile: { type: 'RuntimeDefault' },
          },
          containers: [
            {
              securityContext: {
                allowPrivilegeEscalation: false,
                readOnlyRootFilesystem: true,
                capabilities: { drop: ['ALL'] },
              },
              env: [
                {
                  name: 'MONGO_PASSWORD',
                  valueFrom: { secretKeyRef: { name: 'app-secrets', key: 'mongo-password' } },
                },
              ],
            },
          ],
        },
      },
    });
    expect(JSON.stringify(spec)).not.toContain('--password');
  });

  test('gives the password to the dump only, not to what lists, checks and deletes', () => {
    expect(JSON.stringify(errandJob(policy, 'look', lookScript(policy), 'ab12', 'o'))).not.toContain(
      'MONGO_PASSWORD',
    );
  });
});

function podOf(state: ContainerState, more: Partial<Pod['status']> = {}, ageMs = 5_000): Pod {
  return {
    metadata: {
      name: 'p-1',
      namespace: 'e',
      uid: 'u',
      resourceVersion: '1',
      creationTimestamp: new Date(NOW - ageMs).toISOString(),
    },
    spec: { containers: [] },
    status: {
      phase: 'Pending',
      containerStatuses: [{ name: 'backup', ready: false, restartCount: 0, state }],
      ...more,
    },
  };
}
function jobOf(type?: string, reason?: string): Job {
  const metadata = {
    name: 'j',
    namespace: 'e',
    uid: 'u',
    resourceVersion: '1',
    creationTimestamp: new Date(NOW).toISOString(),
  };
  const conditions = type ? [{ type, status: 'True' as const, ...(reason ? { reason } : {}) }] : [];
  return { metadata, spec: { activeDeadlineSeconds: 60 }, status: { conditions } };
}
const ended = (exitCode: number, message: string, reason = 'Error') =>
  podOf({ terminated: { exitCode, reason, message } }, { phase: exitCode === 0 ? 'Succeeded' : 'Failed' });

describe('what a Job and its pods look like', () => {
  const reasonOf = (job: Job | null, pods: Pod[]) => {
    const sight = sightOf(job, pods, NOW);
    return sight.state === 'failed' ? `${sight.problem}: ${sight.reason}` : sight.state;
  };

  test.each([
    ['gone', null, [], /^failed: its Job was deleted/],
    ['too late', jobOf('Failed', 'DeadlineExceeded'), [], /deadline of 60 s/],
    ['out of memory', jobOf('Failed'), [ended(137, '', 'OOMKilled')], /out of memory \(OOMKilled\)/],
    [
      'refused',
      jobOf('Failed'),
      [ended(77, 'Failed: AuthenticationFailed')],
      /^refused: MongoDB refuses: Failed: Auth/,
    ],
    [
      'full',
      jobOf('Failed'),
      [ended(1, 'tee: x: No space left on device')],
      /^full: .*exit code 1: tee: x: No space/,
    ],
    [
      'evicted',
      jobOf('Failed'),
      [podOf({}, { phase: 'Failed', reason: 'Evicted', message: 'low on disk', containerStatuses: [] })],
      /Evicted: low on disk/,
    ],
    ['without a pod', jobOf('Failed', 'BackoffLimitExceeded'), [], /BackoffLimitExceeded/],
  ] as const)('%s fails with its own reason', (_, job, pods, reason) => {
    expect(reasonOf(job, [...pods])).toMatch(reason);
  });

  test('an image that cannot be pulled is waited for during a minute, one that is never pulled is not', () => {
    const waiting = { waiting: { reason: 'ErrImagePull', message: 'no such host' } };
    expect(reasonOf(jobOf(), [podOf(waiting, {}, 59_000)])).toBe('underway');
    expect(reasonOf(jobOf(), [podOf(waiting, {}, 61_000)])).toBe(
      'failed: its pod does not start: ErrImagePull: no such host',
    );
    expect(reasonOf(jobOf(), [podOf({ waiting: { reason: 'ErrImageNeverPull' } })])).toMatch(
      /ErrImageNeverPull/,
    );
  });

  test('a pod without a node or a volume is waited for during ten minutes, and a running one for ever', () => {
    const conditions = [
      { type: 'PodScheduled', status: 'False' as const, message: '0/1 nodes are available' },
    ];
    const unplaced = (ageMs: number) => podOf({}, { containerStatuses: [], conditions }, ageMs);
    expect(reasonOf(jobOf(), [unplaced(599_000)])).toBe('underway');
    expect(reasonOf(jobOf(), [unplaced(601_000)])).toMatch(/10 minutes: .*0\/1 nodes are available/);
    expect(reasonOf(jobOf(), [podOf({ running: {} }, {}, 86_400_000)])).toBe('underway');
  });

  test('a Job that gets no pod, for a quota say, is not waited for without end', () => {
    const job = jobOf();
    job.metadata.creationTimestamp = new Date(NOW - 601_000).toISOString();
    expect(reasonOf(job, [])).toMatch(/no pod was made for it within 10 minutes/);
    expect(reasonOf(jobOf(), [])).toBe('underway');
  });

  test('only an end with exit code 0 is listened to', () => {
    expect(parting(ended(0, '{"ok":1}'))).toBe('{"ok":1}');
    expect(parting(ended(1, '{"ok":1}'))).toBeUndefined();
    expect(everRan([podOf({ waiting: { reason: 'ErrImagePull' } })])).toBe(false);
    expect(everRan([podOf({ running: {} })])).toBe(true);
  });

  test.each([
    ['refused', 'SourceRefused'],
    ['full', 'DestinationFull'],
    ['failed', 'JobFailed'],
  ] as const)(
    'a failure (%s) is final, for the Job has tried again already, and shows no credentials',
    (problem, type) => {
      const error = new JobFailedError(problem, 'Job e/j: cannot reach mongodb://app:hunter2@db:27017');
      expect(backupFailureOf(error, 1)).toMatchObject({ type, nonRetryable: true });
      expect((backupFailureOf(error, 1) as Error).message).not.toContain('hunter2');
    },
  );
});

describe('the log of a dump', () => {
  test('says how far it is, as mongodump tells it', () => {
    const log = new DumpLog();
    for (const line of [
      '2026-11-23T02:00:01.000+0000\twriting `shop.orders` to `archive on stdout`',
      '2026-11-23T02:00:01.000+0000\twriting shop.a (b) c to archive on stdout',
      'slipway:progress dumping 1048576',
      '2026-11-23T02:00:04.000+0000\t[####....................]  shop.orders  1200/5000  (24.0%)',
      '2026-11-23T02:00:04.000+0000\tdone dumping shop.a (b) c (7 documents)',
    ])
      log.take(line);
    expect(log.progress('')).toEqual({
      stage: 'dumping',
      bytes: 1_048_576,
      totalBytes: 0,
      documents: 1_207,
      namespace: 'shop.orders',
      namespaces: 1,
      totalNamespaces: 2,
    });
  });

  test('reads in a terminal as what is waited for, then as what was stored', () => {
    const view = { id: 'b', run: 'r', execution: 'RUNNING', status: null, retrying: null, waitsFor: [] };
    const log = new DumpLog();
    const shown = () =>
      progressText({ ...view, progress: { ...log.progress('pod p-1: ContainerCreating'), rate: 0 } });
    expect(shown()).toBe('pod p-1: ContainerCreating');
    log.take('2026-11-23T02:00:01.000+0000\twriting `shop.orders` to `archive on stdout`');
    log.take('slipway:progress dumping 1000000');
    expect(shown()).toBe('dumping shop.orders: 1.00 MB; 0 of 1 namespaces');
    log.take('slipway:progress proving 2000000');
    expect(shown()).toContain('proving: 2.00 MB');
  });

  test('gives a person the last words, without bars and without what is meant for Slipway', () => {
    const text =
      'slipway:progress dumping 1\n2026-11-23T02:00:01.000+0000\tFailed: no reachable servers\n[##..] shop.x 1/2\n';
    expect(lastWords(text)).toBe('Failed: no reachable servers');
  });

  test('that lost its beginning is not taken for a listing', () => {
    expect(hasBeginning('slipway:begin\nslipway:file f 1 1 a\nslipway:end\n')).toBe(true);
    expect(hasBeginning('way:file f 1 1 a\nslipway:end\n')).toBe(false);
  });

  test('is whole only when its last line came', () => {
    expect(isWhole('slipway:file f 1 1 a\nslipway:end\n')).toBe(true);
    expect(isWhole('slipway:file f 1 1 a\nslipway:en')).toBe(false);
  });
});

describe('the scripts on a volume', () => {
  const folders: string[] = [];
  afterEach(() => folders.splice(0).forEach((folder) => rmSync(folder, { recursive: true })));
  const volume = () => {
    const folder = mkdtempSync(join(tmpdir(), 'slipway-volume-'));
    folders.push(folder);
    return folder;
  };
  const bash = (script: string) =>
    execFileSync('bash', ['-euo', 'pipefail', '-c', script], { encoding: 'utf8' });
  const manifest = (id: string, day: string, more: object = {}) =>
    JSON.stringify({
      kind: 'slipway-job-backup',
      version: 1,
      id,
      policy: 'shop',
      owner: 'w/r',
      archive: { name: `${id}.gz`, size: 4, sha256: 'ab'.repeat(32), compression: 'gzip' },
      namespaces: 1,
      documents: 2,
      bytes: 3,
      startedAt: `${day}T02:00:00Z`,
      storedAt: `${day}T02:01:00Z`,
      verifiedAt: `${day}T02:02:00Z`,
      dumpMs: 1,
      proveMs: 1,
      tool: 'mongodump version: 100.9.4',
      ...more,
    });
  /** Puts a backup of four bytes there. */
  const put = (folder: string, id: string, day: string, more: object = {}) => {
    writeFileSync(join(folder, `${id}.gz`), 'gzip');
    writeFileSync(join(folder, `${id}.manifest.json`), manifest(id, day, more));
  };
  const look = (folder: string) => readVolume('PVC e/backup-pvc', bash(lookScript(policyOf(folder))));

  test('what looks finds verified, damaged and unreadable backups, links and holds, and never stumbles over a name', () => {
    const folder = volume();
    put(folder, 'dump-1', '2026-11-20');
    put(folder, 'dump-2', '2026-11-21');
    writeFileSync(join(folder, 'dump-2.gz'), 'cut');
    writeFileSync(join(folder, 'dump-3.manifest.json'), 'not JSON');
    put(folder, 'dump-4', '2026-11-22', { id: 'dump-1' });
    symlinkSync('/etc/passwd', join(folder, 'dump-5.manifest.json'));
    writeFileSync(
      join(folder, 'dump-1.hold-ab.json'),
      JSON.stringify({ claimant: 'ann', until: '2027-01-01T00:00:00Z' }),
    );
    writeFileSync(join(folder, 'a b\nslipway:file f 1 1 fake.gz'), '');
    const found = look(folder);
    expect(found.entries.map(({ id, state }) => `${id} ${state}`).sort()).toEqual([
      'dump-1 verified',
      'dump-2 damaged',
      'dump-3 invalid',
      'dump-4 invalid',
      'dump-5 invalid',
    ]);
    expect(found.holds).toMatchObject([{ id: 'dump-1', claimant: 'ann', until: '2027-01-01T00:00:00Z' }]);
    expect([...found.files.keys()]).not.toContain('fake.gz');
    expect(found.drills.size).toBe(0);
    const here = policyOf(folder);
    const record = { backup: 'dump-1', passed: true, restoreMs: 7, at: '2026-11-21T00:00:00Z' };
    bash(noteScript(here, 'dump-1', 'dump-1.drill.json', JSON.stringify(record)));
    writeFileSync(join(folder, 'dump-2.drill.json'), 'torn');
    expect([...look(folder).drills]).toEqual([['dump-1', record]]);
    expect(verifiedIn(found, 'shop').map(({ id }) => id)).toEqual(['dump-1']);
  });

  test('retention keeps the newest verified, what is held, damaged ones that may be all there is, and what is not ours', () => {
    const folder = volume();
    const rules = policyOf(folder, '  retention: { last: 1, keepAtLeast: 1 }');
    for (const [id, day] of [
      ['dump-1', '2026-11-18'],
      ['dump-2', '2026-11-19'],
      ['dump-3', '2026-11-20'],
      ['dump-4', '2026-11-21'],
    ] as const)
      put(folder, id, day);
    put(folder, 'dump-0', '2026-11-01', { policy: 'other' });
    writeFileSync(join(folder, 'foreign.gz'), 'x');
    writeFileSync(
      join(folder, 'dump-2.hold-ab.json'),
      JSON.stringify({ claimant: 'ann', until: '2999-01-01T00:00:00Z' }),
    );
    writeFileSync(join(folder, 'dump-4.gz'), 'cut');
    const verdicts = volumeVerdicts(look(folder), rules, [{ name: 'here', time: Date.now() }]);
    expect(Object.fromEntries(verdicts.map(({ id, verdict }) => [id, verdict]))).toEqual({
      'dump-0': 'keep',
      'dump-1': 'delete',
      'dump-2': 'keep',
      'dump-3': 'keep',
      'dump-4': 'keep',
      'foreign.gz': 'keep',
    });
  });

  test('what deletes takes manifest and archive of this policy, and nothing when the newest is gone', () => {
    const folder = volume();
    put(folder, 'dump-1', '2026-11-20');
    put(folder, 'dump-2', '2026-11-21');
    put(folder, 'dump-3', '2026-11-19', { policy: 'other' });
    const stored = (id: string) => ({ id, archive: `${id}.gz`, size: 4, sha256: '' });
    const here = policyOf(folder);
    expect(() => bash(deleteScript(here, stored('dump-9'), [stored('dump-1')]))).toThrow();
    expect(readdirSync(folder)).toHaveLength(6);
    const log = bash(deleteScript(here, stored('dump-2'), [stored('dump-1'), stored('dump-3')]));
    expect(log).toContain('slipway:deleted dump-1');
    expect(log).toContain('slipway:kept dump-3');
    expect(readdirSync(folder).sort()).toEqual([
      'dump-2.gz',
      'dump-2.manifest.json',
      'dump-3.gz',
      'dump-3.manifest.json',
    ]);
  });

  test('a hold is written only of a backup that is there, keeps its deletion off though all was looked at before, and is let go', () => {
    const folder = volume();
    const here = policyOf(folder);
    for (const [id, day] of [
      ['dump-1', '2026-11-20'],
      ['dump-2', '2026-11-21'],
      ['dump-3', '2026-11-22'],
    ] as const)
      put(folder, id, day);
    const note = JSON.stringify({ claimant: `o'brien "x"`, until: '2999-01-01T00:00:00Z' });
    bash(noteScript(here, 'dump-1', 'dump-1.hold-ab.json', note));
    bash(noteScript(here, 'dump-1', 'dump-1.hold-ab.json', note));
    expect(() => bash(noteScript(here, 'dump-9', 'dump-9.hold-ab.json', note))).toThrow();
    expect(look(folder).holds).toEqual([{ name: 'dump-1.hold-ab.json', id: 'dump-1', ...JSON.parse(note) }]);
    writeFileSync(join(folder, 'dump-2.drill.json'), '{}');
    writeFileSync(
      join(folder, 'dump-2.hold-cd.json'),
      JSON.stringify({ claimant: 'x', until: '2026-01-01' }),
    );
    const stored = (id: string) => ({ id, archive: `${id}.gz`, size: 4, sha256: '' });
    const doomed = [stored('dump-1'), stored('dump-2')];
    const log = bash(deleteScript(here, stored('dump-3'), doomed, ['dump-2.hold-cd.json']));
    expect(log).toContain('slipway:kept dump-1 a restore holds it');
    expect(log).toContain('slipway:deleted dump-2');
    for (let twice = 0; twice < 2; twice++) bash(releaseScript(here, 'dump-1.hold-ab.json'));
    expect(readdirSync(folder).sort()).toEqual([
      'dump-1.gz',
      'dump-1.manifest.json',
      'dump-3.gz',
      'dump-3.manifest.json',
    ]);
  });

  test('what sweeps removes what is unfinished of one run, and what is finished of nobody', () => {
    const folder = volume();
    put(folder, 'dump-1', '2026-11-20');
    for (const [id, owner] of [
      ['dump-2', 'w/mine'],
      ['dump-3', 'w/other'],
    ]) {
      writeFileSync(
        join(folder, `${id}.running.json`),
        `{"policy":"shop","owner":"${owner}","archive":"${id}.gz"}`,
      );
      writeFileSync(join(folder, `${id}.gz`), 'no manifest');
      writeFileSync(join(folder, `.${id}.pod.partial`), 'half');
    }
    bash(sweepScript(policyOf(folder), 'w/mine'));
    expect(readdirSync(folder).sort()).toEqual([
      '.dump-3.pod.partial',
      'dump-1.gz',
      'dump-1.manifest.json',
      'dump-3.gz',
      'dump-3.running.json',
    ]);
  });

  /** Runs the script of a dump here; the tools are small scripts that do as they are told. */
  function dumpHere(folder: string, tools: { dump?: string; restore?: string; password?: string }) {
    const bin = join(volume(), 'bin');
    mkdirSync(bin);
    const write = (name: string, text: string) =>
      writeFileSync(join(bin, name), `#!/bin/bash\n${text}\n`, { mode: 0o755 });
    const version = 'if [ "$1" = --version ]; then echo "mongodump version: 100.9.4"; exit 0; fi';
    write(
      'mongodump',
      `${version}\n${tools.dump ?? 'echo archive | gzip; echo "x done dumping shop.a (3 documents)" >&2'}`,
    );
    write('mongorestore', tools.restore ?? 'exit 0');
    // In a container these two places are the pod's own.
    const own = volume();
    const script = dumpScript(policyOf(folder), run)
      .replaceAll(/\/tmp\/(?=(?:mongo\.yaml|stream|count|why|refused)\b)/g, `${own}/`)
      .replaceAll('/dev/termination-log', join(own, 'last'));
    const env = { PATH: `${bin}:${process.env['PATH']}`, MONGO_PASSWORD: tools.password ?? 'hunter22' };
    const { status, stdout, stderr } = spawnSync('bash', ['-euo', 'pipefail', '-c', script], {
      encoding: 'utf8',
      env,
    });
    return { status, output: `${stdout}${stderr}` };
  }

  test('a dump that ends well is published with its manifest, and a second pod of the run finds it', () => {
    const folder = volume();
    expect(dumpHere(folder, {}).status).toBe(0);
    expect(readdirSync(folder).sort()).toEqual([`${run.id}.gz`, `${run.id}.manifest.json`]);
    const again = dumpHere(folder, { dump: 'exit 1' });
    expect(again.status).toBe(0);
    expect(again.output).toContain('slipway:result {"kind":"slipway-job-backup"');
    expect(look(folder).entries).toMatchObject([
      { state: 'verified', manifest: { documents: 3, owner: run.owner } },
    ]);
    expect(() => parseManifest(manifest('dump-1', '2026-11-20'))).toThrow('slipway restore --archive');
  });

  test('a name that is taken is left to whoever has it', () => {
    const folder = volume();
    writeFileSync(join(folder, `${run.id}.gz`), 'of somebody else');
    expect(dumpHere(folder, {}).status).toBe(0);
    expect(readdirSync(folder)).toContain(`${run.id}-2.manifest.json`);
  });

  test.each([
    ['fails after it wrote', { dump: 'echo half | gzip; exit 1' }, 1],
    [
      'ends well with half of its gzip stream',
      { dump: 'head -c 100000 /dev/urandom | gzip | head -c 5000' },
      1,
    ],
    ['cannot be read back by mongorestore', { restore: 'echo damaged; exit 1' }, 1],
    ['is refused', { dump: 'echo "Failed: (AuthenticationFailed) Authentication failed." >&2; exit 1' }, 77],
    ['is not installed', { dump: 'exit 127' }, 127],
    ['says nothing of what it dumped and dies by a signal', { dump: 'kill -9 $$' }, 137],
  ])('a dump that %s leaves nothing on the claim', (_, tools, code) => {
    const folder = volume();
    expect(dumpHere(folder, tools).status).toBe(code);
    expect(readdirSync(folder)).toEqual([]);
  });

  test('leftovers of a killed run go with the next one', () => {
    const folder = volume();
    writeFileSync(
      join(folder, 'dump-7.running.json'),
      '{"policy":"shop","owner":"w/dead","archive":"dump-7.gz"}',
    );
    writeFileSync(join(folder, 'dump-7.gz'), 'without a manifest');
    writeFileSync(join(folder, '.dump-7.pod.partial'), 'half');
    expect(dumpHere(folder, {}).status).toBe(0);
    expect(readdirSync(folder).sort()).toEqual([`${run.id}.gz`, `${run.id}.manifest.json`]);
  });

  test.each([
    ['p\'a"s$(id)s`w`%41', ''],
    ['mongodb://app:p%40ss@db:27017/?x=1', 'p@ss'],
  ])('a password %s that the tools print does not reach the log', (password, decoded) => {
    const { output } = dumpHere(volume(), {
      password,
      dump: `cat "\${1#--config=}" >&2; printf '%s\\n' ${JSON.stringify(decoded)} >&2; exit 1`,
    });
    const inner = /:\/\/[^:]+:([^@]+)@/.exec(password)?.[1] ?? password.replaceAll("'", "''");
    expect(output).not.toContain(password);
    expect(output).not.toContain(inner);
    if (decoded !== '') expect(output).not.toContain(decoded);
  });
});
