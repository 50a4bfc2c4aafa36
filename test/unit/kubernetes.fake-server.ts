/** An API server that behaves as badly as the test wants: each request is answered by the next line of a script. */
import { type Server, createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { Agent } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Connection } from '../../src/kubernetes/connection.ts';

export type Answer = (
  request: IncomingMessage,
  response: ServerResponse,
  body: string,
) => void | Promise<void>;

export interface Seen {
  method: string;
  url: URL;
  headers: IncomingMessage['headers'];
  body: string;
  /** Milliseconds since the server started. */
  at: number;
}

export class FakeServer {
  readonly seen: Seen[] = [];
  renewals = 0;
  token = 'secret-token-1';
  connections = 0;
  readonly #server: Server;
  readonly #script: Answer[] = [];
  readonly #agent = new Agent({ keepAlive: true });
  /** Answers what the script does not. */
  fallback: Answer = (_, response) => json(response, 500, statusOf(500, 'InternalError', 'script is over'));

  private constructor() {
    const started = performance.now();
    this.#server = createServer((request, response) => {
      let body = '';
      request.on('data', (chunk: Buffer) => {
        body += chunk.toString();
      });
      request.on('end', () => {
        const url = new URL(request.url ?? '/', 'http://localhost');
        const { method = '', headers } = request;
        this.seen.push({ method, url, headers, body, at: performance.now() - started });
        void (this.#script.shift() ?? this.fallback)(request, response, body);
      });
    });
    this.#server.on('connection', () => {
      this.connections += 1;
    });
  }

  static async start(): Promise<FakeServer> {
    const fake = new FakeServer();
    await new Promise<void>((resolve) => fake.#server.listen(0, '127.0.0.1', resolve));
    return fake;
  }

  async stop(): Promise<void> {
    this.#agent.destroy();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /** What answers the next requests, one after the other. */
  next(...answers: Answer[]): void {
    this.#script.push(...answers);
  }

  get connection(): Connection {
    const { port } = this.#server.address() as AddressInfo;
    return {
      server: new URL(`http://127.0.0.1:${port}/`),
      namespace: 'default',
      credentials: () =>
        Promise.resolve({ headers: { authorization: `Bearer ${this.token}` }, agent: this.#agent }),
      access: () => Promise.reject(new Error('not needed here')),
      renew: () => {
        this.renewals += 1;
        this.token = `secret-token-${this.renewals + 1}`;
        return Promise.resolve();
      },
      close: () => this.#agent.destroy(),
    };
  }
}

export function statusOf(code: number, reason: string, message: string, details?: object): object {
  return { kind: 'Status', apiVersion: 'v1', status: 'Failure', code, reason, message, details };
}

export function json(response: ServerResponse, status: number, body: unknown, headers: object = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify(body));
}

export const ok =
  (body: unknown): Answer =>
  (_, response) =>
    json(response, 200, body);

export const fails =
  (code: number, reason: string, message = reason, headers: object = {}): Answer =>
  (_, response) =>
    json(response, code, statusOf(code, reason, message), headers);

/** Breaks the connection without an answer. */
export const resets: Answer = (request) => {
  request.socket.resetAndDestroy();
};

/** Takes the request and never answers. */
export const hangs: Answer = () => {};

/** A watch that sends these events; then it ends cleanly, unless told to stay. */
export const streams =
  (events: object[], { stay = false, cut }: { stay?: boolean; cut?: number } = {}): Answer =>
  (_, response) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    const text = events.map((event) => `${JSON.stringify(event)}\n`).join('');
    // In pieces that cut lines, and characters, in two.
    const bytes = Buffer.from(text);
    for (let at = 0; at < bytes.length; at += cut ?? bytes.length)
      response.write(bytes.subarray(at, at + (cut ?? bytes.length)));
    if (!stay) response.end();
  };

/** A pod as a list or watch gives it. */
export function pod(name: string, version: number, uid = `uid-${name}`, more: object = {}): object {
  return {
    metadata: {
      name,
      namespace: 'shop',
      uid,
      resourceVersion: String(version),
      creationTimestamp: '2026-01-01T00:00:00Z',
      managedFields: [{ manager: 'kubelet' }],
    },
    spec: { containers: [] },
    ...more,
  };
}

export function listOf(version: number, items: object[], next?: string): object {
  return {
    kind: 'List',
    metadata: { resourceVersion: String(version), ...(next && { continue: next }) },
    items,
  };
}

export function event(type: string, object: object): object {
  return { type, object };
}

export function bookmark(version: number): object {
  return event('BOOKMARK', { kind: 'Pod', metadata: { resourceVersion: String(version) } });
}
