import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { provision } from '../../lab/provision.ts';

const ROOT = new URL('../../', import.meta.url).pathname;
const FILE = join(ROOT, 'docker-compose.yml');
const RUN_LIMIT_MS = 30_000;
/** Without a compose program on the machine, one is built from its Go module. */
const PROVISION_LIMIT_MS = 900_000;
const run = promisify(execFile);

interface Service {
  image: string;
  build?: { context: string; dockerfile: string };
  command?: string[];
  environment?: Record<string, string>;
  privileged?: boolean;
  cap_drop?: string[];
  restart?: string;
  healthcheck?: { test: string[] };
  depends_on?: Record<string, { condition: string }>;
  ports?: { host_ip?: string; published: string; target: number }[];
  volumes?: { type: string; source: string; target: string; read_only?: boolean }[];
  networks: Record<string, { ipv4_address?: string } | null>;
}
interface Compose {
  services: Record<string, Service>;
  networks: Record<string, { ipam?: { config?: { subnet: string }[] } }>;
}

const scratch = mkdtempSync(join(tmpdir(), 'slipway-compose-'));
let compose: string;
let promtool: string;
let amtool: string;
let config: Compose;

const environment = (token: string | undefined) => ({
  PATH: process.env['PATH'],
  HOME: scratch,
  ...(token === undefined ? {} : { SLIPWAY_GATEWAY_TOKEN: token }),
});
const read = (name: string): string => readFileSync(join(ROOT, name), 'utf8');
const services = (): [string, Service][] => Object.entries(config.services);

beforeAll(async () => {
  const parts = await provision(['compose', 'promtool', 'amtool']);
  const path = (name: string): string => parts[name]?.path ?? '';
  [compose, promtool, amtool] = [path('compose'), path('promtool'), path('amtool')];
  const { stdout } = await run(compose, ['-f', FILE, 'config', '--format', 'json'], {
    env: environment('token-of-the-test'),
    timeout: RUN_LIMIT_MS,
  });
  config = JSON.parse(stdout) as Compose;
}, PROVISION_LIMIT_MS);
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

