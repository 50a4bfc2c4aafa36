/** A command line without a terminal, a network or a process: what it printed, what it asked of Temporal, how it ended. */
import picocolors from 'picocolors';
import { main } from '../../../src/cli/main.ts';
import type { Session } from '../../../src/cli/session.ts';
import type { SlipwayClient } from '../../../src/client.ts';
import type { ReleaseStatus } from '../../../src/domain/release/types.ts';

/** The time at which every test runs. */
export const NOW = Date.parse('2026-11-23T03:00:00.000Z');

export const at = (secondsAgo: number): string => new Date(NOW - secondsAgo * 1_000).toISOString();

export interface Ran {
  exit: number;
  out: string;
  err: string;
}

export interface Stage {
  /** Methods of the client that the command may use; any other one fails the test. */
  client?: Partial<SlipwayClient>;
  env?: Record<string, string>;
  stdin?: string;
  live?: boolean;
  /** Aborts like Ctrl-C. */
  interrupt?: AbortSignal;
  confirm?: boolean;
  openKube?: Session['openKube'];
}

/** Runs one command line as a shell would, with blanks between the words. */
export async function slipway(line: string | string[], stage: Stage = {}): Promise<Ran> {
  const out: string[] = [];
  const err: string[] = [];
  const refuse = (what: string) => () => Promise.reject(new Error(`the test did not expect ${what}`));
  const session: Session = {
    write: (text) => void out.push(text),
    out: (text) => void out.push(`${text}\n`),
    err: (text) => void err.push(`${text}\n`),
    env: stage.env ?? { SLIPWAY_USER: 'ada' },
    readStdin: () => Promise.resolve(stage.stdin ?? ''),
    terminal: { live: stage.live ?? false, columns: 100, rows: 50, onResize: () => () => undefined },
    colors: picocolors.createColors(false),
    now: () => NOW,
    confirm: () => Promise.resolve(stage.confirm),
    interrupted: () => ({ signal: stage.interrupt ?? new AbortController().signal, stop: () => undefined }),
    connect: stage.client
      ? () => Promise.resolve(fake(stage.client ?? {}))
      : refuse('a connection to Temporal'),
    openKube: stage.openKube ?? refuse('a connection to a cluster'),
  };
  const exit = await main(typeof line === 'string' ? line.split(' ') : line, session);
  return { exit, out: out.join(''), err: err.join('') };
}

function fake(methods: Partial<SlipwayClient>): SlipwayClient {
  const known: Partial<SlipwayClient> = {
    close: () => Promise.resolve(),
    waiting: () => Promise.resolve([]),
    workflowUrl: () => 'http://ui/release',
    savedViewUrl: () => 'http://ui/awaiting',
    ...methods,
  };
  return new Proxy(known, {
    get(target, name) {
      if (name in target) return target[name as keyof SlipwayClient];
      if (name === 'then') return undefined;
      throw new Error(`the test did not expect the call ${String(name)}`);
    },
  }) as SlipwayClient;
}

/** A release at its gate, four minutes old. */
export function releaseStatus(changes: Partial<ReleaseStatus> = {}): ReleaseStatus {
  const gate = { name: 'half', approvals: 1, expires: '1h', fourEyes: false };
  return {
    id: 'release.shop.web',
    run: 'run-1',
    namespace: 'shop',
    workload: 'web',
    image: 'shop/web:v2',
    reason: null,
    releaseReason: 'cheaper search',
    starter: 'ci',
    key: null,
    phase: 'awaiting-approval',
    step: { index: 2, total: 3, text: 'gate half (1 approval)' },
    skippedFrom: null,
    plan: {
      replicas: 4,
      steps: [
        { kind: 'weight', weight: 25, canary: 1, stable: 4, real: 20 },
        { kind: 'gate', gate },
        { kind: 'promote' },
      ],
      notes: ['25 % is 20 % with 4 pods'],
    },
    stable: { hash: 'aaa', pods: 4, ready: 4, image: 'shop/web:v1' },
    canary: { hash: 'bbb', pods: 1, ready: 1, image: 'shop/web:v2', weight: 20 },
    gate: { name: 'half', revision: 'bbb', approvals: [], needed: 1, fourEyes: false, expires: at(-3_420) },
    paused: null,
    outcome: null,
    deadline: at(-3_420),
    next: 'the gate expires and the release is rolled back',
    findings: [],
    problems: [],
    drift: [],
    alerts: [],
    timeline: [
      { at: at(240), text: 'weight 25 % (1 new, 4 old)' },
      { at: at(180), text: 'gate half (1 approval)' },
    ],
    startedAt: at(240),
    finishedAt: null,
    ...changes,
  };
}

/** The same release after its end. */
export function ended(outcome: NonNullable<ReleaseStatus['outcome']>, reason: string): ReleaseStatus {
  return releaseStatus({
    phase: outcome,
    outcome,
    reason,
    gate: null,
    step: null,
    deadline: null,
    next: null,
    canary: { hash: 'bbb', pods: 0, ready: 0, image: 'shop/web:v2', weight: 0 },
    finishedAt: at(0),
  });
}
