// The lab's real node, in a folder of its own: pods that run, reach what they should, and leave nothing behind. A machine has one
// real node; when another lab has it, that one is taken down for the time of this test if SLIPWAY_LAB_EXCLUSIVE=1 says so.
import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cgroupRoots } from '../../lab/components/node.ts';
import { parseEnvironment } from '../../lab/environment.ts';
import { BUSYBOX_IMAGE } from '../../lab/images.ts';
import { canRunRealNode, machineHolder } from '../../lab/machine.ts';
import { labPaths } from '../../lab/paths.ts';
import { findDaemons } from '../../lab/processes.ts';
import { provision } from '../../lab/provision.ts';
import { readState } from '../../lab/state.ts';
import { eventually } from '../../lab/wait.ts';

const run = promisify(execFile);
const MAIN = new URL('../../lab/main.ts', import.meta.url).pathname;
const holder = machineHolder();
const possible = canRunRealNode() && (!holder || process.env['SLIPWAY_LAB_EXCLUSIVE'] === '1');

const lab = (dir: string, ...args: string[]) =>
  run(process.execPath, [MAIN, ...args], { env: { ...process.env, SLIPWAY_LAB_DIR: dir }, timeout: 280_000 });

/** Everything on the machine that a node could leave behind. */
async function machine() {
  const { iptables } = await provision(['iptables']);
  const folder = dirname(iptables?.path as string);
  const rules = async (family: string) => {
    const { stdout } = await run(join(folder, `${family}-save`), []);
    return stdout
      .split('\n')
      .filter((line) => /^-A|^:(?!PREROUTING|INPUT|FORWARD|OUTPUT|POSTROUTING)/.test(line));
  };
  const sysctl = (name: string) => readFileSync(`/proc/sys/${name}`, 'utf8').trim();
  return {
    links: (await run('ip', ['-br', 'link'])).stdout.split('\n').map((line) => line.split(' ')[0]),
    routes: (await run('ip', ['-4', 'route'])).stdout,
    rules: [...(await rules('iptables')), ...(await rules('ip6tables'))],
    mounts: readFileSync('/proc/self/mountinfo', 'utf8')
      .split('\n')
      .map((line) => line.split(' ')[4]),
    cgroups: cgroupRoots().flatMap((root) =>
      readdirSync(root).filter((name) => name.startsWith('slipway') || name === 'kubepods'),
    ),
    run: readdirSync('/run').filter((name) => name.startsWith('slipway') || name === 'containerd'),
    settings: ['vm/overcommit_memory', 'kernel/panic', 'net/ipv4/ip_forward'].map(sysctl),
  };
}

describe.runIf(possible)('a real node', () => {
  let dir: string;
  let env: Record<string, string>;
  let before: Awaited<ReturnType<typeof machine>>;
  const kubectl = async (...args: string[]) =>
    (
      await run(env['KUBECTL'] as string, ['--kubeconfig', env['KUBECONFIG'] as string, ...args], {
        timeout: 60_000,
      })
    ).stdout;
  const podStatus = async (name: string) =>
    JSON.parse(await kubectl('get', 'pod', name, '-o', 'json')).status;

  beforeAll(async () => {
    if (holder) await lab(holder, 'down');
    before = await machine();
    dir = mkdtempSync(join(tmpdir(), 'slipway-node-'));
    await lab(dir, 'up', '--nodes', 'real');
    env = parseEnvironment(readFileSync(labPaths({ SLIPWAY_LAB_DIR: dir }).env, 'utf8'));
    await kubectl(
      'run',
      'probe',
      `--image=${BUSYBOX_IMAGE}`,
      '--image-pull-policy=Never',
      '--command',
      '--',
      'sleep',
      '3600',
    );
    const running = await eventually(async () => (await podStatus('probe')).phase === 'Running', {
      timeoutMs: 60_000,
    });
    expect(running).toBe(true);
  });

  afterAll(async () => {
    await lab(dir, 'down', '--wipe').catch(() => {});
    rmSync(dir, { recursive: true, force: true });
    if (holder) await lab(holder, 'up', '--nodes', 'real');
  });

  it('lets pods find and reach the database by its name in the cluster', async () => {
    const command =
      'nslookup mongodb.ecommerce.svc.cluster.local && nc -w 5 mongodb.ecommerce.svc.cluster.local 27017 </dev/null';
    const answer = await kubectl('exec', 'probe', '--', 'sh', '-c', command);
    expect(answer).toMatch(/Address: 10\.\d+\.0\.27/);
  });

  it('lets no pod reach a server on the loopback that was not meant for it', async () => {
    const { ports } = readState(labPaths({ SLIPWAY_LAB_DIR: dir }).state);
    const { gateway = '' } = readState(labPaths({ SLIPWAY_LAB_DIR: dir }).state).network ?? {};
    const command = `nc -w 2 ${gateway} ${ports['etcd']} </dev/null`;
    await expect(kubectl('exec', 'probe', '--', 'sh', '-c', command)).rejects.toThrow(
      /refused|timed out|exit code/,
    );
  });

  it('says of an image that is not there that it cannot be pulled, without asking any registry', async () => {
    await kubectl('run', 'missing', '--image=nowhere/nothing:v9');
    const reason = await eventually(
      async () =>
        (await podStatus('missing')).containerStatuses?.[0]?.state?.waiting?.reason?.match(/Pull/)?.input,
      { timeoutMs: 60_000 },
    );
    expect(reason).toMatch(/^(ErrImagePull|ImagePullBackOff)$/);
    const { message } = (await podStatus('missing')).containerStatuses[0].state.waiting;
    expect(message).toMatch(/127\.0\.0\.1:9|Back-off/);
  });

  it('refuses a second one on the same machine, and says which lab has it', async () => {
    const other = mkdtempSync(join(tmpdir(), 'slipway-other-'));
    try {
      await expect(lab(other, 'up', '--nodes', 'real')).rejects.toMatchObject({
        stderr: expect.stringContaining(`the lab in ${dir} runs the machine's real node`),
      });
    } finally {
      await lab(other, 'down', '--wipe');
      rmSync(other, { recursive: true, force: true });
    }
  });

  it('killed in all its parts at once is taken off the machine by down: nothing is left', async () => {
    for (const { pid } of Object.values(readState(labPaths({ SLIPWAY_LAB_DIR: dir }).state).processes))
      process.kill(pid, 'SIGKILL');
    await lab(dir, 'down');
    expect(findDaemons(dir)).toEqual([]);
    expect(await machine()).toEqual(before);
  });
});
