/** Everything that is checked before anything is touched, as one pure function of what was read. */
import { nearest } from '../../specs/errors.ts';
import type { Release } from '../../specs/release.types.ts';
import { limitsOf } from '../workload/canary.ts';
import type { Deployment, Pod, PodSpec, ReplicaSet } from '../workload/objects.types.ts';
import { currentOf, podsOf } from '../workload/observe.ts';
import { controllerOf } from '../workload/owner.ts';
import { strategyOf as strategyOfRelease } from '../release/plan.ts';
import { accessFindings } from './access.ts';
import { chooseImages } from './images.ts';
import { limitRangeFindings, quotaFindings } from './room.ts';
import type { PreflightFacts, Readable } from './types.ts';
import { workloadFindings } from './workload.ts';
import { strategyOf } from '../workload/record.ts';
import { hashOf, imagesOf, revisionOf } from '../workload/template.ts';
import type { Finding, Preflight, WorkloadFacts } from '../workload/types.ts';

/** Judges what was read. Facts are given when the workload could be planned for, even when findings forbid to act. */
export function preflight(facts: PreflightFacts, release: Release, actor: { id: string }): Preflight {
  const { deployment } = facts;
  if (!deployment) return { findings: [...accessFindings(facts), ...absent(facts)], facts: null };
  const { uid } = deployment.metadata;
  const replicaSets = itemsOf(facts.replicaSets).filter((replicaSet) => controllerOf(replicaSet) === uid);
  const pods = itemsOf(facts.pods);
  const current = currentOf(deployment, replicaSets);
  const choice = chooseImages(release.spec, deployment.spec.template, deployment.metadata.name);
  const autoscaler = autoscalerOf(facts, deployment);
  const state = workloadFindings(deployment, current, pods, release, actor);
  // What an unfinished release left is no image to compare with: "unchanged" would only echo it.
  const left = state.some(({ check }) => check === 'record-unfinished' || check === 'held-without-record');
  const findings = [
    ...accessFindings(facts),
    ...unreadable(facts),
    ...state,
    ...choice.findings.filter(({ check }) => !(left && check === 'image-unchanged')),
    ...roomFindings(facts, deployment, release, podSpec(deployment, current, pods)),
    ...(autoscaler ? [scaled(autoscaler)] : []),
  ];
  const rolling = deployment.spec.strategy.type === 'RollingUpdate';
  const known =
    choice.images && current && rolling ? factsOf(deployment, current, choice.images, autoscaler) : null;
  return { findings, facts: known };
}

function factsOf(
  deployment: Deployment,
  current: ReplicaSet,
  images: Record<string, string>,
  autoscaler: WorkloadFacts['autoscaler'],
): WorkloadFacts | null {
  const stableHash = hashOf(current);
  if (stableHash === null) return null;
  const { metadata, spec } = deployment;
  return {
    uid: metadata.uid,
    replicas: spec.replicas,
    undo: {
      images: imagesOf(spec.template, Object.keys(images)),
      strategy: strategyOf(deployment),
      minReadySeconds: spec.minReadySeconds ?? 0,
      progressDeadlineSeconds: spec.progressDeadlineSeconds ?? 600,
      stableHash,
    },
    revision: revisionOf(deployment),
    images,
    autoscaler,
  };
}

function absent({ namespace, name, neighbours, unreadable: why }: PreflightFacts): Finding[] {
  if (why !== null) {
    return [
      {
        check: 'unreadable',
        level: 'error',
        message: `Deployment ${namespace}/${name} cannot be read: ${why}`,
      },
    ];
  }
  const near = nearest(name, neighbours);
  const message = `there is no Deployment ${name} in namespace ${namespace}`;
  const some = neighbours.slice(0, 10).join(', ');
  const fix = near
    ? `did you mean ${near}?`
    : some
      ? `there are ${some}`
      : 'the namespace has no Deployments; is it the right one?';
  return [{ check: 'not-found', level: 'error', message, fix }];
}

/** What could not be read is not known to be well; a missing permission has its own finding already. */
function unreadable(facts: PreflightFacts): Finding[] {
  const { replicaSets, pods, quotas, limitRanges, autoscalers } = facts;
  const kinds = {
    ReplicaSets: { list: replicaSets, resource: 'replicasets' },
    pods: { list: pods, resource: 'pods' },
    ResourceQuotas: { list: quotas, resource: 'resourcequotas' },
    LimitRanges: { list: limitRanges, resource: 'limitranges' },
    autoscalers: { list: autoscalers, resource: 'horizontalpodautoscalers' },
  };
  const denied = (resource: string) =>
    facts.access.some(
      (review) => review.allowed === false && review.verb === 'list' && review.resource === resource,
    );
  return Object.entries(kinds).flatMap(([kind, { list, resource }]): Finding[] =>
    'unreadable' in list && !denied(resource)
      ? [
          {
            check: 'unreadable',
            level: kind === 'ReplicaSets' || kind === 'pods' ? 'error' : 'warning',
            message: `${kind} cannot be read: ${list.unreadable}`,
          },
        ]
      : [],
  );
}

function roomFindings(
  facts: PreflightFacts,
  deployment: Deployment,
  release: Release,
  spec: PodSpec,
): Finding[] {
  const { replicas, strategy } = deployment.spec;
  if (strategy.type !== 'RollingUpdate') return [];
  const { surge } = limitsOf(strategyOfRelease(release, strategyOf(deployment)), replicas);
  return [
    ...quotaFindings(itemsOf(facts.quotas), spec, surge),
    ...limitRangeFindings(itemsOf(facts.limitRanges), spec),
  ];
}

/** A running pod shows what admission makes of the template: defaults of limit ranges, sidecars of webhooks. */
function podSpec(deployment: Deployment, current: ReplicaSet | null, pods: Pod[]): PodSpec {
  const own = current ? podsOf(current, pods) : [];
  const newest = own.toSorted((a, b) =>
    a.metadata.creationTimestamp < b.metadata.creationTimestamp ? 1 : -1,
  )[0];
  return newest?.spec ?? deployment.spec.template.spec;
}

function autoscalerOf(facts: PreflightFacts, { metadata }: Deployment): WorkloadFacts['autoscaler'] {
  const owner = itemsOf(facts.autoscalers).find(
    ({ spec }) => spec.scaleTargetRef.kind === 'Deployment' && spec.scaleTargetRef.name === metadata.name,
  );
  return owner
    ? { name: owner.metadata.name, min: owner.spec.minReplicas ?? 1, max: owner.spec.maxReplicas }
    : null;
}

function scaled({ name, min, max }: NonNullable<WorkloadFacts['autoscaler']>): Finding {
  const message = `HorizontalPodAutoscaler ${name} keeps between ${min} and ${max} replicas; the plan is made anew when it scales`;
  return { check: 'autoscaler', level: 'info', message };
}

function itemsOf<T>(list: Readable<T>): T[] {
  return 'items' in list ? list.items : [];
}
