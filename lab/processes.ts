// Daemons that outlive the command that started them. A process is known by its id together with its start time, so
// that a recycled id is never taken for ours; and by a marker in its environment, so that a daemon whose record was
// never written (the command was killed in between) is found all the same.
import { spawn } from 'node:child_process';
import { execFileSync } from 'node:child_process';
import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs';
import process from 'node:process';
import { eventually } from './wait.ts';

export interface ProcessRecord {
  pid: number;
  /** Boot id and start tick on Linux, the start date elsewhere. */
  startTime: string;
}

const MARKER = 'SLIPWAY_LAB_DAEMON';

let bootId: string | undefined;
function currentBoot(): string {
  bootId ??= readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  return bootId;
}

/** When the process started, or undefined when there is no such process (a zombie counts as none). */
export function startTimeOf(pid: number): string | undefined {
  try {
    if (process.platform === 'linux') {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
      // The command name may hold spaces and brackets; the fields after its last bracket are plain.
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return fields[0] === 'Z' || fields[0] === 'X' ? undefined : `${currentBoot()}:${fields[19]}`;
    }
    const started = execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' }).trim();
    return started || undefined;
  } catch {
    return undefined;
  }
}

export function recordOf(pid: number): ProcessRecord | undefined {
  const startTime = startTimeOf(pid);
  return startTime === undefined ? undefined : { pid, startTime };
}

export function isAlive(record: ProcessRecord | undefined): record is ProcessRecord {
  return record !== undefined && startTimeOf(record.pid) === record.startTime;
}

export interface DaemonOptions {
  labDir: string;
  name: string;
  command: string;
  args: string[];
  env?: Record<string, string>;
  logFile: string;
}

/** Starts a daemon in a session of its own, its output appended to its log. */
export function spawnDaemon(options: DaemonOptions): ProcessRecord {
  const log = openSync(options.logFile, 'a');
  try {
    const child = spawn(options.command, options.args, {
      cwd: options.labDir,
      detached: true,
      stdio: ['ignore', log, log],
      env: { ...process.env, ...options.env, [MARKER]: `${options.labDir}\t${options.name}` },
    });
    child.on('error', () => {}); // a failed exec shows as a missing process below
    child.unref();
    const record = child.pid === undefined ? undefined : recordOf(child.pid);
    if (!record) throw new Error(`${options.name}: cannot run ${options.command}; see ${options.logFile}`);
    return record;
  } finally {
    closeSync(log);
  }
}

export interface FoundDaemon extends ProcessRecord {
  name: string;
}

/** All processes of this lab by their environment's marker, shims included (they inherit containerd's). Linux only. */
export function findDaemons(labDir: string): FoundDaemon[] {
  if (process.platform !== 'linux') return [];
  const found: FoundDaemon[] = [];
  for (const entry of readdirSync('/proc')) {
    const pid = Number(entry);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    try {
      const environ = readFileSync(`/proc/${pid}/environ`, 'latin1');
      const at = environ.indexOf(`${MARKER}=${Buffer.from(labDir).toString('latin1')}\t`);
      if (at !== 0 && environ[at - 1] !== '\0') continue;
      const value = environ.slice(at, environ.indexOf('\0', at));
      const record = recordOf(pid);
      if (record) found.push({ ...record, name: value.slice(value.indexOf('\t') + 1) });
    } catch {
      // gone, or not ours to read
    }
  }
  return found;
}

export function signal(record: ProcessRecord, name: NodeJS.Signals): void {
  if (!isAlive(record)) return;
  try {
    process.kill(record.pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** SIGTERM, then SIGKILL after `graceMs`; answers when the processes are gone. */
export async function stopAll(records: ProcessRecord[], graceMs: number): Promise<void> {
  const gone = () => !records.some(isAlive);
  for (const record of records) signal(record, 'SIGTERM');
  if (await eventually(gone, { timeoutMs: graceMs, pauseMs: 20 })) return;
  for (const record of records) signal(record, 'SIGKILL');
  if (await eventually(gone, { timeoutMs: 10_000, pauseMs: 20 })) return;
  const left = records.filter(isAlive).map((record) => record.pid);
  throw new Error(`processes ${left.join(', ')} did not end after SIGKILL`);
}
