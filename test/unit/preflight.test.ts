import { describe, expect, it } from 'vitest';
import type {
  Deployment,
  LimitRange,
  PodSpec,
  ReplicaSet,
  ResourceQuota,
} from '../../src/domain/workload/objects.types.ts';
import { preflight } from '../../src/domain/preflight/preflight.ts';
import { ACCESS_RULES } from '../../src/domain/preflight/access.ts';
import { podAmount } from '../../src/domain/preflight/room.ts';
import type { PreflightFacts } from '../../src/domain/preflight/types.ts';
import { beginPatch, promotePatch } from '../../src/domain/workload/patch-forward.ts';
import { RECORD_ANNOTATION } from '../../src/domain/names.ts';
import { RECORD_LABEL } from '../../src/domain/workload/record.ts';
import type { Release, ReleaseBody } from '../../src/specs/release.types.ts';
import {
  ACTOR,
  deployment,
  NEW,
  OLD,
  patched,
  podOf,
  recording,
  replicaSet,
  UNDO,
} from './kubernetes.objects.ts';

const WEB = { id: 'release.shop.web', run: 'run-2' };

function release(spec: Partial<ReleaseBody> = {}): Release {
  return {
    apiVersion: 'slipway/v1',
    kind: 'Release',
    metadata: { namespace: 'shop', name: 'web' },
    spec: {
      ...(!spec.images && { image: NEW }),
      reason: 'x',
      strategy: { canary: { steps: [{ weight: 25 }] } },
      guards: { alerts: null, pods: null, deadline: '15m' },
      after: { guard: '0s' },
      ...spec,
    },
  };
}

/** The ReplicaSet of the template that the Deployment has now. */
function stableOf(object: Deployment): ReplicaSet {
  const stable = replicaSet(object, 'aaa', OLD, object.spec.replicas);
  return { ...stable, spec: { ...stable.spec, template: object.spec.template } };
}

function facts(
  object: Deployment | null = deployment(),
  overrides: Partial<PreflightFacts> = {},
): PreflightFacts {
  const stable = object && stableOf(object);
  return {
    namespace: 'shop',
    name: 'web',
    deployment: object,
    unreadable: null,
    neighbours: [],
    replicaSets: { items: stable ? [stable] : [] },
    pods: { items: stable ? [podOf(stable, 'old-0', '2026-01-01T00:00:00Z')] : [] },
    quotas: { items: [] },
    limitRanges: { items: [] },
    autoscalers: { items: [] },
    access: ACCESS_RULES.flatMap(({ group, resource, verbs }) =>
      verbs.map((verb) => ({ group, resource, verb, allowed: true })),
    ),
    ...overrides,
  };
}

const findings = (input: PreflightFacts, spec: Partial<ReleaseBody> = {}) =>
  preflight(input, release(spec), WEB).findings;
const checks = (input: PreflightFacts, spec: Partial<ReleaseBody> = {}) =>
  findings(input, spec).map(({ check, level }) => `${level} ${check}`);

describe('preflight of a healthy workload', () => {
  it('finds nothing and tells what the plan needs', () => {
    expect(preflight(facts(), release(), WEB)).toEqual({
      findings: [],
      facts: {
        uid: 'uid-web',
        replicas: 4,
        undo: UNDO,
        revision: 1,
        images: { app: NEW },
        autoscaler: null,
      },
    });
  });

  it('tells of an autoscaler', () => {
    const metadata = deployment().metadata;
    const autoscaler = {
      metadata,
      spec: { scaleTargetRef: { kind: 'Deployment', name: 'web' }, minReplicas: 2, maxReplicas: 9 },
    };
    const result = preflight(facts(deployment(), { autoscalers: { items: [autoscaler] } }), release(), WEB);
    expect(result.facts?.autoscaler).toEqual({ name: 'web', min: 2, max: 9 });
    expect(result.findings).toMatchObject([{ check: 'autoscaler', level: 'info' }]);
  });
});

