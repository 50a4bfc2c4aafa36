// Our side: the engine's process as an installed worker starts it, with a policy.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { runEngine } from '../../src/activities/backup/engine.ts';
import type { EngineJob } from '../../src/activities/backup/engine.types.ts';
import type { RestoreWork, TakeInput } from '../../src/activities/backup/types.ts';
import type { BackupSummary } from '../../src/domain/backup/types.ts';
import { parseBackupPolicy } from '../../src/specs/backup.ts';
import type { BackupPolicy } from '../../src/specs/backup.types.ts';
import { children, cpuSecondsOf, type Measurement, watch } from './processes.ts';

const ENGINE = fileURLToPath(new URL('../../dist/engine.js', import.meta.url));

/** Builds what is installed: from sources the engine would take longer to start. @throws Error when that fails */
export function build(): void {
  const bundle = fileURLToPath(new URL('../../scripts/bundle.ts', import.meta.url));
  const { status, stderr } = spawnSync(process.execPath, [bundle], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`scripts/bundle.ts ended with ${String(status)}: ${stderr}`);
}

export interface Place {
  uri: string;
  /** Process id of the server. */
  server: number;
  destination: Destination;
}

/** Where our archives go, as a policy says it, and what the policy finds in the environment. */
export interface Destination {
  /** YAML under `spec`. */
  settings: string;
  env: Readonly<Record<string, string>>;
}

export function inDirectory(directory: string): Destination {
  return { settings: `  destination: { directory: ${directory} }\n`, env: {} };
}

export function onS3(endpoint: string, bucket: string, keys: { id: string; secret: string }): Destination {
  const credentialsFrom = '{ env: { accessKeyId: S3_KEY, secretAccessKey: S3_SECRET } }';
  return {
    settings: `  destination: { s3: { endpoint: "${endpoint}", bucket: ${bucket}, credentialsFrom: ${credentialsFrom} } }\n`,
    env: { S3_KEY: keys.id, S3_SECRET: keys.secret },
  };
}

export function encrypted({ settings, env }: Destination): Destination {
  return {
    settings: `${settings}  encryption: { keyFrom: { env: BACKUP_KEY } }\n`,
    env: { ...env, BACKUP_KEY: '00'.repeat(32) },
  };
}

export function policyFor({ destination }: Place, compression: string, database = 'bench'): BackupPolicy {
  return parseBackupPolicy(`
apiVersion: slipway/v1
kind: BackupPolicy
metadata: { name: bench-${compression} }
spec:
  source: { uriFrom: { env: MONGODB_URI }, databases: [${database}] }
  schedule: { at: "02:00" }
  compression: ${compression}
${destination.settings}`);
}

/** One job, and what had been used when it came to `mark`, a stage of its progress. */
async function run<T>(
  name: string,
  { uri, server, destination }: Place,
  job: EngineJob,
  input: unknown,
  mark: string,
): Promise<{ result: T; whole: Measurement; upToMark: Measurement }> {
  const others = new Set(children());
  const engine = () => children().find((pid) => !others.has(pid));
  const seen = watch(engine);
  const start = performance.now();
  const serverBefore = cpuSecondsOf(server);
  const now = (label: string): Measurement => ({
    name: label,
    wallSeconds: (performance.now() - start) / 1000,
    cpuSeconds: seen.cpuSeconds,
    peakMegabytes: seen.peakMegabytes,
    serverCpuSeconds: cpuSecondsOf(server) - serverBefore,
  });
  let marked: Measurement | undefined;
  try {
    const result = await runEngine<T>(
      {
        job,
        input,
        attempt: 1,
        signal: new AbortController().signal,
        report: ({ stage }) => {
          if (stage === mark) marked ??= now(name);
        },
      },
      {
        env: { ...process.env, ...destination.env, MONGODB_URI: uri },
        kube: null,
        engine: ENGINE,
        version: 'bench',
      },
    );
    const whole = now(name);
    return { result, whole, upToMark: { ...(marked ?? whole), peakMegabytes: whole.peakMegabytes } };
  } finally {
    seen.end();
  }
}

/** A backup: up to the last byte stored, and up to the manifest. */
export async function backup(
  place: Place,
  policy: BackupPolicy,
  number: number,
): Promise<{ dumped: Measurement; proven: Measurement; id: string }> {
  const id = `dump-20260101-${String(number).padStart(6, '0')}`;
  const input: TakeInput = { policy, id, workflow: { id: 'bench', run: String(number) } };
  const name = `slipway ${policy.spec.compression}`;
  const { result, whole, upToMark } = await run<BackupSummary>(name, place, 'takeBackup', input, 'proving');
  const outputMegabytes = result.size / 1e6;
  return {
    id: result.id,
    dumped: { ...upToMark, outputMegabytes },
    proven: { ...whole, name: `${name}, read back and proven`, outputMegabytes },
  };
}

/** A restore under another name: up to the last document, and up to the swap. */
export async function restore(
  place: Place,
  policy: BackupPolicy,
  archive: string,
  into: string,
): Promise<{ loaded: Measurement; whole: Measurement }> {
  const [from = ''] = policy.spec.source.databases ?? [];
  const input: RestoreWork = {
    origin: { policy, backup: { id: archive } },
    target: { uriFrom: policy.spec.source.uriFrom },
    selection: {
      databases: null,
      collections: null,
      rename: [{ from: `${from}.*`, to: `${into}.*` }],
      users: false,
    },
    archive,
    replace: false,
    claimant: `bench ${into}`,
  };
  const name = 'slipway: proven and loaded';
  const { whole, upToMark } = await run(name, place, 'restore', input, 'comparing');
  return { loaded: upToMark, whole: { ...whole, name: 'slipway: also compared, indexed and swapped' } };
}
