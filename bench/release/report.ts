// What the benchmark found, for people.
import type { RequestCounts } from './audit.ts';
import type { Spread } from './statistics.ts';

export interface Setting {
  /** Other releases that waited at gates meanwhile. */
  waiting: number;
  /** Milliseconds from sending the webhook to the first rollback write at the API server. */
  firstWrite: Spread;
  /** Milliseconds from sending the webhook to the canary's ReplicaSet without pods. */
  canaryGone: Spread;
  /** Milliseconds from sending the webhook to the gateway's 200. */
  accepted: Spread;
  samples: { firstWrite: number[]; canaryGone: number[]; accepted: number[] };
  /** Slipway's requests while `waiting` (at least one) releases stood at gates and nothing happened. */
  quiet: { seconds: number; releases: number; requests: RequestCounts };
  /** One alert about the whole namespace: milliseconds until the last of `releases` had its rollback written. */
  allAtOnce: { releases: number; lastWrite: number } | null;
}

export interface Report {
  benchmark: 'alert-to-rollback';
  hold: 'gate' | 'bake';
  machine: { cpus: number; model: string; memoryGb: number; loadBefore: number; loadAfter: number };
  nodes: string;
  /** A whole good release: five steps, four replicas. */
  perRelease: RequestCounts;
  settings: Setting[];
  /** Measured elsewhere, not by this benchmark. */
  published: { name: string; firstWrite: string; canaryGone: string }[];
}

/** Argo Rollouts 1.10, as published with our requirements: same kind of machine, 4 replicas. */
export const PUBLISHED: Report['published'] = [
  {
    name: 'Argo Rollouts 1.10, polling every 1 s',
    firstWrite: 'p50 334, max 1051',
    canaryGone: 'p50 1078, max 1769',
  },
  { name: 'Argo Rollouts 1.10, polling every 10 s', firstWrite: 'p50 4600', canaryGone: '' },
];

export function renderReport(report: Report): string {
  const { machine, settings, perRelease } = report;
  const { writes, deploymentWrites, reads, watches, reviews } = perRelease;
  return [
    `Alert to rollback, held at a ${report.hold}; ${report.nodes} nodes; ${machine.cpus} x ${machine.model}, ${machine.memoryGb} GB,` +
      ` load ${machine.loadBefore} before and ${machine.loadAfter} after`,
    '',
    '| milliseconds from sending the webhook | runs | p50 | p95 | p99 | max |',
    '|---|---|---|---|---|---|',
    ...settings.flatMap((setting) => [
      row(`first rollback write, ${besides(setting)}`, setting.firstWrite),
      row(`canary gone, ${besides(setting)}`, setting.canaryGone),
      row(`gateway's 200, ${besides(setting)}`, setting.accepted),
    ]),
    '',
    'For comparison, published figures, not measured here (milliseconds):',
    ...report.published.map(
      ({ name, firstWrite, canaryGone }) =>
        `- ${name}: first write ${firstWrite}${canaryGone && `; canary gone ${canaryGone}`}`,
    ),
    '',
    'Requests to the API server:',
    `- a whole good release (five steps, four replicas): ${writes} writes (${deploymentWrites} to the Deployment), ${reads} reads,` +
      ` ${watches} watches opened, ${reviews} access reviews and dry runs`,
    ...settings.map(
      ({ quiet: { seconds, releases, requests } }) =>
        `- ${releases} waiting at gates, ${seconds} s: ${requests.writes} writes, ${requests.reads} reads, ${requests.watches} watches opened`,
    ),
    ...settings.flatMap(({ allAtOnce }) =>
      allAtOnce
        ? [
            '',
            `One alert about a whole namespace: the last of ${allAtOnce.releases} rollbacks was written after ${Math.round(allAtOnce.lastWrite)} ms.`,
          ]
        : [],
    ),
  ].join('\n');
}

function besides({ waiting }: Setting): string {
  return waiting === 0 ? 'idle' : `${waiting} others waiting`;
}

function row(what: string, { count, p50, p95, p99, max }: Spread): string {
  return `| ${what} | ${[count, p50, p95, p99, max].map(Math.round).join(' | ')} |`;
}
