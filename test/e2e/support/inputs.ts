import type { AlertNotice, ReleaseInput } from '../../../src/domain/release/types.ts';

let count = 0;

/** A workload name that no other test uses. */
export function freshName(): string {
  return `product-${process.pid}-${++count}`;
}

export function releaseInput(
  name: string,
  more: { image?: string; key?: string; dryRun?: boolean; reason?: string; namespace?: string } = {},
): ReleaseInput {
  return {
    release: {
      apiVersion: 'slipway/v1',
      kind: 'Release',
      metadata: { namespace: more.namespace ?? 'ecommerce', name },
      spec: {
        image: more.image ?? 'ecommerce/product-service:v1.1.0',
        reason: more.reason ?? 'cheaper search',
        strategy: {
          canary: {
            steps: [{ weight: 50 }, { gate: { name: 'half', approvals: 1, expires: '1h', fourEyes: false } }],
          },
        },
        guards: {
          alerts: { match: { severity: ['critical'] } },
          pods: { readyWithin: '5m', restarts: 2 },
          deadline: '15m',
        },
        after: { guard: '5m' },
      },
    },
    starter: "ci@o'brien",
    key: more.key ?? null,
    dryRun: more.dryRun ?? false,
  };
}

export function alertNotice(more: Partial<AlertNotice> = {}): AlertNotice {
  return {
    fingerprint: 'f00d',
    status: 'firing',
    labels: { alertname: 'HighErrorRate', severity: 'warning' },
    annotations: { summary: 'too many errors' },
    startsAt: '2026-11-23T09:00:00Z',
    ...more,
  };
}
