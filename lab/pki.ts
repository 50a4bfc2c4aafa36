// The cluster's certificates, made once per lab. Every connection between its parts is authenticated; nothing on the
// machine can talk to etcd, the API server or the kubelet without one of these keys.
import { createPublicKey, generateKeyPairSync, webcrypto } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeWhole } from './state.ts';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const LIFETIME_MS = 3650 * 24 * 3600 * 1000;

interface Leaf {
  file: string;
  /** Common name: the user's name, as far as the API server is concerned. */
  name: string;
  /** Organization: the user's group. */
  group?: string;
  /** Names and addresses of a server; a certificate without any is a client's. */
  server?: string[];
}

export const USERS = {
  admin: { file: 'admin', name: 'lab-admin', group: 'system:masters' },
  controllerManager: { file: 'controller-manager', name: 'system:kube-controller-manager' },
  scheduler: { file: 'scheduler', name: 'system:kube-scheduler' },
  kubelet: { file: 'kubelet', name: 'system:node:localhost', group: 'system:nodes' },
  proxy: { file: 'kube-proxy', name: 'system:kube-proxy' },
  prometheus: { file: 'prometheus', name: 'lab-prometheus' },
  coredns: { file: 'coredns', name: 'lab-coredns' },
  kwok: { file: 'kwok', name: 'lab-kwok', group: 'system:masters' },
} as const satisfies Record<string, Leaf>;

const LEAVES = (serviceAddress: string): Leaf[] => [
  ...Object.values(USERS),
  {
    file: 'apiserver',
    name: 'kube-apiserver',
    server: [
      ...['127.0.0.1', serviceAddress, 'localhost', 'kubernetes', 'kubernetes.default'],
      ...['kubernetes.default.svc', 'kubernetes.default.svc.cluster.local'],
    ],
  },
  { file: 'apiserver-kubelet-client', name: 'kube-apiserver-kubelet-client', group: 'system:masters' },
  { file: 'apiserver-etcd-client', name: 'kube-apiserver-etcd-client' },
  { file: 'front-proxy-client', name: 'front-proxy-client' },
  { file: 'etcd', name: 'etcd', server: ['127.0.0.1', 'localhost'] },
  { file: 'kubelet-server', name: 'localhost', server: ['127.0.0.1', 'localhost'] },
];

/** Makes what is missing of the lab's certificates and keys in `folder`. */
export async function makeCertificates(folder: string, serviceAddress: string): Promise<void> {
  const marker = join(folder, `complete-${serviceAddress}`);
  if (existsSync(marker)) return;
  await import('reflect-metadata'); // the next one wants it loaded before
  const x509 = await import('@peculiar/x509');
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  x509.cryptoProvider.set(webcrypto as never);
  const generate = () => webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const period = () => ({
    notBefore: new Date(Date.now() - 3600_000),
    notAfter: new Date(Date.now() + LIFETIME_MS),
  });
  const saveKey = async (file: string, key: webcrypto.CryptoKey) =>
    writeWhole(
      join(folder, `${file}.key`),
      pem('PRIVATE KEY', await webcrypto.subtle.exportKey('pkcs8', key)),
      0o600,
    );

  const authority = await generate();
  const ca = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'CN=slipway-lab',
    keys: authority as never,
    signingAlgorithm: ALGORITHM,
    ...period(),
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.digitalSignature, true),
      await x509.SubjectKeyIdentifierExtension.create(authority.publicKey as never),
    ],
  });
  writeWhole(join(folder, 'ca.crt'), `${ca.toString('pem')}\n`);
  await saveKey('ca', authority.privateKey);

  for (const leaf of LEAVES(serviceAddress)) {
    const keys = await generate();
    const certificate = await x509.X509CertificateGenerator.create({
      subject: [{ CN: [leaf.name] }, ...(leaf.group ? [{ O: [leaf.group] }] : [])],
      issuer: ca.subject,
      publicKey: keys.publicKey as never,
      signingKey: authority.privateKey as never,
      signingAlgorithm: ALGORITHM,
      ...period(),
      extensions: [
        new x509.BasicConstraintsExtension(false),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        // etcd's server is its own client on its gateway, hence both usages for servers.
        new x509.ExtendedKeyUsageExtension([
          x509.ExtendedKeyUsage.clientAuth,
          ...(leaf.server ? [x509.ExtendedKeyUsage.serverAuth] : []),
        ]),
        await x509.AuthorityKeyIdentifierExtension.create(authority.publicKey as never),
        ...(leaf.server ? [alternativeNames(x509, leaf.server)] : []),
      ],
    });
    writeWhole(join(folder, `${leaf.file}.crt`), `${certificate.toString('pem')}\n`);
    await saveKey(leaf.file, keys.privateKey);
  }
  makeServiceAccountKeys(folder);
  writeWhole(marker, '');
}

function alternativeNames(x509: typeof import('@peculiar/x509'), names: string[]) {
  return new x509.SubjectAlternativeNameExtension(
    names.map((value) => ({ type: /^[\d.]+$/.test(value) ? ('ip' as const) : ('dns' as const), value })),
  );
}

/** The issuer's keys outlive new certificates, so that tokens in a kept etcd stay good. */
function makeServiceAccountKeys(folder: string): void {
  if (existsSync(join(folder, 'sa.pub'))) return;
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  writeWhole(join(folder, 'sa.key'), privateKey.export({ type: 'pkcs8', format: 'pem' }) as string, 0o600);
  writeWhole(
    join(folder, 'sa.pub'),
    createPublicKey(privateKey).export({ type: 'spki', format: 'pem' }) as string,
  );
}

function pem(label: string, der: ArrayBuffer): string {
  const body = Buffer.from(der).toString('base64').replace(/.{64}/g, '$&\n').trimEnd();
  return `-----BEGIN ${label}-----\n${body}\n-----END ${label}-----\n`;
}

/** A kubeconfig with everything inside, for one user of the lab's cluster. */
export function kubeconfig(folder: string, server: string, user: { file: string; name: string }): string {
  const data = (file: string) => readFileSync(join(folder, file)).toString('base64');
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'slipway-lab',
    clusters: [{ name: 'slipway-lab', cluster: { server, 'certificate-authority-data': data('ca.crt') } }],
    users: [
      {
        name: user.name,
        user: {
          'client-certificate-data': data(`${user.file}.crt`),
          'client-key-data': data(`${user.file}.key`),
        },
      },
    ],
    contexts: [
      { name: 'slipway-lab', context: { cluster: 'slipway-lab', user: user.name, namespace: 'default' } },
    ],
  };
  return `${JSON.stringify(config, null, 2)}\n`; // JSON is YAML
}
