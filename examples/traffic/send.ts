/** One GET request, from the first byte to the last of its answer. */
import type { Agent } from 'node:http';
import { get } from 'node:http';
import type { Failure, Success } from './tally.ts';

export interface SendOptions {
  agent: Agent;
  timeoutMs: number;
  /** Asks the server to close the connection after this answer. */
  close: boolean;
}

export type Outcome = { success: Success } | { failure: Failure };

/** Never rejects: whatever goes wrong is a `failure`. */
export async function send(url: string, options: SendOptions): Promise<Outcome> {
  const at = new Date();
  const startedAt = performance.now();
  const elapsed = () => performance.now() - startedAt;
  return new Promise((resolve) => {
    const failed = (error: Error) => {
      const kind = error.name === 'TimeoutError' || error.name === 'AbortError' ? 'timeout' : 'connection';
      const message = kind === 'timeout' ? `no answer within ${options.timeoutMs} ms` : error.message;
      resolve({ failure: { at, url, kind, message, milliseconds: elapsed() } });
    };
    const request = get(
      url,
      {
        agent: options.agent,
        signal: AbortSignal.timeout(options.timeoutMs),
        ...(options.close ? { headers: { connection: 'close' } } : {}),
      },
      (response) => {
        const status = response.statusCode ?? 0;
        const from = {
          ...header('version', response.headers['x-version']),
          ...header('pod', response.headers['x-pod']),
        };
        response.on('error', failed);
        response.on('end', () => {
          const milliseconds = elapsed();
          if (status >= 500)
            resolve({ failure: { at, url, kind: 'status', message: String(status), milliseconds, ...from } });
          else resolve({ success: { at, status, milliseconds, ...from } });
        });
        response.resume();
      },
    );
    request.on('error', failed);
  });
}

function header(
  name: 'version' | 'pod',
  value: string | string[] | undefined,
): { version?: string; pod?: string } {
  return typeof value === 'string' ? { [name]: value } : {};
}
