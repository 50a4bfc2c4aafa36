/** A small HTTP server around exact routes, with bounds on time, and a shutdown that lets requests finish. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { BadSetting } from '../client/errors.ts';
import type { ListenAddress } from './settings.ts';

export interface Reply {
  status: number;
  /** JSON unless it is a string. */
  body: unknown;
  headers?: Record<string, string>;
}

type Handler = (request: IncomingMessage) => Promise<Reply> | Reply;

/** Routes by path, then by method. */
type Routes = Record<string, Record<string, Handler>>;

interface HttpOptions {
  routes: Routes;
  listen: ListenAddress;
  /** Variable that holds the address, for the message when it cannot be listened on. */
  setting: string;
  /** Whole request, body included, in milliseconds. */
  requestTimeoutMs?: number;
  onError(error: unknown, request: IncomingMessage): void;
  onReply?(status: number, path: string): void;
}

export interface HttpServer {
  url: string;
  port: number;
  /** Stops accepting, lets requests in flight finish for `withinMs`, then cuts what is left. */
  close(withinMs: number): Promise<void>;
}

const HEADERS_TIMEOUT_MS = 5_000;

/** Throws {@link BadSetting} when the address cannot be listened on. */
export async function serve(options: HttpOptions): Promise<HttpServer> {
  const server = createServer((request, response) => {
    void answer(options, request, response, () => !server.listening);
  });
  server.headersTimeout = HEADERS_TIMEOUT_MS;
  server.requestTimeout = options.requestTimeoutMs ?? 10_000;
  server.keepAliveTimeout = 75_000;
  server.maxHeadersCount = 100;
  await listen(server, options);
  const { port } = server.address() as AddressInfo;
  const host = options.listen.host.includes(':') ? `[${options.listen.host}]` : options.listen.host;
  return { url: `http://${host}:${port}`, port, close: (withinMs) => close(server, withinMs) };
}

/** Answers 404 and 405 itself; a handler that throws is a bug and answers 500 without details. */
async function answer(
  options: HttpOptions,
  request: IncomingMessage,
  response: ServerResponse,
  closing: () => boolean,
): Promise<void> {
  const path = (request.url ?? '/').split('?', 1)[0] ?? '/';
  const route = Object.hasOwn(options.routes, path) ? options.routes[path] : undefined;
  let reply: Reply;
  try {
    reply = route
      ? await dispatch(route, path, request)
      : { status: 404, body: { error: `there is no ${path.slice(0, 100)}` } };
  } catch (error) {
    options.onError(error, request);
    reply = { status: 500, body: { error: 'internal error; the log has details' } };
  }
  options.onReply?.(reply.status, route ? path : 'other');
  // While closing, a connection kept alive would hold up the end until its timeout. And what is left of a body that we
  // refused to read would be taken for the next request.
  const last = closing() || !request.complete;
  send(request, response, last ? { ...reply, headers: { ...reply.headers, connection: 'close' } } : reply);
}

function dispatch(
  route: Record<string, Handler>,
  path: string,
  request: IncomingMessage,
): Promise<Reply> | Reply {
  const method = request.method === 'HEAD' ? 'GET' : (request.method ?? '');
  const handler = Object.hasOwn(route, method) ? route[method] : undefined;
  if (handler) return handler(request);
  const allowed = Object.keys(route).join(', ');
  return { status: 405, body: { error: `${path} takes ${allowed} only` }, headers: { allow: allowed } };
}

function send(request: IncomingMessage, response: ServerResponse, reply: Reply): void {
  if (response.destroyed) return;
  const text = typeof reply.body === 'string' ? reply.body : `${JSON.stringify(reply.body)}\n`;
  response.writeHead(reply.status, {
    'content-type': typeof reply.body === 'string' ? 'text/plain; charset=utf-8' : 'application/json',
    'content-length': Buffer.byteLength(text),
    'cache-control': 'no-store',
    ...reply.headers,
  });
  response.end(request.method === 'HEAD' ? undefined : text);
}

function listen(server: Server, options: HttpOptions): Promise<void> {
  const { host, port } = options.listen;
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      reject(
        new BadSetting(
          `${options.setting}: cannot listen on ${host}:${port} (${error.code ?? error.message})`,
          { cause: error },
        ),
      );
    });
    server.listen(port, host, () => resolve());
  });
}

async function close(server: Server, withinMs: number): Promise<void> {
  const closed = new Promise<void>((resolve) => {
    server.close(() => resolve());
  });
  server.closeIdleConnections();
  const cut = setTimeout(() => server.closeAllConnections(), withinMs);
  await closed;
  clearTimeout(cut);
}
