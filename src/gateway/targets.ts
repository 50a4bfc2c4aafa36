/** Which workload an alert is about, by its labels. Labels are text from outside: only proper Kubernetes names count. */
import type { AlertNotice } from '../domain/release/types.ts';

export interface LabelNames {
  /** Label that holds the namespace. */
  namespace: string;
  /** Labels that may hold the workload's name; the first one present decides. */
  workload: readonly string[];
}

type AlertTarget =
  | { kind: 'workload'; namespace: string; name: string }
  /** The alert names no workload: every running release of the namespace is told, and decides by its own matchers. */
  | { kind: 'namespace'; namespace: string }
  | { kind: 'none' };

const NAMESPACE = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
const NAME = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/;

export function targetOf(alert: Pick<AlertNotice, 'labels'>, names: LabelNames): AlertTarget {
  const label = (name: string) => (Object.hasOwn(alert.labels, name) ? alert.labels[name] : undefined);
  const namespace = label(names.namespace);
  if (!namespace || !NAMESPACE.test(namespace)) return { kind: 'none' };
  const name = names.workload.map(label).find((value) => value !== undefined && value !== '');
  if (name === undefined) return { kind: 'namespace', namespace };
  return NAME.test(name) ? { kind: 'workload', namespace, name } : { kind: 'none' };
}
