// The cache of programs. An entry is a folder that appears in one rename, so half a download is never taken for a program.
import { chmodSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { startTimeOf } from '../processes.ts';

/**
 * The folder of a cache entry, made by `fill` when it is missing. `fill` gets a scratch folder and the final one
 * (for files that must hold their own path). Two processes that fill the same entry both succeed; the first rename stays.
 */
export async function cached(
  root: string,
  key: string,
  fill: (scratch: string, final: string) => Promise<void>,
): Promise<string> {
  const final = join(root, key);
  if (existsSync(final)) return final;
  const scratch = join(root, `.${key.replaceAll('/', '_')}.${process.pid}`);
  removeAbandoned(root, `.${key.replaceAll('/', '_')}.`);
  mkdirSync(scratch, { recursive: true });
  try {
    await fill(scratch, final);
    mkdirSync(dirname(final), { recursive: true });
    try {
      renameSync(scratch, final);
    } catch (error) {
      if (!existsSync(final)) throw error;
    }
    return final;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

export const makeExecutable = (file: string): void => chmodSync(file, 0o755);

/** Scratch folders of commands that were killed. */
function removeAbandoned(root: string, prefix: string): void {
  if (!existsSync(root)) return;
  for (const name of readdirSync(root)) {
    const pid = name.startsWith(prefix) ? Number(name.slice(prefix.length)) : undefined;
    if (pid === undefined || (pid !== process.pid && startTimeOf(pid))) continue;
    rmSync(join(root, name), { recursive: true, force: true });
  }
}
