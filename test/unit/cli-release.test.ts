/** What `slipway release` promises to people and to CI. */
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import type { ReleaseView } from '../../src/client.ts';
import { AnotherReleaseRunning, NoRelease, Refused, Unreachable } from '../../src/client/errors.ts';
import type { Outcome, ReleaseStatus } from '../../src/domain/release/types.ts';
import { at, ended, releaseStatus, slipway } from './support/cli.ts';

const FILE = join(mkdtempSync(join(tmpdir(), 'slipway-cli-')), 'release.yaml');
const TEXT = `apiVersion: slipway/v1
kind: Release
metadata: { namespace: shop, name: web }
spec:
  image: shop/web:v2
  reason: cheaper search
  strategy: { canary: { steps: [{ weight: 25 }, { gate: { name: half } }] } }
`;
writeFileSync(FILE, TEXT);

const started = { id: 'release.shop.web', run: 'run-1', key: null, attached: false, queued: false };
const view = (status: ReleaseStatus, note: string | null = null): ReleaseView => ({
  status,
  source: 'worker',
  execution: status.outcome ? 'completed' : 'running',
  note,
});

describe('start', () => {
  test('hands file, flags and starter to the client, and says how to follow', async () => {
    const startRelease = vi.fn(() => Promise.resolve(started));
    const line = `release start -f ${FILE} --image shop/web:v3 --id ci-7 --on-conflict queue`;
    const { exit, out } = await slipway(line, { client: { startRelease }, env: { GITHUB_ACTOR: 'grace' } });
    expect(exit).toBe(0);
    expect(startRelease).toHaveBeenCalledWith({
      input: expect.objectContaining({ starter: 'grace', key: 'ci-7', dryRun: false }),
      onConflict: 'queue',
    });
    expect(startRelease.mock.calls).toMatchObject([
      [{ input: { release: { spec: { image: 'shop/web:v3' } } } }],
    ]);
    expect(out).toContain('slipway release watch shop/web');
    expect(out).toContain('http://ui/release');
  });

  test('reads the release from standard input', async () => {
    const startRelease = vi.fn(() => Promise.resolve(started));
    const { exit, out } = await slipway('release start -f - -o name', {
      client: { startRelease },
      stdin: TEXT,
    });
    expect({ exit, out }).toEqual({ exit: 0, out: 'shop/web\n' });
  });

  test.each<[Outcome, number, string]>([
    ['promoted', 0, 'Promoted'],
    ['failed', 1, 'Failed'],
    ['rolled-back', 3, 'Rolled back'],
    ['rejected', 4, 'Rejected'],
    ['aborted', 4, 'Aborted'],
    ['superseded', 5, 'Superseded'],
  ])('--wait ends with the code of %s: %i', async (outcome, code, word) => {
    const { exit, out } = await slipway(`release start -f ${FILE} --wait`, {
      client: {
        startRelease: () => Promise.resolve(started),
        waitForOutcome: () => Promise.resolve(view(ended(outcome, 'for a reason'))),
      },
    });
    expect(exit).toBe(code);
    expect(out).toContain(`${word} after 4m`);
  });

  test('--wait with -o json: one document on standard output, progress on standard error', async () => {
    const { exit, out, err } = await slipway(`release start -f ${FILE} --wait -o json`, {
      client: {
        startRelease: () => Promise.resolve(started),
        waitForOutcome: (_, options) => {
          options?.onProgress?.({ kind: 'status', status: releaseStatus() });
          return Promise.resolve(view(ended('promoted', 'at 100 %')));
        },
      },
    });
    expect(exit).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ outcome: 'promoted', url: 'http://ui/release' });
    expect(err).toContain('gate half');
  });

  test('--wait of one that preflight refuses says what to do', async () => {
    const finding = {
      check: 'quota',
      level: 'error' as const,
      message: 'no room',
      fix: 'raise the quota by 1',
    };
    const status = ended('failed', 'preflight refused: no room');
    const refused = { ...status, canary: { ...status.canary, hash: null }, findings: [finding] };
    const { exit, out } = await slipway(`release start -f ${FILE} --wait`, {
      client: {
        startRelease: () => Promise.resolve(started),
        waitForOutcome: () => Promise.resolve(view(refused)),
      },
    });
    expect(exit).toBe(1);
    expect(out).toContain('Refused: no room. Nothing was touched.\nWhat to do: raise the quota by 1\n');
  });

  test('at --timeout it says so, how to come back, and exits 6', async () => {
    const waitForOutcome = vi.fn(() => Promise.resolve(view(releaseStatus())));
    const { exit, out } = await slipway(`release start -f ${FILE} --wait --timeout 1m30s`, {
      client: { startRelease: () => Promise.resolve(started), waitForOutcome },
    });
    expect(exit).toBe(6);
    expect(waitForOutcome).toHaveBeenCalledWith(started, expect.objectContaining({ timeoutMs: 90_000 }));
    expect(out).toContain('slipway release watch shop/web');
  });

  test('Ctrl-C detaches: the release goes on, exit 6', async () => {
    const interrupt = new AbortController();
    const { exit, err } = await slipway(`release start -f ${FILE} --wait`, {
      interrupt: interrupt.signal,
      client: {
        startRelease: () => Promise.resolve(started),
        waitForOutcome: () => {
          interrupt.abort();
          return Promise.reject(interrupt.signal.reason as Error);
        },
      },
    });
    expect(exit).toBe(6);
    expect(err).toBe(
      'Detached; the release of shop/web goes on. Come back with: slipway release watch shop/web\n',
    );
  });

  test('another release in progress is exit 5, with the facts for programs', async () => {
    const running = {
      id: 'release.shop.web',
      run: 'r',
      image: 'shop/web:v9',
      starter: 'bob',
      phase: 'baking',
    } as const;
    const { exit, out, err } = await slipway(`release start -f ${FILE} -o json`, {
      client: { startRelease: () => Promise.reject(new AnotherReleaseRunning(running, 'shop/web')) },
    });
    expect(exit).toBe(5);
    expect(err).toContain('slipway: shop/web is already being released to shop/web:v9');
    expect(JSON.parse(out)).toMatchObject({ error: { code: 'another-release', details: { running } } });
  });

  test.each([
    [[], 0, 'Preflight would let this release start. Nothing was touched.'],
    [
      [{ check: 'quota', level: 'error', message: 'no room', fix: 'raise it' }],
      1,
      'error: no room; raise it',
    ],
  ] as const)('--dry-run prints plan and findings', async (findings, code, text) => {
    const status = releaseStatus({ outcome: null, phase: 'preflight', gate: null, findings: [...findings] });
    const { exit, out } = await slipway(`release start -f ${FILE} --dry-run`, {
      client: {
        startRelease: () => Promise.resolve(started),
        waitForOutcome: () => Promise.resolve({ ...view(status), execution: 'completed' }),
      },
    });
    expect(exit).toBe(code);
    expect(out).toContain('weight 25 % (1 new, 4 old)');
    expect(out).toContain(text);
  });

  test.each([
    ['', '--file FILE is missing'],
    [`-f ${FILE}x`, `--file: ${FILE}x does not exist`],
    [`-f ${dirname(FILE)}`, `is a directory; allowed: one file, or - for standard input`],
    ['-f /dev/zero', '/dev/zero: is longer than 256 KiB; is it the right file?'],
    ['release.yaml', 'did you mean -f release.yaml? (see'],
    [`-f ${FILE} --timeout 5m`, '--timeout: only goes with --wait'],
    [`-f ${FILE} --wait --timeout soon`, "argument 'soon' is invalid. Allowed: a duration such as 30s"],
    [`-f ${FILE} --on-conflict wait`, 'Allowed choices are fail, supersede, queue'],
    [`-f ${FILE} --images web`, 'Allowed: CONTAINER=IMAGE'],
    [`-f ${FILE} --image Web`, '--image: found "Web"; allowed: an image reference'],
    [`-f ${FILE} --imag x`, "unknown option '--imag'; did you mean"],
  ])('bad input is told before Temporal is asked: release start %s', async (flags, message) => {
    const { exit, out, err } = await slipway(`release start ${flags}`.trim());
    expect({ exit, out }).toEqual({ exit: 2, out: '' });
    expect(err).toContain(message);
    expect(err.trim().split('\n')).toHaveLength(1);
  });

  test('an empty --id is refused: it is a CI variable that is not set', async () => {
    const { exit, err } = await slipway(['release', 'start', '-f', FILE, '--id', '']);
    expect(exit).toBe(2);
    expect(err).toContain('--id: is empty');
  });
});

