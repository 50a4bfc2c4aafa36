/** Paths of the API server's resources. */

export interface Resource {
  /** API group, `''` for the core group. */
  group: string;
  version: string;
  /** Plural name. */
  plural: string;
}

export const DEPLOYMENTS: Resource = { group: 'apps', version: 'v1', plural: 'deployments' };
export const REPLICA_SETS: Resource = { group: 'apps', version: 'v1', plural: 'replicasets' };
export const PODS: Resource = { group: '', version: 'v1', plural: 'pods' };
export const JOBS: Resource = { group: 'batch', version: 'v1', plural: 'jobs' };
export const CLAIMS: Resource = { group: '', version: 'v1', plural: 'persistentvolumeclaims' };
export const RESOURCE_QUOTAS: Resource = { group: '', version: 'v1', plural: 'resourcequotas' };
export const LIMIT_RANGES: Resource = { group: '', version: 'v1', plural: 'limitranges' };
export const AUTOSCALERS: Resource = {
  group: 'autoscaling',
  version: 'v2',
  plural: 'horizontalpodautoscalers',
};

/** Path of a collection in a namespace, or of one object in it. Names are escaped. */
export function pathOf({ group, version, plural }: Resource, namespace: string, name?: string): string {
  const root = group === '' ? `api/${version}` : `apis/${group}/${version}`;
  const collection = `${root}/namespaces/${encodeURIComponent(namespace)}/${plural}`;
  return name === undefined ? collection : `${collection}/${encodeURIComponent(name)}`;
}
