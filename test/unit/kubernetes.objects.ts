/** Objects for tests: what a real API server sent (recorded), and the smallest ones made by hand. */
import { readFileSync } from 'node:fs';
import type {
  Deployment,
  Pod,
  ReplicaSet,
  WorkloadObjects,
} from '../../src/domain/workload/objects.types.ts';
import type { Outlook } from '../../src/domain/workload/observe.ts';
import type { Undo, WorkloadFacts } from '../../src/domain/workload/types.ts';

export interface Recording extends WorkloadObjects {
  /** When it was recorded. */
  at: string;
  facts: WorkloadFacts;
}

/** A fresh copy of a recording in test/fixtures/kubernetes: a release held at one canary pod on a real node. */
export function recording(
  name: 'canary-ready' | 'crash-loop' | 'image-never-pull' | 'never-ready' | 'quota',
): Recording {
  const url = new URL(`../fixtures/kubernetes/${name}.json`, import.meta.url);
  return JSON.parse(readFileSync(url, 'utf8')) as Recording;
}

/** Who released in the recordings. */
export const ACTOR = { id: 'release.ecommerce.product-service', run: 'run-1' };

export const OLD = 'ecommerce/product-service:v1.0.0';
export const NEW = 'ecommerce/product-service:v1.1.0';

export const UNDO: Undo = {
  images: { app: OLD },
  strategy: { maxSurge: '25%', maxUnavailable: '25%' },
  minReadySeconds: 0,
  progressDeadlineSeconds: 600,
  stableHash: 'aaa',
};

export function outlook(overrides: Partial<Outlook> = {}): Outlook {
  return {
    actor: ACTOR,
    uid: 'uid-web',
    undo: UNDO,
    images: { app: NEW },
    rolling: null,
    health: { readyWithin: '60s', restarts: 0 },
    settle: 4,
    expect: 'held',
    accepted: [],
    ...overrides,
  };
}

/** A healthy Deployment `web` with one container `app`. */
export function deployment(
  spec: Partial<Deployment['spec']> = {},
  metadata: Partial<Deployment['metadata']> = {},
): Deployment {
  const replicas = spec.replicas ?? 4;
  return {
    metadata: {
      name: 'web',
      namespace: 'shop',
      uid: 'uid-web',
      resourceVersion: '10',
      generation: 2,
      creationTimestamp: '2026-01-01T00:00:00Z',
      annotations: { 'deployment.kubernetes.io/revision': '1' },
      ...metadata,
    },
    spec: {
      replicas,
      selector: { matchLabels: { app: 'web' } },
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: '25%', maxUnavailable: '25%' } },
      progressDeadlineSeconds: 600,
      template: {
        metadata: { labels: { app: 'web' } },
        spec: { containers: [{ name: 'app', image: OLD, readinessProbe: {} }] },
      },
      ...spec,
    },
    status: {
      observedGeneration: 2,
      replicas,
      updatedReplicas: replicas,
      readyReplicas: replicas,
      availableReplicas: replicas,
    },
  };
}

/** A ReplicaSet of `web` with the Deployment's template, but this image. */
export function replicaSet(
  owner: Deployment,
  hash: string,
  image: string,
  replicas: number,
  revision = 1,
): ReplicaSet {
  const { template } = owner.spec;
  return {
    metadata: {
      name: `web-${hash}`,
      namespace: 'shop',
      uid: `uid-${hash}`,
      resourceVersion: '11',
      creationTimestamp: '2026-01-01T00:00:00Z',
      labels: { app: 'web', 'pod-template-hash': hash },
      annotations: { 'deployment.kubernetes.io/revision': String(revision) },
      ownerReferences: [{ kind: 'Deployment', name: 'web', uid: owner.metadata.uid, controller: true }],
    },
    spec: {
      replicas,
      template: {
        metadata: { labels: { app: 'web', 'pod-template-hash': hash } },
        spec: {
          ...template.spec,
          containers: template.spec.containers.map((container) => ({ ...container, image })),
        },
      },
    },
    status: { replicas },
  };
}

/** A pod of a ReplicaSet that has been Ready since `ready` (ISO time), or is not. */
export function podOf(
  owner: ReplicaSet,
  name: string,
  ready: string | null,
  overrides: Partial<Pod> = {},
): Pod {
  return {
    metadata: {
      name,
      namespace: 'shop',
      uid: `uid-${name}`,
      resourceVersion: '12',
      creationTimestamp: '2026-01-01T00:00:00Z',
      ownerReferences: [
        { kind: 'ReplicaSet', name: owner.metadata.name, uid: owner.metadata.uid, controller: true },
      ],
      ...overrides.metadata,
    },
    spec: owner.spec.template.spec,
    status: {
      phase: 'Running',
      conditions: [
        { type: 'PodScheduled', status: 'True', lastTransitionTime: '2026-01-01T00:00:01Z' },
        {
          type: 'Ready',
          status: ready ? 'True' : 'False',
          lastTransitionTime: ready ?? '2026-01-01T00:00:02Z',
        },
      ],
      ...overrides.status,
    },
  };
}

/** Applies a strategic merge patch of the kind that Slipway writes, as the API server would. */
export function patched(object: Deployment, patch: object, changesSpec = true): Deployment {
  const next = merge(object, patch) as Deployment;
  next.metadata.resourceVersion = String(Number(object.metadata.resourceVersion) + 1);
  if (changesSpec && 'spec' in patch) next.metadata.generation = (object.metadata.generation ?? 0) + 1;
  return next;
}

function merge(target: unknown, patch: unknown): unknown {
  if (Array.isArray(patch) && Array.isArray(target)) {
    const changes = new Map((patch as { name: string }[]).map((item) => [item.name, item]));
    const kept = (target as { name: string }[]).map((item) => merge(item, changes.get(item.name) ?? {}));
    const known = new Set((target as { name: string }[]).map(({ name }) => name));
    return [...kept, ...[...changes.values()].filter(({ name }) => !known.has(name))];
  }
  if (typeof patch !== 'object' || patch === null) return patch;
  const result: Record<string, unknown> = { ...(target as object | undefined) };
  for (const [key, value] of Object.entries(patch)) {
    if (value === null || (key === 'minReadySeconds' && value === 0)) delete result[key];
    else result[key] = merge(result[key], value);
  }
  return result;
}
