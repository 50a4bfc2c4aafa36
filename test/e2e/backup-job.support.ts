/** A namespace of a test's own with a claim on a folder of this machine, a Secret, and a user of the lab's MongoDB. */
import { execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MongoClient } from 'mongodb';
import { parse, parseAllDocuments, stringify } from 'yaml';
import { up } from '../../lab/index.ts';
import { kubernetes, openLab } from '../../lab/lab.ts';
import { allocatePorts } from '../../lab/ports.ts';
import { eventually } from '../../lab/wait.ts';
import { SlipwayClient } from '../../src/client.ts';
import type { RunRef, RunView } from '../../src/client/backup.ts';
import type { Job } from '../../src/domain/backup-job/sight.ts';
import type { BackupStatus } from '../../src/domain/backup/types.ts';
import type { Pod } from '../../src/domain/workload/objects.types.ts';
import { parseBackupPolicy } from '../../src/specs/backup.ts';
import type { BackupPolicy } from '../../src/specs/backup.types.ts';
import { type DumpImage, dumpImage } from './support/dump-image.ts';
import { Program } from './support/processes.ts';
import { TemporalServer } from './support/temporal-server.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const WITHIN = { timeoutMs: 120_000, pauseMs: 100 };
/** Pods reach the lab's mongod under this name; see lab/README.md. */
const HOST = 'mongodb.ecommerce.svc.cluster.local:27017';

/** With what a shell, YAML and a connection string could each stumble over. */
export const PASSWORD = `it's a "trap" $(id) %41@:/${randomBytes(6).toString('hex')}`;

export interface PolicyOptions {
  image?: string;
  key?: string;
  /** As the worker reaches it; pods know the server by another name. */
  host?: string;
  job?: string;
  spec?: string;
}

export class JobLab {
  readonly namespace = `slipway-job-${randomBytes(4).toString('hex')}`;
  readonly database = `jobshop_${randomBytes(4).toString('hex')}`;
  readonly user = `slipway-${randomBytes(4).toString('hex')}`;
  readonly image: DumpImage;
  readonly temporal: TemporalServer;
  readonly client: SlipwayClient;
  readonly mongo: MongoClient;
  readonly worker: Program;
  /** What lies on the claim. */
  readonly folder: string;
  /** Of the worker's own account. */
  token = '';
  readonly #env: Record<string, string>;
  readonly #home: string;

  private constructor(parts: {
    image: DumpImage;
    temporal: TemporalServer;
    client: SlipwayClient;
    mongo: MongoClient;
    folder: string;
    home: string;
    env: Record<string, string>;
    metrics: number;
  }) {
    this.image = parts.image;
    this.temporal = parts.temporal;
    this.client = parts.client;
    this.mongo = parts.mongo;
    this.folder = parts.folder;
    this.#home = parts.home;
    this.#env = parts.env;
    // The worker may do what deploy/kubernetes grants, and nothing else.
    this.worker = new Program('src/worker.ts', parts.metrics, {
      ...parts.env,
      KUBECONFIG: join(parts.home, 'kubeconfig'),
      SLIPWAY_METRICS_ADDRESS: `127.0.0.1:${parts.metrics}`,
    });
  }

  static async open(): Promise<JobLab> {
    const { KUBECONFIG = '', MONGODB_URI = '' } = await up({ nodes: 'real' });
    const [image, temporal, folder, home, { metrics = 0 }] = await Promise.all([
      dumpImage(),
      TemporalServer.start(),
      mkdtemp(join(tmpdir(), 'slipway-claim-')),
      mkdtemp(join(tmpdir(), 'slipway-worker-')),
      allocatePorts(['metrics'], {}),
    ]);
    const env = { TEMPORAL_ADDRESS: temporal.address, KUBECONFIG, MONGODB_URI };
    const client = SlipwayClient.lazy({ env });
    const mongo = await new MongoClient(MONGODB_URI).connect();
    const lab = new JobLab({ image, temporal, client, mongo, folder, home, env, metrics });
    await lab.#furnish();
    await lab.worker.start();
    return lab;
  }

