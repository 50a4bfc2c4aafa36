/** Whether the Deployment itself can be released now. */
import type { Release } from '../../specs/release.types.ts';
import { limitsOf } from '../workload/canary.ts';
import { healthOf } from '../workload/health.ts';
import type { Deployment, Pod, ReplicaSet } from '../workload/objects.types.ts';
import { isComplete, isObserved, podsOf } from '../workload/observe.ts';
import { isHeld, recordState, strategyOf } from '../workload/record.ts';
import type { Finding } from '../workload/types.ts';

/** Findings that make a release of this Deployment impossible or pointless. */
export function workloadFindings(
  deployment: Deployment,
  current: ReplicaSet | null,
  pods: Pod[],
  release: Release,
  actor: { id: string },
): Finding[] {
  const { metadata, spec } = deployment;
  const what = `${metadata.namespace}/${metadata.name}`;
  const strategy = strategyFindings(deployment, release);
  // Who is held by an unfinished release is of course in the middle of a rollout: one cause, one finding.
  const record = recordFindings(deployment, actor, what);
  const state = record.some(({ level }) => level === 'error')
    ? []
    : stateFindings(deployment, current, pods, what);
  const findings = [...strategy, ...record, ...state];
  if (spec.template.spec.containers.every(({ readinessProbe }) => !readinessProbe)) {
    findings.push({
      check: 'readiness-probe-missing',
      level: 'warning',
      message:
        'no container has a readiness probe: a new pod takes traffic as soon as it starts, and a canary proves little',
      fix: 'add a readinessProbe that fails while the service cannot serve',
    });
  }
  if (spec.revisionHistoryLimit === 0) {
    findings.push({
      check: 'history-limit',
      level: 'warning',
      message:
        'revisionHistoryLimit is 0: after promotion the old ReplicaSet is deleted, and `kubectl rollout undo` has nothing to go to',
      fix: 'set spec.revisionHistoryLimit to 2 or more',
    });
  }
  return findings;
}

function strategyFindings({ spec }: Deployment, release: Release): Finding[] {
  if (spec.strategy.type !== 'RollingUpdate') {
    return [
      {
        check: 'strategy-recreate',
        level: 'error',
        message: `the Deployment has strategy ${spec.strategy.type}, which stops every old pod before it starts a new one`,
        fix: 'set spec.strategy.type to RollingUpdate',
      },
    ];
  }
  const own = strategyOf({ spec } as Deployment);
  const { surge } = limitsOf(own, spec.replicas);
  if ('canary' in release.spec.strategy && spec.replicas === 1 && surge === 0) {
    return [
      {
        check: 'surge-impossible',
        level: 'error',
        message: `with one replica and maxSurge ${own.maxSurge} a canary would take the place of the only pod`,
        fix: 'set spec.strategy.rollingUpdate.maxSurge to 1, or run two replicas',
      },
    ];
  }
  return [];
}

function recordFindings(deployment: Deployment, actor: { id: string }, what: string): Finding[] {
  const found = recordState(deployment);
  const restore = `run \`slipway restore deployment ${what}\``;
  if (found.state === 'live') {
    const { id, phase, at } = found.record;
    // Only the release that holds the id runs; what an ended run left in phase guarding is complete and harmless.
    if (phase === 'guarding' && id === actor.id) {
      const message = `an earlier run of ${id} ended without taking its record away; it is written over`;
      return [{ check: 'record-left', level: 'info', message }];
    }
    const message = `${what} carries the unfinished release ${id} (${phase} since ${at})`;
    return [
      { check: 'record-unfinished', level: 'error', message, fix: `if that release is over, ${restore}` },
    ];
  }
  if (isHeld(deployment)) {
    return [
      {
        check: 'held-without-record',
        level: 'error',
        message: `${what} is held by a release whose record is gone, so nobody knows what to put back`,
        fix: 'undo by hand: kubectl rollout undo, then set minReadySeconds, progressDeadlineSeconds and strategy to your own',
      },
    ];
  }
  if (found.state === 'stale') {
    const message = `an old release record on ${what} is ignored: ${found.why}`;
    return [{ check: 'record-stale', level: 'info', message }];
  }
  return [];
}

function stateFindings(
  deployment: Deployment,
  current: ReplicaSet | null,
  pods: Pod[],
  what: string,
): Finding[] {
  const { spec, status = {} } = deployment;
  if (spec.paused) {
    return [
      {
        check: 'paused',
        level: 'error',
        message: `the rollout of ${what} is paused`,
        fix: `kubectl rollout resume deployment/${deployment.metadata.name} -n ${deployment.metadata.namespace}`,
      },
    ];
  }
  if (spec.replicas === 0) {
    const message = `${what} has 0 replicas: there is nothing to compare a canary with`;
    return [{ check: 'no-replicas', level: 'error', message, fix: 'scale it up first' }];
  }
  if (!isObserved(deployment) || !current) {
    const message = `the Deployment controller has not taken up the latest change of ${what}`;
    return [
      {
        check: 'rollout-unfinished',
        level: 'error',
        message,
        fix: 'wait, or see whether kube-controller-manager runs',
      },
    ];
  }
  if (isComplete(deployment) && (status.readyReplicas ?? 0) >= spec.replicas) return [];
  const { replicas = 0, updatedReplicas = 0, availableReplicas = 0 } = status;
  const why = unhealthy(current, pods);
  const rolling = updatedReplicas < spec.replicas || replicas > updatedReplicas;
  return [
    {
      check: rolling ? 'rollout-unfinished' : 'unhealthy',
      level: 'error',
      message: `${rolling ? 'another rollout is under way' : `${what} is not healthy`}: ${updatedReplicas} of ${spec.replicas} pods updated, ${availableReplicas} available${why}`,
      fix: rolling
        ? 'wait until it is complete, or undo it'
        : 'make it healthy first: a canary is compared with what runs',
    },
  ];
}

function unhealthy(current: ReplicaSet, pods: Pod[]): string {
  const guard = { readyWithin: '0s', restarts: Number.MAX_SAFE_INTEGER };
  const { problems } = healthOf(current, podsOf(current, pods), guard, Number.MAX_SAFE_INTEGER);
  const first = problems[0];
  return first ? `; ${first.pod}: ${first.reason}: ${first.message}` : '';
}
