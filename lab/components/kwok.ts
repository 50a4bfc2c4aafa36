// Simulated nodes: kwok plays the kubelets. Pods get an address and become ready, nothing runs. For behaviour at scale.
import { join } from 'node:path';
import { REPOSITORY } from '../paths.ts';
import { USERS } from '../pki.ts';
import { applyObject, kubernetes, type Lab } from '../lab.ts';
import { addressIn, networkOf } from '../network.ts';
import { healthy } from '../wait.ts';
import { type Component, flags } from './component.ts';
import { userConfig } from './control-plane.ts';

const NODES = 10;
const PODS_PER_NODE = 500;

export const kwok: Component = {
  name: 'kwok',
  parts: ['kwok'],
  ports: ['kwok'],
  after: ['kube-apiserver'],
  readyTimeoutMs: 60_000,
  launch(lab) {
    const { pods } = networkOf(lab);
    return {
      part: 'kwok',
      args: flags({
        config: join(REPOSITORY, 'lab', 'config', 'kwok-stages.yaml'),
        kubeconfig: userConfig(lab, USERS.kwok),
        'manage-all-nodes': false,
        'manage-nodes-with-annotation-selector': 'kwok.x-k8s.io/node=fake',
        'node-ip': addressIn(pods, 1),
        cidr: `${addressIn(pods, 1)}/${pods.split('/')[1]}`,
        'server-address': `127.0.0.1:${lab.port('kwok')}`,
        'node-lease-duration-seconds': 40,
        v: 'WARN',
      }),
    };
  },
  ready: (lab) => healthy(`http://127.0.0.1:${lab.port('kwok')}/healthz`),
  async settle(lab) {
    await Promise.all(
      Array.from({ length: NODES }, (_, nth) =>
        applyObject(lab, `/api/v1/nodes/${nodeName(nth)}`, node(nth)),
      ),
    );
    for (let attempt = 0; attempt < 300; attempt++) {
      if ((await readyNodes(lab)) >= NODES) return;
      await new Promise((next) => setTimeout(next, 100));
    }
    throw new Error(
      `of ${NODES} simulated nodes ${await readyNodes(lab)} became ready within 30 s; see kwok's log`,
    );
  },
};

const nodeName = (nth: number): string => `simulated-${nth}`;

function node(nth: number) {
  const resources = { cpu: '64', memory: '256Gi', pods: String(PODS_PER_NODE), 'ephemeral-storage': '1Ti' };
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name: nodeName(nth),
      annotations: { 'kwok.x-k8s.io/node': 'fake' },
      labels: { 'kubernetes.io/hostname': nodeName(nth), 'kubernetes.io/os': 'linux', type: 'kwok' },
    },
    status: { allocatable: resources, capacity: resources },
  };
}

async function readyNodes(lab: Lab): Promise<number> {
  const { body } = await kubernetes(lab, 'GET', '/api/v1/nodes');
  const { items = [] } = body as {
    items?: { status: { conditions?: { type: string; status: string }[] } }[];
  };
  return items.filter(({ status }) =>
    status.conditions?.some(({ type, status: value }) => type === 'Ready' && value === 'True'),
  ).length;
}