describe('approve and reject', () => {
  test('decide upon what is open now, and show it first', async () => {
    const approve = vi.fn(() => Promise.resolve(releaseStatus({ gate: null, phase: 'progressing' })));
    const { exit, out } = await slipway('release approve shop/web --why flat', {
      client: { status: () => Promise.resolve(view(releaseStatus())), approve },
    });
    expect(exit).toBe(0);
    const sent = { gate: 'half', revision: 'bbb', by: 'ada', why: 'flat' };
    expect(approve).toHaveBeenCalledWith({ namespace: 'shop', name: 'web' }, sent);
    expect(out).toBe(
      'Approving as ada: gate half, step 2 of 3, v2 (revision bbb), 1/1 pods ready\nApproved; the release goes on.\n',
    );
  });

  test('a gate and a revision that are given are sent as they are', async () => {
    const reject = vi.fn(() => Promise.resolve(releaseStatus({ gate: null, phase: 'rolling-back' })));
    await slipway('release reject shop/web --gate half --revision old --by eve --why slow', {
      client: { reject },
    });
    expect(reject).toHaveBeenCalledWith(expect.anything(), {
      gate: 'half',
      revision: 'old',
      by: 'eve',
      why: 'slow',
    });
  });

  test('without an open gate they say where the release is', async () => {
    const { exit, err } = await slipway('release approve shop/web --why flat', {
      client: { status: () => Promise.resolve(view(releaseStatus({ gate: null, phase: 'baking' }))) },
    });
    expect(exit).toBe(1);
    expect(err).toBe('slipway: no gate of shop/web is open; it is baking\n');
  });

  test('when no worker says which gate is open, they do not claim that none is', async () => {
    const known = releaseStatus({ gate: null, phase: 'awaiting-approval' });
    const { exit, err } = await slipway('release approve shop/web --why flat', {
      client: { status: () => Promise.resolve({ ...view(known), source: 'index' as const }) },
    });
    expect(exit).toBe(1);
    expect(err).toContain('no worker says which gate of shop/web is open; is `slipway worker` running?');
  });

  test('a refusal is told in the words of the release', async () => {
    const refused = new Refused('approve', 'gate "half" is not open');
    const { exit, err } = await slipway('release approve shop/web --gate half --revision x --why flat', {
      client: { approve: () => Promise.reject(refused) },
    });
    expect({ exit, err }).toEqual({ exit: 1, err: 'slipway: gate "half" is not open\n' });
  });

  test.each(['approve', 'reject', 'promote', 'abort'])('%s asks for a reason', async (name) => {
    const { exit, err } = await slipway(`release ${name} shop/web`);
    expect(exit).toBe(2);
    expect(err).toContain('--why TEXT is missing');
  });
});

