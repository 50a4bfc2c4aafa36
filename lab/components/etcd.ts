import { join } from 'node:path';
import { listening } from '../wait.ts';
import { type Component, flags } from './component.ts';

export const etcd: Component = {
  name: 'etcd',
  parts: ['etcd'],
  ports: ['etcd', 'etcd-peer'],
  after: ['certificates'],
  readyTimeoutMs: 20_000,
  launch(lab) {
    const client = `https://127.0.0.1:${lab.port('etcd')}`;
    const peer = `http://127.0.0.1:${lab.port('etcd-peer')}`;
    const file = (name: string) => join(lab.paths.pki, name);
    return {
      part: 'etcd',
      args: flags({
        name: 'lab',
        'data-dir': lab.folder('data', 'etcd'),
        'listen-client-urls': client,
        'advertise-client-urls': client,
        'listen-peer-urls': peer,
        'initial-advertise-peer-urls': peer,
        'initial-cluster': `lab=${peer}`,
        'cert-file': file('etcd.crt'),
        'key-file': file('etcd.key'),
        'client-cert-auth': true,
        'trusted-ca-file': file('ca.crt'),
        'auto-compaction-retention': '1',
        'log-level': 'warn',
      }),
    };
  },
  ready: (lab) => listening(lab.port('etcd')),
};
