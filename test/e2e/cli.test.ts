/** The command as CI and people run it: real processes, a real release, exit codes. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { up } from '../../lab/index.ts';
import { eventually } from '../../lab/wait.ts';
import type { ReleaseStatus } from '../../src/domain/release/types.ts';
import { Dockyard, possible } from './support/dockyard.ts';
import { IMAGE, NAME, type Vessel } from './support/vessel.ts';

const CLI = fileURLToPath(new URL('../../src/cli.ts', import.meta.url));

interface Ended {
  exit: number | null;
  out: string;
  err: string;
}

let yard: Dockyard;
let vessel: Vessel;
let target: string;
let file: string;
let kubeconfig: string;

describe.runIf(possible)('slipway release, from the shell', () => {
  beforeAll(async () => {
    kubeconfig = (await up({ nodes: 'real' }))['KUBECONFIG'] ?? '';
    yard = await Dockyard.open();
    vessel = await yard.vessel();
    target = `${vessel.namespace}/${NAME}`;
    file = join(mkdtempSync(join(tmpdir(), 'slipway-e2e-')), 'release.yaml');
    writeFileSync(
      file,
      `apiVersion: slipway/v1
kind: Release
metadata: { namespace: ${vessel.namespace}, name: ${NAME} }
spec:
  image: ${IMAGE}:v1.1.0
  reason: cheaper search
  strategy: { canary: { steps: [{ weight: 25 }, { gate: { name: half, expires: 10m } }] } }
  after: { guard: 1s }
`,
    );
  });
  afterAll(async () => await yard?.close());

  function begin(...args: string[]): { process: ChildProcess; ended: Promise<Ended>; output: () => string } {
    // Whatever the shell of the tester points to, this is about the Temporal server of this test.
    const { TEMPORAL_UI_URL: _ui, TEMPORAL_NAMESPACE: _namespace, CI: _ci, ...inherited } = process.env;
    const env = {
      ...inherited,
      TEMPORAL_ADDRESS: yard.temporal.address,
      KUBECONFIG: kubeconfig,
      SLIPWAY_USER: 'ci',
    };
    const child = spawn(process.execPath, [CLI, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
    let out = '';
    let err = '';
    child.stdout.on('data', (data: Buffer) => (out += data.toString()));
    child.stderr.on('data', (data: Buffer) => (err += data.toString()));
    const ended = new Promise<Ended>((resolve) => child.on('close', (exit) => resolve({ exit, out, err })));
    return { process: child, ended, output: () => out };
  }
  /** The log of the waiting job says that people are wanted, with the command to paste. */
  async function atGate(job: { output: () => string }): Promise<void> {
    const command = `slipway release approve ${target} --gate half`;
    expect(await eventually(() => job.output().includes(command), { timeoutMs: 120_000 })).toBe(true);
  }
  const slipway = (...args: string[]): Promise<Ended> => begin(...args).ended;
  const json = (text: string) => JSON.parse(text) as ReleaseStatus & { error?: { code: string } };

  test('a dry run prints plan and findings, and touches nothing', async () => {
    const before = await vessel.read();
    const { exit, out } = await slipway('release', 'start', '-f', file, '--dry-run');
    expect({ exit, out }).toMatchObject({
      exit: 0,
      out: expect.stringContaining('weight 25 % (1 new, 4 old)') as string,
    });
    const unknown = await slipway('release', 'start', '-f', file, '--images', 'web=a:1', '--dry-run');
    expect(unknown.exit).toBe(2);
    expect((await vessel.read()).spec).toEqual(before.spec);
  });

  test('--wait goes through the gate with an approval, and exits 0 when it is promoted', async () => {
    const waiting = begin('release', 'start', '-f', file, '--wait', '--id', 'job-1');
    await atGate(waiting);
    expect(json((await slipway('release', 'status', target, '-o', 'json')).out)).toMatchObject({
      phase: 'awaiting-approval',
      key: 'job-1',
      starter: 'ci',
      canary: { pods: 1, ready: 1 },
    });

    const again = await slipway('release', 'start', '-f', file, '--id', 'job-1', '-o', 'json');
    expect(again.exit).toBe(0);
    expect(JSON.parse(again.out)).toMatchObject({ attached: true });
    const other = await slipway('release', 'start', '-f', file, '--id', 'job-2', '-o', 'json');
    expect(other.exit).toBe(5);
    expect(json(other.out).error?.code).toBe('another-release');
    const late = await slipway('release', 'watch', target, '--timeout', '1s');
    expect(late.exit).toBe(6);
    expect(late.out).toContain('Still running');

    const wrong = await slipway('release', 'approve', target, '--gate', 'nope', '--why', 'flat');
    expect(wrong).toMatchObject({ exit: 1, err: expect.stringContaining('open is gate "half"') as string });
    expect(await slipway('release', 'approve', target, '--why', 'flat', '--by', 'ada')).toMatchObject({
      exit: 0,
      out: expect.stringContaining('Approved; the release goes on.') as string,
    });
    const { exit, out } = await waiting.ended;
    expect(out).toMatch(/ada approved gate half: flat[^]*Promoted after .*: .* runs v1\.1\.0\.\n$/);
    expect(exit).toBe(0);
  });

  test('rejecting it ends the waiting job with exit 4; history says who and why', async () => {
    const waiting = begin('release', 'start', '-f', file, '--image', `${IMAGE}:v1.0.0`, '--wait');
    await atGate(waiting);
    await slipway('release', 'reject', target, '--why', 'too slow', '--by', 'eve');
    expect((await waiting.ended).exit).toBe(4);
    const { out } = await slipway('release', 'history', target);
    expect(out).toMatch(/v1\.0\.0 +REJECTED, ROLLED BACK .*eve rejected gate half: too slow/);
  });

  test('a version that cannot be pulled ends it with exit 3', async () => {
    const { exit, out } = await slipway(
      'release',
      'start',
      '-f',
      file,
      '--image',
      `${IMAGE}:v9.9.9`,
      '--wait',
    );
    expect(out).toMatch(/Rolled back after .*v9\.9\.9/);
    expect(exit).toBe(3);
  });

  test('Ctrl-C only detaches; restore shows its way back without Temporal; abort is done once', async () => {
    const waiting = begin('release', 'start', '-f', file, '--image', `${IMAGE}:v1.0.0`, '--wait');
    await atGate(waiting);
    waiting.process.kill('SIGINT');
    expect(await waiting.ended).toMatchObject({
      exit: 6,
      err: expect.stringContaining(`slipway release watch ${target}`) as string,
    });
    expect((await slipway('release', 'list', '-o', 'name')).out).toContain(target);

    const restore = await slipway('restore', 'deployment', target, '--dry-run');
    expect(restore).toMatchObject({
      exit: 0,
      out: expect.stringContaining(`${IMAGE}:v1.0.0 -> ${IMAGE}:v1.1.0`) as string,
    });
    const unasked = await slipway('restore', 'deployment', target);
    expect(unasked).toMatchObject({ exit: 2, err: expect.stringContaining('--yes') as string });

    expect((await slipway('release', 'abort', target, '--why', 'stop')).exit).toBe(0);
    expect((await slipway('release', 'watch', target)).exit).toBe(4);
    expect(await slipway('release', 'abort', target, '--why', 'stop')).toMatchObject({
      exit: 0,
      out: `Nothing to abort: no release of ${target} is in progress.\n`,
    });
  });
});