describe('abort with nothing in progress', () => {
  const none = () => Promise.reject(new NoRelease('shop', 'web', 'there is no release of shop/web'));

  test('changes nothing and succeeds', async () => {
    const { exit, out } = await slipway('release abort shop/web --why stop', { client: { abort: none } });
    expect({ exit, out }).toEqual({
      exit: 0,
      out: 'Nothing to abort: no release of shop/web is in progress.\n',
    });
  });

  test('with --id takes a release that stands in line out of it, and leaves the running one alone', async () => {
    const withdraw = vi.fn(async () => ({ waiting: [], unstarted: [] }));
    const waiting = async () => [{ image: 'v3', starter: 'bob', key: 'job-3', policy: 'queue' as const }];
    const { exit, out } = await slipway('release abort shop/web --id job-3 --by ann --why typo', {
      client: { waiting, withdraw },
    });
    expect({ exit, out }).toEqual({
      exit: 0,
      out: 'Taken out of the line of shop/web; nothing had been changed.\n',
    });
    expect(withdraw).toHaveBeenCalledWith(
      { namespace: 'shop', name: 'web' },
      { id: 'job-3', by: 'ann', why: 'typo' },
    );
  });

  test('with --id never aborts another release than that one', async () => {
    const client = {
      waiting: async () => [],
      status: async () => view(releaseStatus({ key: 'job-2' })),
    };
    const { exit, err } = await slipway('release abort shop/web --id job-3 --why typo', { client });
    expect(exit).toBe(1);
    expect(err).toContain('no release of shop/web with the id "job-3" runs or stands in line');
    const abort = vi.fn(async () => releaseStatus({ key: 'job-2' }));
    await slipway('release abort shop/web --id job-2 --by ann --why typo', { client: { ...client, abort } });
    expect(abort).toHaveBeenCalledWith(
      { namespace: 'shop', name: 'web' },
      { by: 'ann', why: 'typo' },
      { run: releaseStatus().run },
    );
  });

  test('but pausing nothing fails', async () => {
    const { exit, err } = await slipway('release pause shop/web', { client: { pause: none } });
    expect({ exit, err }).toEqual({ exit: 1, err: 'slipway: there is no release of shop/web\n' });
  });
});

