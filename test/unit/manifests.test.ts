import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Deployment } from 'kubernetes-types/apps/v1.js';
import type { Container, Probe, Service, ServiceAccount } from 'kubernetes-types/core/v1.js';
import type { ObjectMeta } from 'kubernetes-types/meta/v1.js';
import type { NetworkPolicy, NetworkPolicyPort } from 'kubernetes-types/networking/v1.js';
import type { PodDisruptionBudget } from 'kubernetes-types/policy/v1.js';
import type { Role, RoleBinding } from 'kubernetes-types/rbac/v1.js';
import { describe, expect, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { ACCESS_RULES, JOB_ACCESS_RULES, READER_ACCESS_RULES } from '../../src/domain/preflight/access.ts';
import { parseRelease } from '../../src/specs/release.ts';

const ROOT = new URL('../../', import.meta.url).pathname;
const FOLDERS = ['deploy/kubernetes', 'examples/product-service/manifests'];
const UNITS: Record<string, number> = { m: 1e-3, Mi: 2 ** 20, Gi: 2 ** 30 };

interface Item {
  apiVersion: string;
  kind: string;
  metadata: ObjectMeta;
  file: string;
}

const items: Item[] = FOLDERS.flatMap((folder) =>
  readdirSync(join(ROOT, folder))
    .filter((name) => name.endsWith('.yaml'))
    .flatMap((name) => {
      const file = join(folder, name);
      return parseAllDocuments(readFileSync(join(ROOT, file), 'utf8')).map((document) => {
        expect(document.errors, file).toEqual([]);
        return { ...(document.toJS() as Item), file };
      });
    }),
).filter((item) => item.kind !== 'Kustomization');

function all<T>(kind: string): (T & Item)[] {
  return items.filter((item) => item.kind === kind) as (T & Item)[];
}
const deployments = all<Deployment>('Deployment');
const named = deployments.map((deployment) => [deployment.metadata.name ?? '', deployment] as const);

const podOf = (deployment: Deployment) => {
  const template = deployment.spec?.template;
  if (!template?.spec) throw new Error('a Deployment without a pod template');
  return { labels: template.metadata?.labels ?? {}, spec: template.spec };
};
const containersOf = (deployment: Deployment): Container[] => podOf(deployment).spec.containers;

/** The Deployments in the object's namespace whose pods carry all these labels. */
const podsWith = (namespace: string | undefined, labels: Record<string, string> | undefined) =>
  deployments.filter(
    (deployment) =>
      deployment.metadata.namespace === namespace &&
      Object.entries(labels ?? {}).every(([name, value]) => podOf(deployment).labels[name] === value),
  );

function quantity(text: unknown): number {
  const [, number, unit = ''] = /^(\d+)(m|Mi|Gi)?$/.exec(String(text)) ?? [];
  if (number === undefined) throw new Error(`not a quantity: ${String(text)}`);
  return Number(number) * (UNITS[unit] ?? 1);
}

test('every folder holds what it is there for', () => {
  expect(named.map(([name]) => name).sort()).toEqual([
    'product-service',
    'slipway-gateway',
    'slipway-worker',
  ]);
  expect(items.map((item) => item.file).filter((file) => file.startsWith('deploy/')).length).toBeGreaterThan(
    8,
  );
});

describe.each(named)('the pods of %s', (_, deployment) => {
  test('run without root, without privileges, on a read-only file system', () => {
    const { spec } = podOf(deployment);
    expect(spec.securityContext).toEqual({
      runAsNonRoot: true,
      runAsUser: 1000,
      runAsGroup: 3000,
      fsGroup: 2000,
      seccompProfile: { type: 'RuntimeDefault' },
    });
    for (const container of containersOf(deployment)) {
      expect(container.securityContext).toEqual({
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      });
    }
    expect(spec.hostNetwork ?? spec.hostPID ?? spec.hostIPC ?? false).toBe(false);
    expect(spec.volumes?.filter((volume) => volume.hostPath) ?? []).toEqual([]);
  });

  test('ask for resources, and are limited to one and a half to four times of them', () => {
    for (const { resources } of containersOf(deployment)) {
      for (const name of ['cpu', 'memory']) {
        const ratio = quantity(resources?.limits?.[name]) / quantity(resources?.requests?.[name]);
        expect(ratio, name).toBeGreaterThanOrEqual(1.5);
        expect(ratio, name).toBeLessThanOrEqual(4);
      }
    }
  });

  test('are probed on ports that they have; liveness does not ask what readiness asks', () => {
    for (const container of containersOf(deployment)) {
      const ports = container.ports?.map((port) => port.name);
      const probes = [container.startupProbe, container.readinessProbe, container.livenessProbe];
      for (const probe of probes) expect(ports).toContain(probe?.httpGet?.port);
      expect(container.livenessProbe?.httpGet?.path).not.toBe(container.readinessProbe?.httpGet?.path);
    }
  });

  test('may start slowly: the startup probe outlasts what liveness would allow', () => {
    const budget = (probe: Probe | undefined) => (probe?.periodSeconds ?? 0) * (probe?.failureThreshold ?? 0);
    for (const container of containersOf(deployment)) {
      expect(budget(container.startupProbe)).toBeGreaterThan(budget(container.livenessProbe));
      expect(budget(container.startupProbe)).toBeLessThan(deployment.spec?.progressDeadlineSeconds ?? 600);
    }
  });

  test('are the ones that the Deployment selects, and are rolled without losing strength', () => {
    expect(podOf(deployment).labels).toMatchObject(
      deployment.spec?.selector.matchLabels ?? { missing: 'selector' },
    );
    expect(podsWith(deployment.metadata.namespace, deployment.spec?.selector.matchLabels)).toEqual([
      deployment,
    ]);
    expect(deployment.spec?.strategy?.rollingUpdate).toEqual({ maxSurge: 1, maxUnavailable: 0 });
  });

  test('use a service account, ConfigMaps and Secrets that exist or are made by hand as the README says', () => {
    const { spec } = podOf(deployment);
    const namespace = deployment.metadata.namespace;
    const has = (kind: string, name: string | undefined) =>
      items.some(({ kind: k, metadata: m }) => k === kind && m.name === name && m.namespace === namespace);
    expect(has('ServiceAccount', spec.serviceAccountName)).toBe(true);
    const readme = readFileSync(join(ROOT, 'deploy/kubernetes/README.md'), 'utf8');
    for (const secret of spec.volumes?.flatMap((volume) => volume.secret?.secretName ?? []) ?? []) {
      expect(readme).toContain(`create secret generic ${secret}`);
    }
    for (const container of containersOf(deployment)) {
      for (const { configMapRef, secretRef } of container.envFrom ?? []) {
        if (configMapRef) expect(has('ConfigMap', configMapRef.name), configMapRef.name).toBe(true);
        if (secretRef) expect(readme).toContain(`create secret generic ${secretRef.name}`);
      }
      for (const { name, valueFrom } of container.env ?? []) {
        const secret = valueFrom?.secretKeyRef?.name;
        if (secret === undefined || has('Secret', secret)) continue;
        expect(readme, name).toContain(`create secret generic ${secret}`);
      }
    }
  });

  test('survive a drained node but for one', () => {
    const budgets = all<PodDisruptionBudget>('PodDisruptionBudget').filter((budget) =>
      podsWith(budget.metadata.namespace, budget.spec?.selector?.matchLabels).includes(deployment),
    );
    expect(budgets.map((budget) => budget.spec?.maxUnavailable)).toEqual([1]);
  });
});

test('Slipway listens on the ports that its containers name, and Alertmanager posts to one of them', () => {
  const addresses = deployments
    .flatMap(containersOf)
    .flatMap((container) =>
      (container.env ?? []).flatMap(({ name, value }) =>
        name.endsWith('_ADDRESS')
          ? [{ name, value, ports: container.ports?.map((port) => port.containerPort) }]
          : [],
      ),
    );
  expect(addresses.map(({ name }) => name).toSorted((a, b) => a.localeCompare(b))).toEqual([
    'SLIPWAY_GATEWAY_ADDRESS',
    'SLIPWAY_METRICS_ADDRESS',
  ]);
  for (const { name, value, ports } of addresses)
    expect(ports, name).toEqual([Number(value?.replace(/^:/, ''))]);
  const alertmanager = readFileSync(join(ROOT, 'deploy/alerting/alertmanager.yaml'), 'utf8');
  const service = all<Service>('Service').find(({ metadata }) => metadata.name === 'slipway-gateway');
  const host = `${service?.metadata.name}.${service?.metadata.namespace}.svc:${service?.spec?.ports?.[0]?.port}`;
  expect(alertmanager).toContain(`url: http://${host}/v1/alerts`);
});

test('only the worker holds a token of the Kubernetes API', () => {
  const mounted = named.filter(
    ([, deployment]) => podOf(deployment).spec.automountServiceAccountToken !== false,
  );
  expect(mounted.map(([name]) => name)).toEqual(['slipway-worker']);
  for (const account of all<ServiceAccount>('ServiceAccount'))
    expect(account.automountServiceAccountToken).toBe(false);
});

describe.each(all<Service>('Service').map((service) => [service.metadata.name, service] as const))(
  'the Service %s',
  (_, service) => {
    test('selects the pods of one Deployment and ports that these name', () => {
      const selected = podsWith(service.metadata.namespace, service.spec?.selector);
      expect(selected).toHaveLength(1);
      const ports = selected.flatMap(containersOf).flatMap((container) => container.ports ?? []);
      for (const port of service.spec?.ports ?? []) {
        expect(ports.map(({ name }) => name)).toContain(port.targetPort);
        expect(ports.find(({ name }) => name === port.targetPort)?.containerPort).toBe(port.port);
      }
    });
  },
);

describe.each([
  ['slipway-release', 'a release', ACCESS_RULES],
  ['slipway-backup-job', 'a backup by a Job', JOB_ACCESS_RULES],
  ['slipway-backup-restore', 'a restore from a claim', READER_ACCESS_RULES],
] as const)('the rights of the worker by Role %s', (name, who, rules) => {
  const role = all<Role>('Role').find(({ metadata }) => metadata.name === name);
  const binding = all<RoleBinding>('RoleBinding').find(({ metadata }) => metadata.name === name);

  test(`are exactly those that ${who} uses and preflight asks for`, () => {
    const granted = role?.rules?.flatMap(({ apiGroups, resources, resourceNames = [], verbs }) =>
      (resources ?? []).map(
        (resource) => `${apiGroups?.join()}/${resource} ${resourceNames.join()}: ${verbs.join(' ')}`,
      ),
    );
    const used = rules.map(
      ({ group, resource, names = [], verbs }) => `${group}/${resource} ${names.join()}: ${verbs.join(' ')}`,
    );
    expect(granted).toEqual(used);
    expect(granted?.join()).not.toMatch(/[*]|secrets/);
    expect(items.filter(({ kind }) => kind === 'ClusterRole' || kind === 'ClusterRoleBinding')).toEqual([]);
  });

  test('are bound to the service account that the worker runs with, in whichever namespace they are applied', () => {
    const worker = deployments.find(({ metadata }) => metadata.name === 'slipway-worker');
    expect(binding?.subjects).toEqual([
      {
        kind: 'ServiceAccount',
        name: worker && podOf(worker).spec.serviceAccountName,
        namespace: worker?.metadata.namespace,
      },
    ]);
    expect(binding?.roleRef).toMatchObject({ kind: 'Role', name });
    expect([role?.metadata.namespace, binding?.metadata.namespace]).toEqual([undefined, undefined]);
  });
});

test('there are no other rights', () => {
  expect(all<Role>('Role')).toHaveLength(3);
});

describe.each(all<NetworkPolicy>('NetworkPolicy').map((policy) => [policy.metadata.name, policy] as const))(
  'the NetworkPolicy %s',
  (_, policy) => {
    test('is about pods that exist and ports that they name', () => {
      const selected = podsWith(policy.metadata.namespace, policy.spec?.podSelector.matchLabels);
      expect(selected).toHaveLength(1);
      const ports = selected
        .flatMap(containersOf)
        .flatMap((container) => container.ports?.map(({ name }) => name) ?? []);
      for (const port of policy.spec?.ingress?.flatMap((rule) => rule.ports ?? []) ?? [])
        expect(ports).toContain(port.port);
    });

    test('has no rule that is open to everybody by an empty list', () => {
      for (const rule of policy.spec?.ingress ?? []) expect(rule.from?.length).toBeGreaterThan(0);
      for (const rule of policy.spec?.egress ?? []) expect(rule.to?.length).toBeGreaterThan(0);
    });

    test('allows names to be resolved over UDP and TCP wherever it restricts egress', () => {
      if (!policy.spec?.policyTypes?.includes('Egress')) return;
      const dns = policy.spec.egress
        ?.flatMap((rule) => rule.ports ?? [])
        .filter((port: NetworkPolicyPort) => port.port === 53);
      expect(dns?.map((port) => port.protocol).sort()).toEqual(['TCP', 'UDP']);
    });
  },
);

test('the kustomization lists every file but the one that is applied per target namespace', () => {
  const { resources } = parse(readFileSync(join(ROOT, 'deploy/kubernetes/kustomization.yaml'), 'utf8')) as {
    resources: string[];
  };
  const files = readdirSync(join(ROOT, 'deploy/kubernetes')).filter((name) => name.endsWith('.yaml'));
  expect(
    [...resources, 'kustomization.yaml', 'target-namespace.yaml', 'target-namespace-backup.yaml'].sort(),
  ).toEqual(files.sort());
});

test('no Secret in the repository holds anything but a placeholder', () => {
  const values = all<{ stringData?: Record<string, string>; data?: unknown } & Item>('Secret');
  expect(values.map(({ stringData, data }) => [Object.values(stringData ?? {}), data])).toEqual([
    [['placeholder'], undefined],
  ]);
});

describe('the example releases', () => {
  const folder = join(ROOT, 'examples/releases');
  const target = deployments.find(({ metadata }) => metadata.name === 'product-service');

  test.each(readdirSync(folder))('%s is accepted and fits the example Deployment', (name) => {
    const release = parseRelease(readFileSync(join(folder, name), 'utf8'), { source: name });
    expect(release.metadata).toEqual({ namespace: target?.metadata.namespace, name: target?.metadata.name });
    const [repository] = release.spec.image?.split(':') ?? [];
    expect(target && containersOf(target)[0]?.image).toMatch(new RegExp(`^${repository}:`));
  });
});
