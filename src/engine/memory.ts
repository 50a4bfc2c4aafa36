/**
 * Keeps what buffers hold near what is in use. Every megabyte that goes through leaves buffers behind that nothing refers
 * to, and V8, which sees a heap of few megabytes, is in no hurry to look for them: a hundred megabytes can wait.
 */

const CHECK_MS = 15;
/** Above this, and so much above what was in use when last looked for, garbage is collected. */
const SLACK_BYTES = 20 << 20;

/** Needs `--expose-gc`; without it nothing happens. Gives what ends it. */
export function boundBuffers(): () => void {
  const collect = (globalThis as { gc?: () => void }).gc;
  if (!collect) return () => undefined;
  let limit = SLACK_BYTES;
  const timer = setInterval(() => {
    if (process.memoryUsage().arrayBuffers < limit) return;
    collect();
    limit = process.memoryUsage().arrayBuffers + SLACK_BYTES;
  }, CHECK_MS);
  timer.unref();
  return () => clearInterval(timer);
}