describe('the target', () => {
  it('that is not there is named with its nearest neighbour', () => {
    const result = preflight(facts(null, { neighbours: ['webb', 'search'] }), release(), WEB);
    expect(result).toEqual({
      facts: null,
      findings: [
        {
          check: 'not-found',
          level: 'error',
          message: 'there is no Deployment web in namespace shop',
          fix: 'did you mean webb?',
        },
      ],
    });
  });

  it('that cannot be read is a finding', () => {
    expect(findings(facts(null, { unreadable: 'deployments.apps "web" is forbidden' }))).toMatchObject([
      { check: 'unreadable', level: 'error', message: expect.stringContaining('is forbidden') },
    ]);
  });

  it('of which something may not be listed says so once', () => {
    const access = facts().access.map((review) =>
      review.resource === 'resourcequotas' ? { ...review, allowed: false } : review,
    );
    const quotas = { unreadable: 'resourcequotas is forbidden' };
    expect(checks(facts(deployment(), { access, quotas }))).toEqual(['warning permission-missing']);
    expect(checks(facts(deployment(), { quotas }))).toEqual(['warning unreadable']);
  });

  it.each<[string, Partial<Deployment['spec']>]>([
    ['strategy-recreate', { strategy: { type: 'Recreate' } }],
    ['paused', { paused: true }],
    ['no-replicas', { replicas: 0 }],
    [
      'surge-impossible',
      { replicas: 1, strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 0, maxUnavailable: 1 } } },
    ],
  ])('cannot be released: %s', (check, spec) => {
    expect(checks(facts(deployment(spec)))).toEqual([`error ${check}`]);
  });

  it('with one replica may still be rolled without surge', () => {
    const spec = {
      replicas: 1,
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 0, maxUnavailable: 1 } },
    };
    expect(checks(facts(deployment(spec)), { strategy: { rolling: { pauseAt: [] } } })).toEqual([]);
  });

  it('without readiness probe or history is a warning', () => {
    const template = { spec: { containers: [{ name: 'app', image: OLD }] } };
    expect(checks(facts(deployment({ template, revisionHistoryLimit: 0 })))).toEqual([
      'warning readiness-probe-missing',
      'warning history-limit',
    ]);
  });

  it('in the middle of another rollout says how far that is', () => {
    const object = deployment();
    object.status = { observedGeneration: 2, replicas: 5, updatedReplicas: 1, availableReplicas: 4 };
    expect(findings(facts(object))).toMatchObject([
      { check: 'rollout-unfinished', message: expect.stringContaining('1 of 4 pods updated, 4 available') },
    ]);
  });

  it('that is unhealthy gives the container’s own reason', () => {
    const { deployment: object, replicaSets, pods } = recording('crash-loop');
    // As if the crashing revision had been rolled out by hand.
    object.metadata.annotations = {};
    object.spec = { ...object.spec, minReadySeconds: 0, progressDeadlineSeconds: 600, replicas: 1 };
    object.status = { observedGeneration: 9, replicas: 1, updatedReplicas: 1, availableReplicas: 0 };
    const input = facts(object, { replicaSets: { items: replicaSets }, pods: { items: pods } });
    const found = findings(input, { images: { 'product-service': NEW } });
    expect(found[0]).toMatchObject({
      check: 'unhealthy',
      message: expect.stringContaining('CrashLoopBackOff'),
    });
  });
});

describe('images', () => {
  const two = deployment({
    template: {
      metadata: { labels: { app: 'web' } },
      spec: {
        initContainers: [{ name: 'migrate', image: 'm:1' }],
        containers: [
          { name: 'app', image: OLD, readinessProbe: {} },
          { name: 'proxy', image: 'p:1' },
        ],
      },
    },
  });

  it('that run already are nothing to release', () => {
    expect(checks(facts(), { image: OLD })).toEqual(['error image-unchanged']);
  });

  it('for a container that does not exist suggest the nearest', () => {
    expect(findings(facts(two), { images: { prox: 'p:2' } })).toMatchObject([
      { check: 'container-unknown', fix: 'did you mean proxy?' },
    ]);
  });

  it('without a container’s name need one that they can only mean', () => {
    expect(checks(facts(two))).toEqual(['error container-ambiguous']);
    const named = deployment({
      template: {
        ...two.spec.template,
        spec: {
          containers: [
            { name: 'web', image: OLD, readinessProbe: {} },
            { name: 'proxy', image: 'p:1' },
          ],
        },
      },
    });
    expect(preflight(facts(named), release(), WEB).facts?.images).toEqual({ web: NEW });
  });

  it('of init containers can be released, and are saved for the way back', () => {
    const { facts: known } = preflight(facts(two), release({ images: { migrate: 'm:2', app: NEW } }), WEB);
    expect(known?.undo.images).toEqual({ migrate: 'm:1', app: OLD });
  });
});

