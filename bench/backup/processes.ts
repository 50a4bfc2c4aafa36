// CPU and memory of a process, read from /proc while it runs.
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';

const TICKS_PER_SECOND = 100;
const SAMPLE_MS = 20;

export interface Usage {
  cpuSeconds: number;
  /** Peak of resident memory, MB (10^6 bytes). */
  peakMegabytes: number;
}

export interface Measurement extends Usage {
  name: string;
  wallSeconds: number;
  /** CPU that the server spent meanwhile. */
  serverCpuSeconds: number;
  /** Size of the archive, for dumps. */
  outputMegabytes?: number;
}

export function cpuSecondsOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** Children of this process. */
export function children(): number[] {
  const list = readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').trim();
  return list === '' ? [] : list.split(' ').map(Number);
}

/** Follows a process until it has ended or `end` is called; what was read last stays. */
export function watch(pid: () => number | undefined): Usage & { end: () => void } {
  const seen = { cpuSeconds: 0, peakMegabytes: 0, end: () => clearInterval(timer) };
  const timer = setInterval(() => {
    const now = pid();
    if (now === undefined) return;
    try {
      seen.cpuSeconds = cpuSecondsOf(now);
      const peak = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${now}/status`, 'utf8'))?.[1];
      seen.peakMegabytes = Math.max(seen.peakMegabytes, (Number(peak ?? 0) * 1024) / 1e6);
    } catch {
      // it has just ended
    }
  }, SAMPLE_MS);
  return seen;
}

/** Runs a program to its end. @throws Error with what it said when it fails */
export async function measure(
  name: string,
  server: number,
  command: string,
  args: string[],
): Promise<Measurement> {
  const start = performance.now();
  const serverBefore = cpuSecondsOf(server);
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  const seen = watch(() => child.pid);
  let complaint = '';
  child.stderr.on('data', (chunk: Buffer) => (complaint = (complaint + chunk.toString()).slice(-2000)));
  const code = await new Promise((resolve, reject) => child.once('exit', resolve).once('error', reject));
  seen.end();
  if (code !== 0) throw new Error(`${name} ended with ${String(code)}: ${complaint}`);
  return {
    name,
    wallSeconds: (performance.now() - start) / 1000,
    cpuSeconds: seen.cpuSeconds,
    peakMegabytes: seen.peakMegabytes,
    serverCpuSeconds: cpuSecondsOf(server) - serverBefore,
  };
}