  async #furnish(): Promise<void> {
    const { namespace, folder } = this;
    await chmod(folder, 0o777); // kubelet gives a folder of the host to no group
    await this.kube('POST', '/api/v1/namespaces', { metadata: { name: namespace } });
    await this.#grant();
    await this.claim('backup-pvc', folder);
    const secret = {
      metadata: { name: 'app-secrets' },
      stringData: { right: PASSWORD, wrong: `${PASSWORD}!` },
    };
    await this.kube('POST', `/api/v1/namespaces/${namespace}/secrets`, secret);
    await this.mongo
      .db('admin')
      .command({ createUser: this.user, pwd: PASSWORD, roles: ['backup', 'restore'] });
    const shop = this.mongo.db(this.database);
    await shop
      .collection('orders')
      .insertMany(Array.from({ length: 500 }, (_, i) => ({ _id: i as never, total: i * 1.5 })));
    await shop.collection('orders').createIndex({ total: 1 });
    // About 36 MB that do not compress, so that a container with little CPU takes a while.
    const noise = Array.from({ length: 200 }, () => ({ bytes: randomBytes(180_000) }));
    await shop.collection('noise').insertMany(noise);
    const account = `/api/v1/namespaces/${namespace}/serviceaccounts/default`;
    await eventually(async () => (await kubernetes(openLab(), 'GET', account)).status === 200, WITHIN);
  }

  /** An account of the worker's own, bound to the Role that deploy/ has for such namespaces. */
  async #grant(): Promise<void> {
    const { namespace } = this;
    const account = { metadata: { name: 'slipway-worker' } };
    await this.kube('POST', `/api/v1/namespaces/${namespace}/serviceaccounts`, account);
    const text = await readFile(join(ROOT, 'deploy/kubernetes/target-namespace-backup.yaml'), 'utf8');
    for (const document of parseAllDocuments(text.replaceAll('slipway-system', namespace))) {
      const object = document.toJS() as { kind: string };
      const plural = `${object.kind.toLowerCase()}s`;
      await this.kube('POST', `/apis/rbac.authorization.k8s.io/v1/namespaces/${namespace}/${plural}`, object);
    }
    const path = `/api/v1/namespaces/${namespace}/serviceaccounts/slipway-worker/token`;
    const { status } = await this.kube<{ status: { token: string } }>('POST', path, {
      spec: { expirationSeconds: 7_200 },
    });
    this.token = status.token;
    const kubeconfig = parse(await readFile(this.#env['KUBECONFIG'] ?? '', 'utf8')) as { users: object[] };
    kubeconfig.users = kubeconfig.users.map((user) => ({ ...user, user: { token: status.token } }));
    await writeFile(join(this.#home, 'kubeconfig'), stringify(kubeconfig), { mode: 0o600 });
  }

  get mongoUri(): string {
    return this.#env['MONGODB_URI'] ?? '';
  }

  /** Lets the worker read a Secret. */
  async mayRead(secret: string): Promise<void> {
    const path = `/apis/rbac.authorization.k8s.io/v1/namespaces/${this.namespace}`;
    const metadata = { name: 'slipway-backup-secret' };
    await this.kube('POST', `${path}/roles`, {
      metadata,
      rules: [{ apiGroups: [''], resources: ['secrets'], resourceNames: [secret], verbs: ['get'] }],
    });
    await this.kube('POST', `${path}/rolebindings`, {
      metadata,
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', ...metadata },
      subjects: [{ kind: 'ServiceAccount', name: 'slipway-worker', namespace: this.namespace }],
    });
  }

  /** A claim that is bound to a folder of this machine. */
  async claim(name: string, path: string): Promise<void> {
    const { namespace } = this;
    const spec = { accessModes: ['ReadWriteOnce'], storageClassName: '' };
    const storage = '1Gi';
    await this.kube('POST', '/api/v1/persistentvolumes', {
      metadata: { name: `${namespace}-${name}` },
      spec: {
        ...spec,
        capacity: { storage },
        hostPath: { path, type: 'Directory' },
        claimRef: { namespace, name },
        persistentVolumeReclaimPolicy: 'Retain',
      },
    });
    await this.kube('POST', `/api/v1/namespaces/${namespace}/persistentvolumeclaims`, {
      metadata: { name },
      spec: { ...spec, volumeName: `${namespace}-${name}`, resources: { requests: { storage } } },
    });
  }

  /** `key` of the Secret; `job` and `spec` are further lines of YAML. */
  policy(
    name: string,
    { image, key = 'right', host = HOST, job = '', spec = '' }: PolicyOptions = {},
  ): BackupPolicy {
    const { namespace, database, user } = this;
    return parseBackupPolicy(`
apiVersion: slipway/v1
kind: BackupPolicy
metadata: { name: ${name} }
spec:
  source:
    uriFrom: { secret: { namespace: ${namespace}, name: app-secrets, key: ${key}, host: "${host}", username: ${user} } }
    databases: [${database}]
  schedule: { at: "02:00" }
  destination:
    job:
      namespace: ${namespace}
      image: ${image ?? this.image.reference}
      pvc: backup-pvc
      backoffLimit: 1
${job}
${spec}`);
  }

  async kube<T>(method: string, path: string, body?: unknown): Promise<T> {
    const { status, body: answer } = await kubernetes(openLab(), method, path, body);
    if (status >= 300) throw new Error(`${method} ${path}: ${status} ${JSON.stringify(answer)}`);
    return answer as T;
  }

  async jobs(policy: BackupPolicy, task = 'dump'): Promise<Job[]> {
    const labels = encodeURIComponent(`slipway.dev/policy=${policy.metadata.name},slipway.dev/task=${task}`);
    const path = `/apis/batch/v1/namespaces/${this.namespace}/jobs?labelSelector=${labels}`;
    return (await this.kube<{ items: Job[] }>('GET', path)).items;
  }

  async pods(policy: BackupPolicy): Promise<Pod[]> {
    const labels = encodeURIComponent(`slipway.dev/policy=${policy.metadata.name},slipway.dev/task=dump`);
    const path = `/api/v1/namespaces/${this.namespace}/pods?labelSelector=${labels}`;
    return (await this.kube<{ items: Pod[] }>('GET', path)).items;
  }

  /** Pods that restores read the claim by. */
  async readers(): Promise<Pod[]> {
    const labels = encodeURIComponent('slipway.dev/task=read');
    const path = `/api/v1/namespaces/${this.namespace}/pods?labelSelector=${labels}`;
    return (await this.kube<{ items: Pod[] }>('GET', path)).items;
  }

  async log(pod: Pod): Promise<string> {
    const path = `/api/v1/namespaces/${this.namespace}/pods/${pod.metadata.name}/log`;
    return String((await kubernetes(openLab(), 'GET', path)).body);
  }

  start(policy: BackupPolicy): Promise<RunRef> {
    return this.client.backups.run(policy, 'ann');
  }

  end(ref: RunRef): Promise<RunView<BackupStatus>> {
    return this.client.backups.follow<BackupStatus>(ref, { pollMs: 200, timeoutMs: 280_000 });
  }

  async take(policy: BackupPolicy): Promise<RunView<BackupStatus>> {
    return await this.end(await this.start(policy));
  }

  /** The Job whose container runs and has written something. */
  async dumping(policy: BackupPolicy, ref: RunRef): Promise<Job> {
    const underway = async () => {
      const { progress } = await this.client.backups.view<BackupStatus>(ref);
      return progress?.stage === 'dumping' && progress.bytes > 0;
    };
    if (!(await eventually(underway, WITHIN))) throw new Error(`${ref.id} never dumps`);
    const [job] = await this.jobs(policy);
    if (!job) throw new Error(`${ref.id} dumps without a Job`);
    return job;
  }

  /** Names on the claim, hidden ones too. */
  async files(folder = this.folder): Promise<string[]> {
    return (await readdir(folder)).sort();
  }

  /** Ends a run without giving it a chance to clean up. */
  async terminate({ id, run }: RunRef): Promise<void> {
    const { code, stderr } = await this.#process('temporal', [
      ...['workflow', 'terminate', '--workflow-id', id, ...(run === null ? [] : ['--run-id', run])],
      ...['--address', this.temporal.address],
    ]);
    if (code !== 0) throw new Error(`terminating ${id}: ${stderr}`);
  }

  /** Everything that Temporal keeps of a run, with what its payloads hold in plain text. */
  async history({ id, run }: RunRef): Promise<string> {
    const { stdout } = await this.#process('temporal', [
      ...['workflow', 'show', '--workflow-id', id, ...(run === null ? [] : ['--run-id', run])],
      ...['--address', this.temporal.address, '--output', 'json'],
    ]);
    const payloads = [...stdout.matchAll(/"data": "([A-Za-z0-9+/=]+)"/g)].map(([, data = '']) =>
      Buffer.from(data, 'base64').toString('utf8'),
    );
    return [stdout, ...payloads].join('\n');
  }

  /** Runs the command as people do, on a policy in a file. */
  async cli(
    policy: BackupPolicy,
    ...args: string[]
  ): Promise<{ code: number; stdout: string; stderr: string }> {
    const file = join(tmpdir(), `${this.namespace}-${policy.metadata.name}.json`);
    await writeFile(file, JSON.stringify(policy));
    try {
      return await this.#process(process.execPath, [join(ROOT, 'src/cli.ts'), ...args, '-f', file]);
    } finally {
      await rm(file);
    }
  }

  /** Runs the command without a policy. */
  async command(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
    return await this.#process(process.execPath, [join(ROOT, 'src/cli.ts'), ...args]);
  }

  async #process(program: string, args: string[]) {
    const path = program === 'temporal' ? openLab().program('temporal') : program;
    const child = spawn(path, args, {
      env: { PATH: process.env['PATH'], HOME: process.env['HOME'], NO_COLOR: '1', ...this.#env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const said = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const)
      child[name].setEncoding('utf8').on('data', (text: string) => void (said[name] += text));
    const [code] = (await once(child, 'close')) as [number];
    return { code, ...said };
  }

  async close(): Promise<void> {
    await this.worker.kill();
    await this.client.close();
    await this.mongo.db(this.database).dropDatabase();
    const { databases } = await this.mongo.db().admin().listDatabases({ nameOnly: true });
    for (const { name } of databases)
      if (name.startsWith(`${this.database}_`)) await this.mongo.db(name).dropDatabase();
    await this.mongo.db('admin').command({ dropUser: this.user });
    await this.mongo.close();
    await this.kube('DELETE', `/api/v1/namespaces/${this.namespace}`);
    await this.temporal.stop();
    const gone = async () =>
      (await kubernetes(openLab(), 'GET', `/api/v1/namespaces/${this.namespace}`)).status === 404;
    await eventually(gone, WITHIN);
    const volumes = await this.kube<{ items: { metadata: { name: string } }[] }>(
      'GET',
      '/api/v1/persistentvolumes',
    );
    for (const { metadata } of volumes.items)
      if (metadata.name.startsWith(this.namespace))
        await this.kube('DELETE', `/api/v1/persistentvolumes/${metadata.name}`);
    await rm(this.folder, { recursive: true, force: true });
    await rm(this.#home, { recursive: true, force: true });
  }
}

/** A file system of so many bytes in a folder of its own. */
export async function smallDisk(bytes: number): Promise<{ folder: string; remove(): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'slipway-small-'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes},mode=0777`, 'tmpfs', folder]);
  return {
    folder,
    async remove() {
      // Containers that are just ending may still hold it.
      await eventually(async () => {
        execFileSync('umount', [folder]);
        return true;
      }, WITHIN);
      await rm(folder, { recursive: true });
    },
  };
}