describe('an earlier release', () => {
  const begin = (actor: { id: string; run: string }): Deployment => {
    const order = {
      actor,
      undo: UNDO,
      images: { app: NEW },
      hold: { maxSurge: 1, maxUnavailable: 0 },
      replicas: 4,
      rolling: null,
      changeCause: 'x',
    };
    const decision = beginPatch(deployment(), order, '2026-01-01T00:00:00Z');
    if (decision.do !== 'patch') throw new Error('not begun');
    return patched(deployment(), decision.patch);
  };

  it('that is unfinished is named, with the way out', () => {
    expect(findings(facts(begin(ACTOR)), { image: 'v2' })).toEqual([
      {
        check: 'record-unfinished',
        level: 'error',
        message: `shop/web carries the unfinished release ${ACTOR.id} (held since 2026-01-01T00:00:00Z)`,
        fix: 'if that release is over, run `slipway restore deployment shop/web`',
      },
    ]);
  });

  it('that is unfinished is one finding also for whoever launches the same image again', () => {
    expect(checks(facts(begin(ACTOR)), { image: NEW })).toEqual(['error record-unfinished']);
  });

  it('of the same name that ended while guarding does not stand in the way', () => {
    const object = begin({ ...WEB, run: 'run-1' });
    const order = { actor: { ...WEB, run: 'run-1' }, undo: UNDO, images: { app: NEW } };
    const decision = promotePatch(object, order);
    if (decision.do !== 'patch') throw new Error('not promoted');
    const after = { ...patched(object, decision.patch, false), status: deployment().status ?? {} };
    after.metadata.generation = 2;
    const items = [replicaSet(deployment(), 'bbb', NEW, 4)];
    expect(checks(facts(after, { replicaSets: { items } }), { image: 'v2' })).toEqual(['info record-left']);
  });

  it('whose record is gone while it is held needs a person', () => {
    const object = patched(begin(ACTOR), {
      metadata: { annotations: { [RECORD_ANNOTATION]: null }, labels: { [RECORD_LABEL]: null } },
    });
    expect(checks(facts(object), { image: 'v2' })).toEqual(['error held-without-record']);
  });

  it('that left a ghost is ignored', () => {
    const annotations = begin(ACTOR).metadata.annotations ?? {};
    expect(checks(facts(deployment({}, { annotations })))).toEqual(['info record-stale']);
  });
});

describe('permissions', () => {
  it('that are missing are named one by one, with the rule to add', () => {
    const access = facts().access.map((review) => ({
      ...review,
      allowed:
        !(review.resource === 'deployments' && ['patch', 'watch'].includes(review.verb)) &&
        review.resource !== 'limitranges',
    }));
    expect(findings(facts(deployment(), { access }))).toEqual([
      {
        check: 'permission-missing',
        level: 'error',
        message: 'the worker may not watch, patch deployments in namespace shop',
        fix: 'add to its Role in shop: { apiGroups: ["apps"], resources: ["deployments"], verbs: ["watch","patch"] }',
      },
      {
        check: 'permission-missing',
        level: 'warning',
        message: 'the worker may not list limitranges in namespace shop',
        fix: 'add to its Role in shop: { apiGroups: [""], resources: ["limitranges"], verbs: ["list"] }',
      },
    ]);
  });

  it('that the API server does not tell are a warning', () => {
    const access = facts().access.map((review) => ({ ...review, allowed: null }));
    expect(checks(facts(deployment(), { access }))).toEqual(['warning permission-unknown']);
  });

  it('to read pods are not optional, those to read quotas are', () => {
    const unreadable = { unreadable: 'forbidden' };
    expect(checks(facts(deployment(), { pods: unreadable, quotas: unreadable }))).toEqual([
      'error unreadable',
      'warning unreadable',
    ]);
  });
});

