import type { IncomingMessage } from 'node:http';
import { BadPayload, LIMITS } from './payload.ts';

/** Reads a body of at most 1 MiB within `withinMs`. Throws {@link BadPayload}; what remains is left unread. */
export async function readBody(request: IncomingMessage, withinMs: number): Promise<string> {
  const announced = Number(request.headers['content-length'] ?? 0);
  if (announced > LIMITS.bodyBytes) throw tooLarge();
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const chunks: Buffer[] = [];
  let size = 0;
  const timer = setTimeout(
    () => reject(new BadPayload(`the body did not arrive within ${withinMs / 1_000} s`)),
    withinMs,
  );
  const onData = (chunk: Buffer): void => {
    size += chunk.length;
    if (size > LIMITS.bodyBytes) reject(tooLarge());
    else chunks.push(chunk);
  };
  request.on('data', onData);
  request.once('end', () => resolve(Buffer.concat(chunks).toString('utf8')));
  request.once('error', () => reject(new BadPayload('the connection broke before the body was complete')));
  request.once('close', () =>
    reject(new BadPayload('the connection was closed before the body was complete')),
  );
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    request.off('data', onData);
    request.pause();
  }
}

function tooLarge(): BadPayload {
  return new BadPayload(`the body is larger than ${LIMITS.bodyBytes} bytes`);
}
