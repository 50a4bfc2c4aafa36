import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { parse, parseAllDocuments } from 'yaml';
import { Registry } from 'prom-client';
import { beforeAll, describe, expect, test } from 'vitest';
import { HURRIED_RULES, hurried, type Rule, type RuleFile } from '../../lab/hurried-rules.ts';
import { provision } from '../../lab/provision.ts';
import { backupMetrics } from '../../src/activities/backup/metrics.ts';

const ALERTING = new URL('../../deploy/alerting/', import.meta.url).pathname;
/** Tests of rules go through days, on a machine that may be busy. */
const RUN_LIMIT_MS = 120_000;
const PROVISION_LIMIT_MS = 300_000;
const run = promisify(execFile);

const read = (name: string): unknown => parse(readFileSync(join(ALERTING, name), 'utf8'));
const alertsOf = (file: RuleFile): Rule[] =>
  file.groups.flatMap((group) => group.rules).filter((rule) => rule.alert !== undefined);

/** Both streams, whatever the exit code: promtool explains on stderr. */
async function outcome(program: string, args: string[]): Promise<{ code: number; output: string }> {
  try {
    const { stdout, stderr } = await run(program, args, { timeout: RUN_LIMIT_MS });
    return { code: 0, output: stdout + stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as { code?: number; stdout?: string; stderr?: string };
    return { code: code ?? -1, output: `${stdout ?? ''}${stderr ?? ''}` };
  }
}

let promtool: string;
let amtool: string;

beforeAll(async () => {
  const parts = await provision(['promtool', 'amtool']);
  promtool = parts['promtool']?.path ?? '';
  amtool = parts['amtool']?.path ?? '';
}, PROVISION_LIMIT_MS);

describe('the alert rules', () => {
  test('do what their promtool tests promise, and differ from the unsummed original', async () => {
    const tests = readdirSync(join(ALERTING, 'tests')).filter((name) => name.endsWith('.test.yaml'));
    expect(tests).toEqual(['backup.test.yaml', 'ecommerce.test.yaml', 'release-demo.test.yaml']);
    const files = tests.map((name) => join(ALERTING, 'tests', name));
    expect(await outcome(promtool, ['test', 'rules', ...files])).toMatchObject({ code: 0 });
  }, 150_000);

  test('of the lab and of production are valid for Prometheus', async () => {
    const checked = await outcome(promtool, [
      'check',
      'rules',
      join(ALERTING, 'rules/ecommerce.yaml'),
      join(ALERTING, 'rules/backup.yaml'),
      HURRIED_RULES,
    ]);
    expect(checked).toMatchObject({ code: 0 });
  });

  test.each([
    ['prometheusrule.yaml', 'rules/ecommerce.yaml'],
    ['prometheusrule-backup.yaml', 'rules/backup.yaml'],
  ])('are the same as a PrometheusRule and as a rule file: %s, %s', (name, rules) => {
    const resource = read(name) as { kind: string; spec: RuleFile };
    expect(resource.kind).toBe('PrometheusRule');
    expect(resource.spec).toEqual(read(rules));
  });

  const shipped = ['rules/ecommerce.yaml', 'rules/backup.yaml'].flatMap((name) =>
    alertsOf(read(name) as RuleFile),
  );
  test.for(shipped.map((rule) => [rule.alert, rule] as const))(
    '%s has a severity, sentences for people, and a runbook that exists',
    ([name, rule]) => {
      expect(['warning', 'critical']).toContain(rule.labels?.['severity']);
      expect(rule.annotations).toMatchObject({
        summary: expect.any(String),
        description: expect.any(String),
      });
      expect(rule.annotations?.['runbook_url']).toMatch(new RegExp(`/${name}$`));
      expect(readFileSync(join(ALERTING, 'runbooks.md'), 'utf8')).toContain(`\n## ${name}\n`);
    },
  );

  test('of backups go by metrics that a worker exports, and the docs name each', async () => {
    const registry = new Registry();
    backupMetrics(registry);
    const exported = registry.getMetricsAsArray().map(({ name }) => name);
    const text = readFileSync(join(ALERTING, 'rules/backup.yaml'), 'utf8');
    const used = new Set(text.match(/(?<!:)\bslipway_\w+/g));
    expect(exported).toEqual(expect.arrayContaining([...used]));
    const docs = readFileSync(join(ALERTING, '../../docs/backups.md'), 'utf8');
    expect(exported.filter((name) => !docs.includes(`\`${name}`))).toEqual([]);
  });

  test('of the lab are a hurried copy of production alerts, not others', () => {
    const lab = parse(readFileSync(HURRIED_RULES, 'utf8')) as RuleFile;
    expect(alertsOf(lab).map((rule) => rule.alert)).toEqual(['HighErrorRate', 'HighPodErrorRate']);
    // After a change of the production rules: node lab/hurried-rules.ts
    expect(lab).toEqual(hurried(read('rules/ecommerce.yaml') as RuleFile));
    for (const { expr } of alertsOf(lab)) expect(expr).not.toMatch(/\dm\]|ecommerce/);
  });
});

