// Releases from the projects' own sites. A machine that does not reach them finds out within a few seconds, once per site.
import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Upstream } from '../parts.ts';
import { run } from './run.ts';
import { makeExecutable } from './store.ts';

const REACH_TIMEOUT_MS = 3_000;
const DOWNLOAD_TIMEOUT_MS = 10 * 60_000;
const reachable = new Map<string, Promise<boolean>>();

/** False when SLIPWAY_LAB_UPSTREAM is 0 or the site does not answer. */
export function upstreamReachable(
  url: string,
  env: Record<string, string | undefined> = process.env,
): Promise<boolean> {
  if (env['SLIPWAY_LAB_UPSTREAM'] === '0') return Promise.resolve(false);
  const { origin } = new URL(url);
  let answer = reachable.get(origin);
  if (!answer) {
    answer = fetch(url, {
      method: 'HEAD',
      redirect: 'follow',
      signal: AbortSignal.timeout(REACH_TIMEOUT_MS),
    }).then(
      (response) => response.ok,
      () => false,
    );
    reachable.set(origin, answer);
  }
  return answer;
}

export function fillIn(template: string, platform = process.platform, arch = process.arch): string {
  const words: Record<string, string> = {
    os: platform,
    arch: arch === 'x64' ? 'amd64' : arch,
    uname: arch === 'x64' ? 'x86_64' : arch === 'arm64' ? 'aarch64' : arch,
  };
  return template.replace(/\{(\w+)\}/g, (whole, word: string) => words[word] ?? whole);
}

/** Downloads and unpacks a release into `folder`. @throws when the site refuses or the transfer stops. */
export async function fetchUpstream(source: Upstream, name: string, folder: string): Promise<void> {
  const url = fillIn(source.url);
  const response = await fetch(url, { signal: AbortSignal.timeout(DOWNLOAD_TIMEOUT_MS) });
  if (!response.ok || !response.body) throw new Error(`${url} answered ${response.status}`);
  const target = source.file ? join(folder, 'archive') : programFromUpstream(source, name, folder);
  await mkdir(dirname(target), { recursive: true });
  await pipeline(Readable.fromWeb(response.body), createWriteStream(target));
  if (source.file) {
    await mkdir(join(folder, 'release'), { recursive: true });
    await run('tar', ['-xf', target, '-C', join(folder, 'release')]);
    await run('rm', [target]);
  }
  if (source.file !== '.') makeExecutable(programFromUpstream(source, name, folder));
}

export function programFromUpstream(source: Upstream, name: string, folder: string): string {
  return join(folder, 'release', source.file ? fillIn(source.file) : name);
}