describe('the workload', () => {
  test.each([
    ['web', 'the namespace is missing; write NAMESPACE/web, or add -n NAMESPACE'],
    ['a/b/c', 'found 2 slashes; allowed: NAMESPACE/NAME'],
    ['Shop/web', '"Shop" is not a namespace'],
    ['shop/We_b', '"We_b" is not a name of a workload'],
    ['shop/web -n other', '--namespace: found other, but the argument says shop/web'],
  ])('%s is refused', async (target, message) => {
    const { exit, err } = await slipway(`release status ${target}`);
    expect(exit).toBe(2);
    expect(err).toContain(message);
  });

  test('may be given as -n NAMESPACE NAME', async () => {
    const status = vi.fn(() => Promise.resolve(view(releaseStatus())));
    await slipway('release status -n shop web -o name', { client: { status } });
    expect(status).toHaveBeenCalledWith('shop', 'web');
  });
});

describe('status, list and history', () => {
  test('status -o json has what CI needs', async () => {
    const { out } = await slipway('release status shop/web -o json', {
      client: { status: () => Promise.resolve(view(releaseStatus())) },
    });
    expect(JSON.parse(out)).toMatchObject({
      phase: 'awaiting-approval',
      step: { index: 2, total: 3 },
      stable: { image: 'shop/web:v1' },
      canary: { image: 'shop/web:v2', weight: 20 },
      outcome: null,
      reason: null,
      deadline: expect.any(String),
    });
  });

  test('what is known of an unnatural end is told once, as its reason', async () => {
    const reason = 'the workflow was terminated in Temporal (cleanup), so nothing was restored';
    const { out } = await slipway('release status shop/web', {
      client: { status: () => Promise.resolve(view(ended('failed', reason), reason)) },
    });
    expect(out.split(reason)).toHaveLength(2);
  });

  test('status names the releases that start when this one ends', async () => {
    const waiting = [{ image: 'shop/web:v3', starter: 'bob', key: 'job-3', policy: 'queue' as const }];
    const client = {
      status: () => Promise.resolve(view(releaseStatus())),
      waiting: () => Promise.resolve(waiting),
    };
    const { out } = await slipway('release status shop/web', { client });
    expect(out).toContain('In line, to start when this one ends: v3 (bob, --id job-3)');
    const json = await slipway('release status shop/web -o json', { client });
    expect(JSON.parse(json.out)).toMatchObject({ waiting });
  });

  test('list with nothing running says so on standard error, and prints nothing', async () => {
    const { exit, out, err } = await slipway('release list', { client: { list: () => Promise.resolve([]) } });
    expect({ exit, out, err }).toEqual({ exit: 0, out: '', err: 'No release is running.\n' });
  });

  test('history and list do not call for a person where preflight refused and nothing was touched', async () => {
    const past = {
      id: 'release.shop.web',
      run: 'run-1',
      namespace: 'shop',
      workload: 'web',
      image: 'shop/web:v2',
      starter: 'ada',
      releaseReason: 'cheaper search',
      key: null,
      phase: 'failed' as const,
      execution: 'failed' as const,
      startedAt: at(60),
      finishedAt: at(59),
      outcome: 'failed' as const,
      refused: true,
      reason: 'preflight refused: no room',
      durationMs: 1_000,
    };
    const client = { history: () => Promise.resolve([past]), list: () => Promise.resolve([past]) };
    const history = await slipway('release history shop/web', { client });
    expect(history.out).toContain('REFUSED BY PREFLIGHT');
    const list = await slipway('release list --all', { client });
    expect(history.out + list.out).not.toContain('NEEDS A PERSON');
  });

  test('list knows the phases', async () => {
    const { exit, err } = await slipway('release list --phase awaiting');
    expect(exit).toBe(2);
    expect(err).toContain('did you mean awaiting-approval?');
  });

  test('a server that is away is exit 1 in one line, and an object with -o json', async () => {
    const away = new Unreachable('t:1', 'Temporal cannot be reached at t:1');
    const { exit, out, err } = await slipway('release history shop/web -o json', {
      client: { history: () => Promise.reject(away) },
    });
    expect({ exit, err }).toEqual({ exit: 1, err: 'slipway: Temporal cannot be reached at t:1\n' });
    expect(JSON.parse(out)).toEqual({
      error: { code: 'unreachable', message: 'Temporal cannot be reached at t:1' },
    });
  });
});
