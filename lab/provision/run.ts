// Runs a helper program and keeps its output for the error message.
import { spawn } from 'node:child_process';
import process from 'node:process';
import { LabError } from '../errors.ts';

export interface RunOptions {
  cwd?: string;
  env?: Record<string, string>;
  timeoutMs?: number;
  input?: string;
  /** Called with each whole line of output, for progress. */
  onLine?: (line: string) => void;
}

/**
 * Answers the program's standard output.
 * @throws LabError when it is missing, fails or takes longer than `timeoutMs` (20 minutes when not given); the message ends with its last lines.
 */
export function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const { timeoutMs = 20 * 60_000 } = options;
  return new Promise((done, fail) => {
    const started = performance.now();
    const child = spawn(command, args, {
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
      stdio: ['pipe', 'pipe', 'pipe'],
      timeout: timeoutMs,
      killSignal: 'SIGKILL',
    });
    let output = '';
    let tail = '';
    let partial = '';
    const take = (chunk: string) => {
      tail = (tail + chunk).slice(-4000);
      const lines = (partial + chunk).split('\n');
      partial = lines.pop() ?? '';
      for (const line of lines) options.onLine?.(line);
    };
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      output += chunk;
      take(chunk);
    });
    child.stderr.setEncoding('utf8').on('data', take);
    child.stdin.on('error', () => {}); // it may end without reading
    child.stdin.end(options.input ?? '');
    child.once('error', (error: NodeJS.ErrnoException) =>
      fail(
        new LabError(
          error.code === 'ENOENT' ? `${command} is not installed` : `${command}: ${error.message}`,
        ),
      ),
    );
    child.once('close', (code, signal) => {
      if (code === 0) return done(output);
      const end = tail.trim().split('\n').slice(-6).join('\n  ');
      const late = signal === 'SIGKILL' && performance.now() - started >= timeoutMs;
      const how = late ? `took longer than ${timeoutMs / 60_000} minutes` : `ended with ${signal ?? code}`;
      fail(new LabError(`${command} ${args.slice(0, 4).join(' ')} ${how}:\n  ${end}`));
    });
  });
}
