// The cache of programs. An entry is a folder that appears in one rename, so half a download is never taken for a program.
import { chmodSync, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import process from 'node:process';

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
  rmSync(scratch, { recursive: true, force: true });
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