describe('docker-compose.yml, as a real compose program reads it,', () => {
  test('has every part of the lab, and nothing of the retired auto-setup image', () => {
    expect(Object.keys(config.services).sort()).toEqual(
      [
        'alertmanager',
        'gateway',
        'k3s',
        'kubeconfig',
        'mongodb',
        'mongodb-init',
        'prometheus',
        'temporal',
        'worker',
      ].sort(),
    );
    expect(config.services['temporal']?.image).toMatch(/^temporalio\/temporal:\d/);
    for (const [name, { image }] of services()) {
      expect(image, name).not.toContain('auto-setup');
      expect(image, name).toMatch(/:[\w.-]+$/);
      expect(image, name).not.toMatch(/:latest$/);
    }
  });

  test('keeps Temporal state in a volume, beside the file that the server is told', () => {
    const temporal = config.services['temporal'];
    const file = temporal?.command?.at((temporal.command.indexOf('--db-filename') ?? 0) + 1) ?? '';
    const mount = temporal?.volumes?.find((volume) => file.startsWith(`${volume.target}/`));
    expect(mount?.type).toBe('volume');
  });

  test('opens ports on 127.0.0.1 only, and no port twice', () => {
    const ports = services().flatMap(([, service]) => service.ports ?? []);
    expect(ports.map((port) => port.host_ip)).toEqual(ports.map(() => '127.0.0.1'));
    const published = ports.map((port) => port.published);
    expect(new Set(published).size).toBe(published.length);
    expect(published).toEqual(expect.arrayContaining(['7233', '8233']));
  });

  test('waits for what each part needs: healthy servers, finished one-time jobs', () => {
    for (const [name, service] of services()) {
      for (const [needed, { condition }] of Object.entries(service.depends_on ?? {})) {
        const other = config.services[needed];
        const once = other?.restart === 'no';
        expect(condition, `${name} on ${needed}`).toBe(
          once ? 'service_completed_successfully' : 'service_healthy',
        );
        if (!once) expect(other?.healthcheck, `${needed} has a health check`).toBeDefined();
      }
    }
    expect(Object.keys(config.services['worker']?.depends_on ?? {})).toEqual(
      expect.arrayContaining(['temporal', 'kubeconfig', 'mongodb-init']),
    );
  });

  test('gives every server a health check', () => {
    for (const [name, service] of services()) {
      if (service.restart === 'no') continue;
      expect(service.healthcheck?.test.length, name).toBeGreaterThan(1);
    }
  });

  test('runs nothing privileged but the node', () => {
    expect(services().flatMap(([name, service]) => (service.privileged ? [name] : []))).toEqual(['k3s']);
    for (const name of ['temporal', 'prometheus', 'alertmanager', 'worker', 'gateway']) {
      expect(config.services[name]?.cap_drop, name).toEqual(['ALL']);
    }
  });

  test('mounts only files and folders that exist', () => {
    const mounts = services().flatMap(
      ([, service]) => service.volumes?.filter(({ type }) => type === 'bind') ?? [],
    );
    expect(mounts.length).toBeGreaterThan(0);
    for (const { source } of mounts) expect(existsSync(source), source).toBe(true);
  });

  test('tells pods the address that MongoDB really has', () => {
    const address = config.services['mongodb']?.networks['slipway']?.ipv4_address;
    expect(address).toBeDefined();
    expect(read('deploy/compose/k3s-mongodb.yaml')).toContain(`addresses: [${address}]`);
    const prefix = config.networks['slipway']?.ipam?.config?.[0]?.subnet.replace(/\.0\/24$/, '.') ?? 'none';
    expect(address?.startsWith(prefix)).toBe(true);
  });

  test('gives Alertmanager and the gateway one token, and stops with a sentence when there is none', async () => {
    expect(config.services['gateway']?.environment?.['SLIPWAY_GATEWAY_TOKEN']).toBe('token-of-the-test');
    const refused = run(compose, ['-f', FILE, '--env-file', '/dev/null', 'config', '--quiet'], {
      env: environment(undefined),
      timeout: RUN_LIMIT_MS,
    });
    await expect(refused).rejects.toThrow(/SLIPWAY_GATEWAY_TOKEN.*set it to a secret of your own/);
  });
});

describe("compose's Alertmanager", () => {
  const file = 'deploy/compose/alertmanager.yml';

  test('is valid, and routes as the one for production does', async () => {
    await run(amtool, ['check-config', join(ROOT, file)], { timeout: RUN_LIMIT_MS });
    expect(parse(read(file)).route).toEqual(parse(read('deploy/alerting/alertmanager.yaml')).route);
  });

  test('posts to the gateway service, on the port that it listens on', () => {
    const { receivers } = parse(read(file)) as { receivers: { webhook_configs?: { url: string }[] }[] };
    const url = new URL(receivers.flatMap((receiver) => receiver.webhook_configs ?? [])[0]?.url ?? '');
    expect(url.pathname).toBe('/v1/alerts');
    expect(config.services[url.hostname]?.ports?.map((port) => String(port.target))).toContain(url.port);
  });
});

test("compose's Prometheus is valid and gives pods the labels that rules and gateway need", async () => {
  const settings = parse(read('deploy/compose/prometheus.yml')) as {
    scrape_configs: { kubernetes_sd_configs?: unknown; relabel_configs?: { target_label?: string }[] }[];
  };
  const [pods] = settings.scrape_configs;
  const labels = pods?.relabel_configs?.map((rule) => rule.target_label);
  expect(labels).toEqual(expect.arrayContaining(['namespace', 'pod', 'workload']));
  // Debian builds its promtool without Kubernetes discovery and refuses the field; all else is checked.
  delete pods?.kubernetes_sd_configs;
  const file = join(scratch, 'prometheus.yml');
  writeFileSync(file, stringify(settings));
  const { stdout } = await run(promtool, ['check', 'config', '--syntax-only', file], {
    timeout: RUN_LIMIT_MS,
  });
  expect(stdout).toContain('SUCCESS');
});
