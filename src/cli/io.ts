/** The session of a real process. */
import process from 'node:process';
import { createInterface } from 'node:readline/promises';
import picocolors from 'picocolors';
import type { Session, Terminal } from './session.ts';
import { VERSION } from '../version.ts';

const MAX_STDIN_BYTES = 1024 * 1024;

export function processSession(): Session {
  const gone = new AbortController();
  swallowBrokenPipe(gone);
  return {
    write: (text) => void process.stdout.write(text),
    out: (line) => void process.stdout.write(`${line}\n`),
    err: (line) => void process.stderr.write(`${line}\n`),
    env: process.env,
    readStdin,
    terminal: terminal(),
    colors: picocolors.createColors(wantsColor()),
    now: Date.now,
    confirm,
    interrupted: () => interrupted(gone.signal),
    async openKube(options) {
      const { openKube } = await import('../kubernetes/kube.ts');
      return await openKube({ ...options, version: VERSION });
    },
    async connect(flags) {
      const { SlipwayClient } = await import('../client.ts');
      return await SlipwayClient.connect({
        ...(flags.address === undefined ? {} : { address: flags.address }),
        ...(flags.profile === undefined ? {} : { profile: flags.profile }),
        ...(flags.connectWithin === undefined ? {} : { timeoutMs: flags.connectWithin }),
        ...(flags.temporalNamespace === undefined ? {} : { namespace: flags.temporalNamespace }),
      });
    },
  };
}

/** `slipway ... | head` ends quietly; a command that waits is told that nobody listens any more. */
function swallowBrokenPipe(gone: AbortController): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
      gone.abort();
    });
  }
}

function terminal(): Terminal {
  const { stdout } = process;
  return {
    live: stdout.isTTY === true && process.env['TERM'] !== 'dumb' && !process.env['CI'],
    get columns() {
      return stdout.columns ?? (Number(process.env['COLUMNS']) || 100);
    },
    get rows() {
      return stdout.rows ?? 40;
    },
    onResize(listener) {
      stdout.on('resize', listener);
      return () => stdout.off('resize', listener);
    },
  };
}

/** https://no-color.org and FORCE_COLOR; otherwise colours are for terminals. */
function wantsColor(): boolean {
  const { env, stdout } = process;
  if (env['NO_COLOR']) return false;
  if (env['FORCE_COLOR']) return env['FORCE_COLOR'] !== '0';
  return stdout.isTTY === true && env['TERM'] !== 'dumb';
}

async function readStdin(): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_STDIN_BYTES) break;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

async function confirm(question: string): Promise<boolean | undefined> {
  if (process.stdin.isTTY !== true || process.stderr.isTTY !== true) return undefined;
  const prompt = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return /^y(es)?$/i.test((await prompt.question(`${question} [y/N] `)).trim());
  } catch {
    return false;
  } finally {
    prompt.close();
  }
}

const ENDING = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** The first signal detaches; a second one, or one after `stop`, ends the process as usual. */
function interrupted(gone: AbortSignal): { signal: AbortSignal; stop: () => void } {
  const controller = new AbortController();
  const abort = () => {
    controller.abort();
    stop();
  };
  const stop = () => {
    for (const name of ENDING) process.off(name, abort);
  };
  for (const name of ENDING) process.on(name, abort);
  return { signal: AbortSignal.any([controller.signal, gone]), stop };
}
