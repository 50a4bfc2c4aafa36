/** One HTTP exchange with the API server over a pooled connection. No retries here. */
import { type ClientRequest, type IncomingMessage, request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { Credentials } from './connection.ts';

interface Exchange {
  method: string;
  url: URL;
  headers: Record<string, string>;
  body?: string | undefined;
  credentials: Credentials;
  /** Ends the exchange from outside. */
  signal?: AbortSignal | undefined;
  /** Milliseconds within which the head of the answer must be there. */
  timeoutMs: number;
}

/** Sends a request and resolves with the head of the answer; its body is still to be read. */
export function send(exchange: Exchange): Promise<IncomingMessage> {
  const { method, url, headers, body, credentials, signal, timeoutMs } = exchange;
  return new Promise((resolve, reject) => {
    const open = url.protocol === 'http:' ? httpRequest : httpsRequest;
    const request: ClientRequest = open(url, {
      method,
      agent: credentials.agent,
      headers: {
        accept: 'application/json',
        ...credentials.headers,
        ...headers,
        ...(body !== undefined && { 'content-length': String(Buffer.byteLength(body)) }),
      },
      ...(signal && { signal }),
    });
    const timer = setTimeout(() => request.destroy(new TimeoutError(timeoutMs)), timeoutMs);
    request.on('response', (response) => {
      clearTimeout(timer);
      resolve(response);
    });
    request.on('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    request.end(body);
  });
}

/** Reads a whole answer. Throws when it is cut off, and after `timeoutMs`. */
export async function readAll(response: IncomingMessage, timeoutMs: number): Promise<string> {
  const timer = setTimeout(() => response.destroy(new TimeoutError(timeoutMs)), timeoutMs);
  try {
    const chunks: Buffer[] = [];
    for await (const chunk of response) chunks.push(chunk as Buffer);
    return Buffer.concat(chunks).toString('utf8');
  } finally {
    clearTimeout(timer);
  }
}

/** Splits a stream into lines. Bytes are joined before they are decoded, so characters are never cut. */
export async function* readLines(response: AsyncIterable<Buffer>): AsyncGenerator<string> {
  let rest: Buffer[] = [];
  for await (const chunk of response) {
    let start = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      yield Buffer.concat([...rest, chunk.subarray(start, end)]).toString('utf8');
      rest = [];
      start = end + 1;
    }
    if (start < chunk.length) rest.push(chunk.subarray(start));
  }
  // What comes after the last newline was cut off on the way.
}

class TimeoutError extends Error {
  readonly code = 'ETIMEDOUT';

  constructor(ms: number) {
    super(`timed out after ${ms} ms`);
  }
}
