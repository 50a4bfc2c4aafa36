// `.lab/env`: what a shell, a test or a demo needs to know to use the lab.
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { mongodbUri } from './components/mongod.ts';
import { S3_BUCKET, s3Credentials } from './components/s3.ts';
import { TEMPORAL_NAMESPACE } from './components/temporal.ts';
import type { Lab } from './lab.ts';
import { type LabPaths, labPaths } from './paths.ts';
import { writeWhole } from './state.ts';

/** The gateway's bearer token, made once per lab. */
export function gatewayToken(lab: Lab): string {
  const file = lab.paths.gatewayToken;
  if (!existsSync(file)) writeWhole(file, randomBytes(24).toString('hex'), 0o600);
  return readFileSync(file, 'utf8').trim();
}

export function labEnvironment(lab: Lab): Record<string, string> {
  const url = (port: string) => `http://127.0.0.1:${lab.port(port)}`;
  const { programs, components } = lab.state;
  return {
    SLIPWAY_LAB_NODES: lab.state.nodes,
    KUBECONFIG: lab.paths.kubeconfig,
    TEMPORAL_ADDRESS: `127.0.0.1:${lab.port('temporal')}`,
    TEMPORAL_NAMESPACE,
    TEMPORAL_UI_URL: url('temporal-ui'),
    MONGODB_URI: mongodbUri(lab),
    PROMETHEUS_URL: url('prometheus'),
    ALERTMANAGER_URL: url('alertmanager'),
    SLIPWAY_GATEWAY_URL: url('gateway'),
    // Where `slipway gateway` listens when nobody says otherwise: where the lab's Alertmanager posts to.
    SLIPWAY_GATEWAY_ADDRESS: `127.0.0.1:${lab.port('gateway')}`,
    SLIPWAY_GATEWAY_TOKEN: gatewayToken(lab),
    SLIPWAY_AUDIT_LOG: lab.paths.auditLog,
    ...(components.includes('s3') && s3Environment(lab, url('s3'))),
    ...programVariables(programs),
  };
}

function s3Environment(lab: Lab, endpoint: string): Record<string, string> {
  const { accessKey, secretKey } = s3Credentials(lab);
  return {
    S3_ENDPOINT: endpoint,
    S3_REGION: 'us-east-1',
    S3_BUCKET,
    S3_ACCESS_KEY_ID: accessKey,
    S3_SECRET_ACCESS_KEY: secretKey,
  };
}

const PROGRAMS: Record<string, string> = {
  kubectl: 'KUBECTL',
  mongod: 'MONGOD',
  promtool: 'PROMTOOL',
  amtool: 'AMTOOL',
  temporal: 'TEMPORAL_CLI',
  'temporal-test-server': 'TEMPORAL_TEST_SERVER',
  chromium: 'CHROMIUM',
};

function programVariables(programs: Readonly<Record<string, string>>): Record<string, string> {
  const entries = Object.entries(PROGRAMS).filter(([part]) => programs[part]);
  return Object.fromEntries(entries.map(([part, variable]) => [variable, programs[part] as string]));
}

/** `export` lines for a POSIX shell; values are quoted, whatever is in them. */
export function renderEnvironment(values: Readonly<Record<string, string>>): string {
  return Object.entries(values)
    .map(([name, value]) => `export ${name}='${value.replaceAll("'", "'\\''")}'\n`)
    .join('');
}

/** The values of `renderEnvironment`'s text. */
export function parseEnvironment(text: string): Record<string, string> {
  const lines = [...text.matchAll(/^export (\w+)='((?:[^']|'\\'')*)'$/gm)];
  return Object.fromEntries(
    lines.map((line) => [line[1] as string, (line[2] as string).replaceAll("'\\''", "'")]),
  );
}

/** What `.lab/env` holds, or undefined when the lab was never up. */
export function readEnv(paths: LabPaths = labPaths()): Record<string, string> | undefined {
  return existsSync(paths.env) ? parseEnvironment(readFileSync(paths.env, 'utf8')) : undefined;
}
