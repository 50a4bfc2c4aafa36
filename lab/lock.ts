// One command at a time changes a lab. The lock names its holder by pid and start time, so a holder that was killed
// never blocks the next one.
import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import process from 'node:process';
import { LabError } from './errors.ts';
import { isAlive, type ProcessRecord, recordOf } from './processes.ts';
import { sleep } from './wait.ts';

function holderOf(file: string): ProcessRecord | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as ProcessRecord;
  } catch {
    return undefined;
  }
}

function tryAcquire(file: string, own: string): boolean {
  try {
    linkSync(own, file); // atomic: fails when the lock exists
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  const holder = holderOf(file);
  if (holder && isAlive(holder)) return false;
  // Take the dead holder's lock away by renaming it, which only one contender can do; a live lock that slipped in is put back.
  const stale = `${own}.stale`;
  try {
    renameSync(file, stale);
  } catch {
    return false;
  }
  const moved = holderOf(stale);
  if (moved && isAlive(moved)) {
    try {
      linkSync(stale, file);
    } catch {
      // somebody else holds it by now; both are told apart by the next look
    }
  }
  rmSync(stale, { force: true });
  return false;
}

/** Callers within this process queue here; the file is for the other processes. */
const queues = new Map<string, Promise<unknown>>();

/**
 * Runs `work` while holding the lock. It does not nest.
 * @throws LabError when another living command holds it for longer than `timeoutMs`.
 */
export function withLock<T>(
  file: string,
  work: () => Promise<T>,
  options: { timeoutMs?: number; onWait?: (pid: number) => void } = {},
): Promise<T> {
  const turn = (queues.get(file) ?? Promise.resolve()).then(() => holding(file, work, options));
  queues.set(
    file,
    turn.catch(() => {}),
  );
  return turn;
}

async function holding<T>(
  file: string,
  work: () => Promise<T>,
  options: { timeoutMs?: number; onWait?: (pid: number) => void },
): Promise<T> {
  mkdirSync(dirname(file), { recursive: true });
  const own = `${file}.${process.pid}`;
  writeFileSync(own, JSON.stringify(recordOf(process.pid)));
  const end = Date.now() + (options.timeoutMs ?? 20 * 60_000);
  let told = false;
  try {
    while (!tryAcquire(file, own)) {
      const pid = holderOf(file)?.pid;
      if (Date.now() > end) {
        throw new LabError(
          `another lab command (pid ${pid ?? '?'}) is still at work; wait for it or end it, then try again`,
        );
      }
      if (!told && pid !== undefined) options.onWait?.(pid);
      told ||= pid !== undefined;
      await sleep(50);
    }
    try {
      return await work();
    } finally {
      rmSync(file, { force: true });
    }
  } finally {
    rmSync(own, { force: true });
  }
}
