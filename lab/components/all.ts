// The components of a lab by node kind.
import type { NodeKind } from '../state.ts';
import type { Component } from './component.ts';
import { apiserver, controllerManager, scheduler } from './control-plane.ts';
import { coredns } from './dns.ts';
import { etcd } from './etcd.ts';
import { kwok } from './kwok.ts';
import { mongod } from './mongod.ts';
import { alertmanager, prometheus } from './monitoring.ts';
import { containerd, kubelet, proxy } from './node.ts';
import { s3 } from './s3.ts';
import { temporal } from './temporal.ts';

const EVERYWHERE: readonly Component[] = [
  temporal,
  mongod,
  etcd,
  apiserver,
  controllerManager,
  scheduler,
  alertmanager,
  prometheus,
];
const REAL: readonly Component[] = [containerd, kubelet, proxy, coredns];
const SIMULATED: readonly Component[] = [kwok];

/** Components that are started only when asked for. */
export const OPTIONAL: readonly Component[] = [s3];

export const componentsFor = (nodes: NodeKind, extra: readonly string[]): Component[] => [
  ...EVERYWHERE,
  ...(nodes === 'real' ? REAL : SIMULATED),
  ...OPTIONAL.filter(({ name }) => extra.includes(name)),
];

/** @throws RangeError naming the known components. */
export function componentNamed(name: string): Component {
  const all = [...EVERYWHERE, ...REAL, ...SIMULATED, ...OPTIONAL];
  const found = all.find((component) => component.name === name);
  if (!found)
    throw new RangeError(
      `no component is named "${name}"; the components are ${all.map((each) => each.name).join(', ')}`,
    );
  return found;
}
