import { describe, expect, test } from 'vitest';
import { type Command, refusal } from '../../src/domain/release/commands.ts';
import type { PersonCommand } from '../../src/domain/release/types.ts';
import type { Observation, WorkloadFacts } from '../../src/domain/workload/types.ts';
import { unseen } from '../../src/domain/workload/observe.ts';
import { ReleaseRun } from '../../src/domain/release/run.ts';
import { statusOf } from '../../src/domain/release/status.ts';
import type { Release } from '../../src/specs/release.types.ts';

const facts: WorkloadFacts = {
  uid: 'u',
  replicas: 10,
  revision: 1,
  images: { app: 'shop/app:v2' },
  autoscaler: null,
  undo: {
    images: { app: 'shop/app:v1' },
    strategy: { maxSurge: 1, maxUnavailable: 0 },
    minReadySeconds: 0,
    progressDeadlineSeconds: 600,
    stableHash: 'old',
  },
};

function seen(canary: number, stable: number): Observation {
  return {
    digest: `${canary}/${stable}`,
    at: '2026-01-01T00:00:00Z',
    replicas: 10,
    canary: { hash: 'new', pods: canary, ready: 2 },
    stable: { hash: 'old', pods: stable, ready: stable },
    others: 0,
    complete: false,
    hold: { surge: 0, unavailable: 5 },
    record: 'ours',
    problems: [],
    drift: [],
    missing: false,
  };
}

function underWay(
  guards: Release['spec']['guards'] = { alerts: null, pods: null, deadline: '15m' },
): ReleaseRun {
  const release = {
    apiVersion: 'slipway/v1' as const,
    kind: 'Release' as const,
    metadata: { namespace: 'shop', name: 'app' },
    spec: {
      image: 'shop/app:v2',
      reason: 'cheaper search',
      strategy: { canary: { steps: [{ weight: 50 }] } },
      guards,
      after: { guard: '0s' },
    },
  };
  const run = new ReleaseRun({ release, starter: 'ci', key: null, dryRun: false }, 'id', 'run', 0);
  run.planned(facts);
  run.begin(0);
  run.enter(0, 0);
  return run;
}

test('no move is decided in the middle of a scaling, when one ReplicaSet has its new size and the other not yet', () => {
  const run = underWay();
  run.observed(seen(5, 2), 1);
  expect(run.workload.nextMove()).toBeNull();
  run.observed(seen(5, 5), 2);
  expect(run.workload.nextMove()).toEqual({ kind: 'wait', ready: 5 });
});

test('a record that the release takes off itself is no drift: neither acted upon nor shown', () => {
  const field = 'metadata.annotations[slipway.dev/release]';
  const drift = [{ id: 'd', field, found: 'nothing', expected: 'the record', manager: 'slipway' }];
  const run = underWay();
  run.workload.leaving = true;
  run.observed({ ...seen(5, 5), drift }, 1);
  expect(statusOf(run, 1)).toMatchObject({ drift: [], paused: null });
});

test('a change by another hand that breaks the pods rolls back, and is not paused on the way', () => {
  const run = underWay({ alerts: null, pods: { readyWithin: '10m', restarts: 0 }, deadline: '15m' });
  const drift = [{ id: 'd', field: 'image', manager: 'kubectl-set', found: 'v3', expected: 'v2' }];
  run.observed({ ...seen(2, 5), drift }, 1);
  expect(run.phase).toBe('paused');
  const problems = [{ pod: 'app-1', container: 'app', reason: 'CrashLoopBackOff', message: 'exit code 1' }];
  run.observed({ ...seen(2, 5), drift, problems }, 2);
  expect(statusOf(run, 2)).toMatchObject({ phase: 'rolling-back', paused: null });
  expect(run.stop?.outcome).toBe('rolled-back');
});

test('what cannot be seen bakes no further and never counts as settled or launched; the deadline runs on', () => {
  const run = underWay();
  run.observed({ ...seen(5, 5), canary: { hash: 'new', pods: 5, ready: 5 } }, 1_000);
  expect(run.workload.settled).toBe(true);
  run.startBake(10_000, 1_000);
  run.observed(unseen(3_000, 'the API server does not answer'), 3_000);
  expect(run.clocks.stepRemaining(60_000)).toBe(Number.POSITIVE_INFINITY);
  expect(run.clocks.deadlineRemaining(60_000)).toBe(15 * 60_000 - 60_000);
  expect(run.workload).toMatchObject({ settled: false, launched: false, restored: false });
  expect(run).toMatchObject({ paused: false, stop: null });
  expect(run.workload.nextMove()).toBeNull();
  expect(statusOf(run, 3_000)).toMatchObject({ phase: 'baking', canary: { pods: 5 } });
  expect(run.timeline.at(-1)?.text).toBe('nothing moves, since the API server does not answer');
  run.observed({ ...seen(5, 5), canary: { hash: 'new', pods: 5, ready: 5 } }, 60_000);
  expect(run.clocks.stepRemaining(60_000)).toBe(8_000);
  expect(run.workload.settled).toBe(true);
});

test('a gate waits for people, who need no eyes of ours: its clock runs on while nothing can be seen', () => {
  const run = underWay();
  run.openGate({ name: 'half', approvals: 1, expires: '1m', fourEyes: false }, 0);
  run.observed(unseen(0, 'silence'), 0);
  expect(run.clocks.stepRemaining(20_000)).toBe(40_000);
});

test('the alert that hauled the release back stays as the evidence when it resolves, and fires only once', () => {
  const run = underWay({ alerts: { match: { severity: ['warning'] } }, pods: null, deadline: '15m' });
  const notice = {
    fingerprint: 'f',
    status: 'firing' as const,
    labels: { alertname: 'HighErrorRate', severity: 'warning' },
    annotations: {},
    startsAt: '2026-01-01T00:00:00Z',
  };
  run.alerted(notice, 1);
  run.alerted(notice, 2);
  run.alerted({ ...notice, status: 'resolved' }, 3);
  expect(statusOf(run, 3)).toMatchObject({ alerts: [notice], reason: 'alert HighErrorRate (warning) fired' });
});

describe('a command that is not filled in', () => {
  const told = (command: Command, sent: unknown) => refusal(underWay(), command, sent as PersonCommand, 1);

  test.each<[Command, unknown, string]>([
    ['abort', 'text', 'abort needs an object; send {"by":"your name","why":"your reason"}'],
    ['abort', {}, '"by" is missing; send {"by":"your name","why":"your reason"}'],
    ['resume', { by: ' ' }, '"by" is empty; send {"by":"your name"}'],
    [
      'promote',
      { by: 'ann', why: 7 },
      '"why" must be text, not 7; send {"by":"your name","why":"your reason"}',
    ],
    ['abort', { by: 'YOUR NAME', why: 'x' }, '"by" still says YOUR NAME; put your own there'],
    ['abort', { by: 'ann', why: 'YOUR REASON' }, '"why" still says YOUR REASON; put your own there'],
    ['abort', { by: 'ann', why: '...' }, '"why" still says ...; put your own there'],
  ])('%s of %j is refused with what to send', (command, sent, sentence) => {
    expect(told(command, sent)).toContain(sentence);
  });

  test('and what is filled in is taken', () => {
    expect(told('abort', { by: 'ann', why: 'she said so' })).toBeNull();
  });
});
