/**
 * Keeps what buffers hold near what is in use. Every megabyte that goes through leaves buffers behind that nothing refers
 * to, and V8, which sees a heap of few megabytes, is in no hurry to look for them: a hundred megabytes can wait.
 */
import { getHeapStatistics } from 'node:v8';

const CHECK_MS = 15;
/** Above this, and so much above what was in use when last looked for, garbage is collected. */
const SLACK_BYTES = 20 << 20;

/** Needs `--expose-gc`; without it nothing happens. Gives what ends it. */
export function boundBuffers(): () => void {
  const collect = (globalThis as { gc?: (options?: { type: 'minor' }) => void }).gc;
  if (!collect) return () => undefined;
  let limit = SLACK_BYTES;
  // Unlike process.memoryUsage() this does not ask the system.
  const held = () => getHeapStatistics().external_memory;
  const timer = setInterval(() => {
    if (held() < limit) return;
    // Most of it has died young, and a look at the young costs a tenth of a look at all.
    collect({ type: 'minor' });
    if (held() < limit) return;
    collect();
    limit = held() + SLACK_BYTES;
  }, CHECK_MS);
  timer.unref();
  return () => clearInterval(timer);
}
