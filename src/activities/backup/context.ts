/** What every activity of backups does around its work: heartbeats with progress, cancellation, failures. */
import { Context } from '@temporalio/activity';
import type { TransferProgress } from '../../domain/backup/types.ts';
import { backupFailureOf } from './failure.ts';

const HEARTBEAT_MS = 1_000;
/** The rate is that of the last so many milliseconds. */
const RATE_WINDOW_MS = 10_000;

export type Report = (progress: Omit<TransferProgress, 'rate'>) => void;

/**
 * Runs an activity's work with heartbeats; what was reported last goes with them. The signal is aborted when the
 * activity is cancelled, timed out, or its worker shuts down.
 */
export async function transferring<T>(work: (signal: AbortSignal, report: Report) => Promise<T>): Promise<T> {
  const context = Context.current();
  const { cancellationSignal: signal, info } = context;
  const rate = rateMeter();
  let last: TransferProgress | undefined;
  const beat = () => context.heartbeat(last && { ...last, rate: rate(last.stage, last.bytes) });
  const timer = setInterval(beat, HEARTBEAT_MS);
  context.heartbeat();
  try {
    return await work(signal, (progress) => (last = { ...progress, rate: 0 }));
  } catch (error) {
    if (signal.aborted) return await context.cancelled;
    throw backupFailureOf(error, info.attempt);
  } finally {
    clearInterval(timer);
  }
}

/** Bytes a second over the last seconds of one stage. */
function rateMeter(): (stage: string, bytes: number) => number {
  let current = '';
  let samples: { at: number; bytes: number }[] = [];
  return (stage, bytes) => {
    const at = performance.now();
    if (stage !== current) {
      current = stage;
      samples = [];
    }
    samples = [...samples.filter((sample) => at - sample.at <= RATE_WINDOW_MS), { at, bytes }];
    const [first] = samples;
    return first && at > first.at ? Math.round(((bytes - first.bytes) * 1_000) / (at - first.at)) : 0;
  };
}
