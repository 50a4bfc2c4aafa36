// One lab in the hands of a command: its paths and what it remembers.
import { mkdirSync, readFileSync } from 'node:fs';
import { Agent, request } from 'node:https';
import { join } from 'node:path';
import { LabError } from './errors.ts';
import { type LabPaths, labPaths } from './paths.ts';
import { type LabState, readState, writeState } from './state.ts';

export interface Lab {
  paths: LabPaths;
  state: LabState;
  save(): void;
  /** The port that belongs to `name`. @throws LabError when none was given out. */
  port(name: string): number;
  /** The path of a part's program. @throws LabError when it was not provisioned. */
  program(name: string): string;
  /** A folder below the lab's, made if it is missing. */
  folder(...parts: string[]): string;
}

export function openLab(paths: LabPaths = labPaths()): Lab {
  const state = readState(paths.state);
  const need = <T>(value: T | undefined, what: string): T => {
    if (value === undefined)
      throw new LabError(`the lab in ${paths.dir} has no ${what}; run "npm run lab -- up"`);
    return value;
  };
  return {
    paths,
    state,
    save: () => writeState(paths.state, state),
    port: (name) => need(state.ports[name], `port for ${name}`),
    program: (name) => need(state.programs[name], `program ${name}`),
    folder: (...parts) => {
      const folder = join(paths.dir, ...parts);
      mkdirSync(folder, { recursive: true });
      return folder;
    },
  };
}

export const serverUrl = (lab: Lab): string => `https://127.0.0.1:${lab.port('kube-apiserver')}`;

let agent: Agent | undefined;

export interface KubernetesAnswer {
  status: number;
  body: unknown;
}

/**
 * One request to the lab's API server as its administrator. The lab has its own small caller, so that it works
 * on an empty checkout and stays quick to load.
 */
export function kubernetes(
  lab: Lab,
  method: string,
  path: string,
  body?: unknown,
  type = 'application/json',
): Promise<KubernetesAnswer> {
  const { pki } = lab.paths;
  agent ??= new Agent({ keepAlive: false });
  return new Promise((answer, fail) => {
    const call = request(
      serverUrl(lab) + path,
      {
        method,
        agent,
        timeout: 10_000,
        ca: readFileSync(join(pki, 'ca.crt')),
        cert: readFileSync(join(pki, 'admin.crt')),
        key: readFileSync(join(pki, 'admin.key')),
        headers: body === undefined ? {} : { 'content-type': type },
      },
      (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          text += chunk;
        });
        response.on('error', fail);
        response.on('end', () => {
          let parsed: unknown = text;
          try {
            parsed = JSON.parse(text);
          } catch {
            // plain text, as /readyz answers
          }
          answer({ status: response.statusCode ?? 0, body: parsed });
        });
      },
    );
    call.on('timeout', () => call.destroy(new Error(`${method} ${path}: no answer within 10 s`)));
    call.on('error', fail);
    call.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

/** Server-side apply of one object at its path. @throws Error with the API server's message. */
export async function applyObject(lab: Lab, path: string, object: unknown): Promise<void> {
  const url = `${path}?fieldManager=slipway-lab&force=true`;
  const { status, body } = await kubernetes(lab, 'PATCH', url, object, 'application/apply-patch+yaml');
  if (status >= 300)
    throw new Error(`${path}: ${(body as { message?: string }).message ?? `HTTP ${status}`}`);
}
