// DNS for pods: CoreDNS beside the API server, under the usual ClusterIP. It knows the cluster's names and nothing else;
// no question is ever passed on to the outside.
import { join } from 'node:path';
import { serverUrl } from '../lab.ts';
import { writeWhole } from '../state.ts';
import { healthy } from '../wait.ts';
import { type Component, flags } from './component.ts';

export const coredns: Component = {
  name: 'coredns',
  parts: ['coredns'],
  ports: ['coredns', 'coredns-health'],
  after: ['kube-apiserver', 'cluster'],
  readyTimeoutMs: 30_000,
  launch(lab) {
    const file = join(lab.folder('config'), 'Corefile');
    const pki = (name: string) => join(lab.paths.pki, name);
    writeWhole(
      file,
      `.:${lab.port('coredns')} {
  bind 127.0.0.1
  errors
  ready 127.0.0.1:${lab.port('coredns-health')}
  kubernetes cluster.local in-addr.arpa {
    endpoint ${serverUrl(lab)}
    tls ${pki('coredns.crt')} ${pki('coredns.key')} ${pki('ca.crt')}
    ttl 5
  }
}
`,
    );
    return { part: 'coredns', args: flags({ conf: file }, '-').flatMap((flag) => flag.split('=')) };
  },
  ready: (lab) => healthy(`http://127.0.0.1:${lab.port('coredns-health')}/ready`),
};
