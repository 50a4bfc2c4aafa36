/**
 * Turns a producer that pushes into a stream that is pulled. `produce` is given a sink whose promise resolves when at
 * most `capacity` bytes wait; its failure is thrown to the reader, and a reader that stops aborts the signal.
 */
export async function* streamOf(
  produce: (sink: (chunk: Buffer) => Promise<void>, signal: AbortSignal) => Promise<void>,
  { capacity = 1 << 20, signal }: { capacity?: number; signal?: AbortSignal | undefined } = {},
): AsyncGenerator<Buffer> {
  const stopped = new AbortController();
  const stop = signal ? AbortSignal.any([signal, stopped.signal]) : stopped.signal;
  const waiting: Buffer[] = [];
  let waitingBytes = 0;
  let finished = false;
  let wakeReader = Promise.withResolvers<void>();
  let wakeWriter = Promise.withResolvers<void>();
  stop.addEventListener('abort', () => wakeWriter.resolve(), { once: true });
  const sink = async (chunk: Buffer) => {
    stop.throwIfAborted();
    waiting.push(chunk);
    waitingBytes += chunk.length;
    wakeReader.resolve();
    while (waitingBytes > capacity) {
      await wakeWriter.promise;
      stop.throwIfAborted();
    }
  };
  const producing = produce(sink, stop).finally(() => {
    finished = true;
    wakeReader.resolve();
  });
  producing.catch(() => undefined); // is awaited below
  try {
    for (;;) {
      const chunk = waiting.shift();
      if (chunk) {
        waitingBytes -= chunk.length;
        wakeWriter.resolve();
        wakeWriter = Promise.withResolvers();
        yield chunk;
      } else if (finished) {
        break;
      } else {
        await wakeReader.promise;
        wakeReader = Promise.withResolvers();
      }
    }
    await producing;
  } finally {
    stopped.abort(new Error('the reader of the stream stopped'));
    await producing.catch(() => undefined);
  }
}
