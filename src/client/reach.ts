/** What stands between us and an address, found by a plain connection once gRPC has given up. */
import { connect } from 'node:net';

const WITHIN_MS = 1_000;
/** Port that Temporal's clients add to an address without one. */
const TEMPORAL_PORT = 7233;

/** Host and port of `host:port`, `host`, `[::1]:port` or a URL of gRPC; `null` when it is none of these. */
export function hostAndPort(address: string): { host: string; port: number } | null {
  const match = /^(?:[a-z+]+:\/{2,3})?(\[[0-9a-f:.]+\]|[^\s:/]+)(?::(\d{1,5}))?$/i.exec(address);
  const host = match?.[1]?.replace(/^\[|\]$/g, '');
  const port = Number(match?.[2] ?? TEMPORAL_PORT);
  return host === undefined || port < 1 || port > 65_535 ? null : { host, port };
}

/** Half a sentence on why nobody answers there as Temporal. */
export async function whyUnreachable(address: string): Promise<string> {
  const target = hostAndPort(address);
  if (!target) return 'it is no host:port';
  const { promise, resolve } = Promise.withResolvers<string>();
  const socket = connect(target);
  socket.once('connect', () =>
    resolve('something answers there, but not as Temporal; do the TLS settings fit it?'),
  );
  socket.once('error', ({ code }: NodeJS.ErrnoException) => resolve(causeOf(code, target.host)));
  socket.setTimeout(WITHIN_MS, () => resolve('nothing answers there'));
  try {
    return await promise;
  } finally {
    socket.destroy();
  }
}

function causeOf(code: string | undefined, host: string): string {
  if (code === 'ECONNREFUSED') return 'nothing listens there; is the server running?';
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return `the host name "${host}" is not known`;
  return `it does not answer (${code ?? 'unknown error'})`;
}
