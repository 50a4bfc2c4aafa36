/** The permissions that a release uses, and what is said when one is missing. deploy/ grants exactly these. */
import { READER_NAMES } from '../backup-job/reader.ts';
import type { AccessReview, PreflightFacts } from './types.ts';
import type { Finding } from '../workload/types.ts';

/** Verbs on one resource, as a rule of a Role has them. */
export interface AccessRule {
  group: string;
  resource: string;
  verbs: string[];
  /** Objects of these names only; absent: all. */
  names?: readonly string[];
  /** Without it a release cannot run; the others only let preflight see more. */
  required: boolean;
}

/** What a release needs in the namespace of its workload. */
export const ACCESS_RULES: AccessRule[] = [
  { group: 'apps', resource: 'deployments', verbs: ['get', 'list', 'watch', 'patch'], required: true },
  { group: 'apps', resource: 'replicasets', verbs: ['get', 'list', 'watch'], required: true },
  { group: '', resource: 'pods', verbs: ['list', 'watch'], required: true },
  { group: '', resource: 'resourcequotas', verbs: ['list'], required: false },
  { group: '', resource: 'limitranges', verbs: ['list'], required: false },
  { group: 'autoscaling', resource: 'horizontalpodautoscalers', verbs: ['list'], required: false },
];

/** What a backup by a Job uses in the Job's namespace, besides nothing: no Secret is read. deploy/ grants exactly these. */
export const JOB_ACCESS_RULES: AccessRule[] = [
  { group: 'batch', resource: 'jobs', verbs: ['create', 'get', 'list', 'watch', 'delete'], required: true },
  { group: '', resource: 'pods', verbs: ['list', 'watch'], required: true },
  { group: '', resource: 'pods/log', verbs: ['get'], required: true },
  { group: '', resource: 'persistentvolumeclaims', verbs: ['get'], required: true },
];

/**
 * What a restore from a claim uses beside that: a pod that reads it, whose bytes come out by exec. Names keep the worker
 * out of all other pods; a name cannot be asked for when an object is made.
 */
export const READER_ACCESS_RULES: AccessRule[] = [
  { group: '', resource: 'pods', verbs: ['create'], required: true },
  { group: '', resource: 'pods', verbs: ['get', 'delete'], names: READER_NAMES, required: true },
  { group: '', resource: 'pods/exec', verbs: ['create', 'get'], names: READER_NAMES, required: true },
];

/** One finding for each resource with missing verbs, and one when the API server would not say. */
export function accessFindings(
  { access, namespace }: Pick<PreflightFacts, 'access' | 'namespace'>,
  rules: readonly AccessRule[] = ACCESS_RULES,
): Finding[] {
  const findings = rules.flatMap(({ group, resource, verbs, names, required }): Finding[] => {
    const missing = verbs.filter((verb) =>
      access.some((review) => denies(review, { group, resource, verb })),
    );
    if (missing.length === 0) return [];
    const named = names ? ` resourceNames: ${JSON.stringify(names)},` : '';
    const rule = `{ apiGroups: ["${group}"], resources: ["${resource}"],${named} verbs: ${JSON.stringify(missing)} }`;
    return [
      {
        check: 'permission-missing',
        level: required ? 'error' : 'warning',
        message: `the worker may not ${missing.join(', ')} ${resource} in namespace ${namespace}`,
        fix: `add to its Role in ${namespace}: ${rule}`,
      },
    ];
  });
  if (access.length === 0 || access.some(({ allowed }) => allowed === null)) {
    findings.push({
      check: 'permission-unknown',
      level: 'warning',
      message: 'the API server did not say which permissions the worker has',
      fix: 'allow the worker to create selfsubjectaccessreviews (ClusterRole system:basic-user)',
    });
  }
  return findings;
}

function denies(review: AccessReview, wanted: { group: string; resource: string; verb: string }): boolean {
  return (
    review.allowed === false &&
    review.group === wanted.group &&
    review.resource === wanted.resource &&
    review.verb === wanted.verb
  );
}
