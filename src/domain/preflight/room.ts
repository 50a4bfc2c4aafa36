/** Whether the namespace has room for the pods that a release runs beside the present ones. */
import type {
  Container,
  LimitRange,
  PodSpec,
  ResourceList,
  ResourceQuota,
} from '../workload/objects.types.ts';
import { formatQuantity, parseQuantity } from './quantity.ts';
import type { Finding } from '../workload/types.ts';

type Kind = 'requests' | 'limits';

/** Findings of quotas that `pods` more pods of this spec would exceed. */
export function quotaFindings(quotas: ResourceQuota[], spec: PodSpec, pods: number): Finding[] {
  if (pods === 0) return [];
  return quotas.flatMap((quota) => {
    const applies = quotaApplies(quota, spec);
    return applies === 'no' ? [] : shortages(quota, spec, pods, applies === 'yes' ? 'error' : 'warning');
  });
}

function shortages(quota: ResourceQuota, spec: PodSpec, pods: number, level: 'error' | 'warning'): Finding[] {
  const { hard = {}, used = {} } = quota.status ?? {};
  return Object.entries(hard).flatMap(([resource, limit]): Finding[] => {
    const one = needOf(resource, spec);
    const most = parseQuantity(limit);
    if (one === undefined || most === null) return [];
    const name = quota.metadata.name;
    if (one === null) {
      const message = `ResourceQuota ${name} counts ${resource}, but a container does not say how much it wants: new pods are refused`;
      return [{ check: 'quota-needs-resources', level, message, fix: `set ${resource} on every container` }];
    }
    const need = one * BigInt(pods);
    const free = most - (parseQuantity(used[resource] ?? '0') ?? 0n);
    if (need <= free) return [];
    const show = (amount: bigint): string => formatQuantity(amount < 0n ? 0n : amount, resource);
    return [
      {
        check: 'surge-exceeds-quota',
        level,
        message: `${pods} more ${pods === 1 ? 'pod needs' : 'pods need'} ${show(need)} of ${resource}, ResourceQuota ${name} has ${show(free)} left of ${limit}`,
        fix: `raise the quota by ${show(need - (free < 0n ? 0n : free))}, or lower maxSurge`,
      },
    ];
  });
}

/** Thousandths that one pod takes of a quota's resource; `null`: the pod must say and does not; `undefined`: not counted here. */
function needOf(resource: string, spec: PodSpec): bigint | null | undefined {
  if (resource === 'pods' || resource === 'count/pods') return 1_000n;
  const match = /^(?:(requests|limits)\.)?(cpu|memory|ephemeral-storage)$/.exec(resource);
  if (!match) return undefined;
  const kind: Kind = match[1] === 'limits' ? 'limits' : 'requests';
  const name = match[2] ?? '';
  const silent = spec.containers.some((container) => amountOf(container, kind, name) === null);
  return silent && name !== 'ephemeral-storage' ? null : podAmount(spec, kind, name);
}

/** What the scheduler counts for a pod: all containers and sidecars together, or the largest step of initialisation. */
export function podAmount(spec: PodSpec, kind: Kind, resource: string): bigint {
  let sidecars = 0n;
  let largest = 0n;
  for (const container of spec.initContainers ?? []) {
    const amount = amountOf(container, kind, resource) ?? 0n;
    if (container.restartPolicy === 'Always') sidecars += amount;
    const step = container.restartPolicy === 'Always' ? sidecars : sidecars + amount;
    if (step > largest) largest = step;
  }
  const main = spec.containers.reduce(
    (sum, container) => sum + (amountOf(container, kind, resource) ?? 0n),
    sidecars,
  );
  return (main > largest ? main : largest) + (parseQuantity(spec.overhead?.[resource] ?? '0') ?? 0n);
}

function amountOf({ resources }: Container, kind: Kind, resource: string): bigint | null {
  // The API server fills requests from limits.
  const text =
    resources?.[kind]?.[resource] ?? (kind === 'requests' ? resources?.limits?.[resource] : undefined);
  return text === undefined ? null : parseQuantity(text);
}

/** `maybe`: it depends on something that is decided when a pod is made. */
function quotaApplies(quota: ResourceQuota, spec: PodSpec): 'yes' | 'no' | 'maybe' {
  const { scopes = [], scopeSelector } = quota.spec;
  const bestEffort = spec.containers.every(({ resources }) => !resources?.requests && !resources?.limits);
  if (scopes.includes('Terminating')) return 'no';
  if (scopes.includes('BestEffort') && !bestEffort) return 'no';
  if (scopes.includes('NotBestEffort') && bestEffort) return 'no';
  const known = ['NotTerminating', 'BestEffort', 'NotBestEffort'];
  return scopeSelector || scopes.some((scope) => !known.includes(scope)) ? 'maybe' : 'yes';
}

/** Findings of limit ranges that would refuse new pods of this spec. */
export function limitRangeFindings(ranges: LimitRange[], spec: PodSpec): Finding[] {
  return ranges.flatMap((range) =>
    range.spec.limits.flatMap(({ type, max = {}, min = {} }) => {
      const rule = { range: range.metadata.name, max, min };
      if (type === 'Pod') {
        return outside(rule, 'a pod', (kind, resource) => podAmount(spec, kind, resource));
      }
      if (type !== 'Container') return [];
      return spec.containers.flatMap((container) =>
        outside(rule, `container ${container.name}`, (kind, resource) => amountOf(container, kind, resource)),
      );
    }),
  );
}

function outside(
  { range, max, min }: { range: string; max: ResourceList; min: ResourceList },
  who: string,
  amount: (kind: Kind, resource: string) => bigint | null,
): Finding[] {
  const refused = (resource: string, what: string): Finding => ({
    check: 'limit-range',
    level: 'error',
    message: `LimitRange ${range} refuses new pods: ${who} has ${what}`,
    fix: `change the resources of the workload or the LimitRange (${resource})`,
  });
  const above = Object.entries(max).flatMap(([resource, most]) => {
    const limit = amount('limits', resource);
    const allowed = parseQuantity(most);
    return limit !== null && allowed !== null && limit > allowed
      ? [
          refused(
            resource,
            `a ${resource} limit of ${formatQuantity(limit, resource)}, at most ${most} is allowed`,
          ),
        ]
      : [];
  });
  const below = Object.entries(min).flatMap(([resource, least]) => {
    const request = amount('requests', resource);
    const allowed = parseQuantity(least);
    return request !== null && allowed !== null && request < allowed
      ? [
          refused(
            resource,
            `a ${resource} request of ${formatQuantity(request, resource)}, at least ${least} is asked`,
          ),
        ]
      : [];
  });
  return [...above, ...below];
}