describe('room', () => {
  const spec: PodSpec = {
    containers: [
      { name: 'app', resources: { requests: { cpu: '250m', memory: '64Mi' }, limits: { memory: '128Mi' } } },
      { name: 'proxy', resources: { requests: { cpu: '50m' }, limits: { memory: '32Mi' } } },
    ],
  };
  const quota = (
    hard: Record<string, string>,
    used: Record<string, string> = {},
    more: object = {},
  ): ResourceQuota => ({
    metadata: { ...deployment().metadata, name: 'team' },
    spec: { hard, ...more },
    status: { hard, used },
  });
  const withQuota = (...quotas: ResourceQuota[]) => {
    const object = deployment();
    const stable = replicaSet(object, 'aaa', OLD, 4);
    const pod = { ...podOf(stable, 'old-0', '2026-01-01T00:00:00Z'), spec };
    return facts(object, { pods: { items: [pod] }, quotas: { items: quotas } });
  };

  it.each<[Record<string, string>, Record<string, string>]>([
    [{ pods: '4' }, { pods: '4' }],
    [{ 'count/pods': '4' }, { 'count/pods': '4' }],
    [{ 'requests.cpu': '1' }, { 'requests.cpu': '750m' }],
    [{ cpu: '1' }, { cpu: '750m' }],
    [{ 'requests.memory': '400Mi' }, { 'requests.memory': '320Mi' }],
    [{ 'limits.memory': '1Gi' }, { 'limits.memory': '880Mi' }],
  ])('is too small in a quota of %j with %j used', (hard, used) => {
    expect(checks(withQuota(quota(hard, used)))).toEqual(['error surge-exceeds-quota']);
  });

  it('says how much is missing', () => {
    expect(
      findings(withQuota(quota({ 'limits.memory': '1Gi' }, { 'limits.memory': '880Mi' }))),
    ).toMatchObject([
      {
        message: '1 more pod needs 160Mi of limits.memory, ResourceQuota team has 144Mi left of 1Gi',
        fix: 'raise the quota by 16Mi, or lower maxSurge',
      },
    ]);
  });

  it.each<[Record<string, string>, Record<string, string>]>([
    [{ pods: '5' }, { pods: '4' }],
    [{ 'requests.cpu': '1' }, { 'requests.cpu': '700m' }],
    [{ 'limits.memory': '1040Mi' }, { 'limits.memory': '880Mi' }],
    [{ 'requests.nvidia.com/gpu': '0' }, {}],
    [{ services: '0' }, {}],
  ])('is enough in a quota of %j with %j used', (hard, used) => {
    expect(checks(withQuota(quota(hard, used)))).toEqual([]);
  });

  it('is not asked where a quota does not apply, and doubtful where that is decided later', () => {
    const full: [Record<string, string>, Record<string, string>] = [{ pods: '4' }, { pods: '4' }];
    expect(
      checks(
        withQuota(quota(...full, { scopes: ['Terminating'] }), quota(...full, { scopes: ['BestEffort'] })),
      ),
    ).toEqual([]);
    expect(checks(withQuota(quota(...full, { scopes: ['NotTerminating', 'NotBestEffort'] })))).toEqual([
      'error surge-exceeds-quota',
    ]);
    expect(checks(withQuota(quota(...full, { scopes: ['PriorityClass'] })))).toEqual([
      'warning surge-exceeds-quota',
    ]);
  });

  it('counts nothing for a container that must say how much it wants and does not', () => {
    expect(checks(withQuota(quota({ 'limits.cpu': '10' })))).toEqual(['error quota-needs-resources']);
  });

  it('is counted as the scheduler does: sidecars beside all, init containers one by one', () => {
    const cpu = (amount: string, more: object = {}) => ({
      name: amount,
      resources: { requests: { cpu: amount } },
      ...more,
    });
    const pod: PodSpec = {
      initContainers: [cpu('2'), cpu('100m', { restartPolicy: 'Always' }), cpu('1900m')],
      containers: [cpu('500m'), cpu('500m')],
      overhead: { cpu: '10m' },
    };
    expect(podAmount(pod, 'requests', 'cpu')).toBe(2_010n);
    pod.containers.push(cpu('1500m'));
    expect(podAmount(pod, 'requests', 'cpu')).toBe(2_610n);
  });

  it('is refused by a LimitRange that was made stricter since', () => {
    const range = (limits: LimitRange['spec']['limits']): LimitRange => ({
      metadata: { ...deployment().metadata, name: 'lim' },
      spec: { limits },
    });
    const check = (limits: LimitRange['spec']['limits']) =>
      checks({ ...withQuota(), limitRanges: { items: [range(limits)] } });
    expect(check([{ type: 'Container', max: { memory: '100Mi' } }])).toEqual(['error limit-range']);
    expect(check([{ type: 'Container', min: { cpu: '100m' } }])).toEqual(['error limit-range']);
    expect(check([{ type: 'Pod', max: { memory: '150Mi' } }])).toEqual(['error limit-range']);
    expect(
      check([
        { type: 'Container', max: { memory: '128Mi' }, min: { cpu: '50m' } },
        { type: 'Pod', max: { memory: '160Mi' } },
      ]),
    ).toEqual([]);
  });
});