test('the PodMonitor selects the pods of worker and gateway, and ports that they have', () => {
  const { spec, metadata } = read('podmonitor.yaml') as {
    metadata: { namespace: string };
    spec: { selector: { matchLabels: Record<string, string> }; podMetricsEndpoints: { port: string }[] };
  };
  const ports = ['worker', 'gateway'].flatMap((name) => {
    const file = readFileSync(new URL(`../kubernetes/${name}.yaml`, `file://${ALERTING}`), 'utf8');
    const [deployment] = parseAllDocuments(file)
      .map((document) => document.toJS())
      .filter(({ kind }) => kind === 'Deployment');
    expect(deployment.metadata.namespace).toBe(metadata.namespace);
    expect(deployment.spec.template.metadata.labels).toMatchObject(spec.selector.matchLabels);
    return deployment.spec.template.spec.containers.flatMap((each: { ports: { name: string }[] }) =>
      each.ports.map(({ name: port }) => port),
    );
  });
  expect(new Set(spec.podMetricsEndpoints.map(({ port }) => port))).toEqual(new Set(ports));
});

describe('the ServiceMonitor', () => {
  const monitor = read('servicemonitor.yaml') as {
    spec: {
      selector: { matchLabels: Record<string, string> };
      endpoints: {
        port: string;
        path: string;
        relabelings: { sourceLabels: string[]; targetLabel: string }[];
      }[];
    };
  };
  const manifest = (name: string) =>
    parse(readFileSync(new URL(`../../examples/product-service/manifests/${name}`, import.meta.url), 'utf8'));

  test('selects the Service of product-service, and a port that it has', () => {
    const service = manifest('30-service.yaml');
    expect(service.metadata.labels).toMatchObject(monitor.spec.selector.matchLabels);
    expect(service.spec.ports.map((port: { name: string }) => port.name)).toContain(
      monitor.spec.endpoints[0]?.port,
    );
  });

  test('gives each series the workload label that rules and gateway need, equal to the Deployment name', () => {
    expect(monitor.spec.endpoints[0]?.relabelings).toContainEqual({
      sourceLabels: ['__meta_kubernetes_pod_label_app'],
      targetLabel: 'workload',
    });
    const deployment = manifest('20-deployment.yaml');
    expect(deployment.spec.template.metadata.labels.app).toBe(deployment.metadata.name);
  });
});

describe('the Alertmanager configuration', () => {
  const file = join(ALERTING, 'alertmanager.yaml');
  /** Which receivers an alert with these labels reaches. */
  const receivers = async (labels: string[]) =>
    (await run(amtool, ['config', 'routes', 'test', '--config.file', file, ...labels])).stdout.trim();

  test('is valid for Alertmanager', async () => {
    expect(await outcome(amtool, ['check-config', file])).toMatchObject({ code: 0 });
  });

  test('sends alerts of a workload to Slipway and to people, all others to people only', async () => {
    const release = [
      'alertname=HighErrorRate',
      'severity=warning',
      'namespace=ecommerce',
      'workload=product-service',
    ];
    expect(await receivers(release)).toBe('slipway,default');
    expect(await receivers(['alertname=NodeDown', 'severity=critical'])).toBe('default');
    const informative = [
      'alertname=HighErrorRate',
      'severity=info',
      'namespace=ecommerce',
      'workload=product-service',
    ];
    expect(await receivers(informative)).toBe('default');
  });

  test('never waits with a release alert, and holds no token itself', () => {
    const config = read('alertmanager.yaml') as {
      route: { routes: { receiver: string; group_wait: string }[] };
      receivers: { name: string; webhook_configs?: { http_config: { authorization: object } }[] }[];
    };
    expect(config.route.routes.find((route) => route.receiver === 'slipway')?.group_wait).toBe('0s');
    const webhook = config.receivers.find((receiver) => receiver.name === 'slipway')?.webhook_configs?.[0];
    expect(Object.keys(webhook?.http_config.authorization ?? {}).sort()).toEqual([
      'credentials_file',
      'type',
    ]);
  });
});
