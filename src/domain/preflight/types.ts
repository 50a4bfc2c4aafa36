/** What preflight reads. A collection that could not be read is a fact too. */
import type {
  Deployment,
  HorizontalPodAutoscaler,
  LimitRange,
  Pod,
  ReplicaSet,
  ResourceQuota,
} from '../workload/objects.types.ts';

/** Items, or the API server's sentence why there are none to see. */
export type Readable<T> = { items: T[] } | { unreadable: string };

/** The answer to one SelfSubjectAccessReview. */
export interface AccessReview {
  verb: string;
  /** API group, `''` for the core group. */
  group: string;
  resource: string;
  /** `null` when the API server would not say. */
  allowed: boolean | null;
}

/** Everything that the checks judge, read once. */
export interface PreflightFacts {
  namespace: string;
  name: string;
  /** `null` when there is none of that name. */
  deployment: Deployment | null;
  /** Why the Deployment could not be read. */
  unreadable: string | null;
  /** Names of the Deployments of the namespace; only read when the one named was not found. */
  neighbours: string[];
  replicaSets: Readable<ReplicaSet>;
  pods: Readable<Pod>;
  quotas: Readable<ResourceQuota>;
  limitRanges: Readable<LimitRange>;
  autoscalers: Readable<HorizontalPodAutoscaler>;
  access: AccessReview[];
}
