import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';

/** As abruptly as a machine dies; returns when it is gone. */
export async function killed(child: ChildProcess | null): Promise<void> {
  if (!child || child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'exit');
}
