/** Stands between the worker and the S3 server, and fails as networks and servers do. */
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';

export type Fault = 'none' | 'error' | 'cut';

/** Passes everything on, unless told otherwise. */
export class S3Proxy {
  /** Decides on each request: pass it on, answer 500, or cut the connection. May take its time. */
  fault: (method: string, url: string) => Fault | Promise<Fault> = () => 'none';
  /** Is waited for when the server has answered and the client has not heard of it yet. */
  answered: (method: string, url: string) => void | Promise<void> = () => undefined;
  faults = 0;
  readonly #target: URL;
  readonly #server: Server;

  private constructor(target: URL) {
    this.#target = target;
    this.#server = createServer((incoming, answer) => void this.#handle(incoming, answer));
  }

  static async start(endpoint: string): Promise<{ proxy: S3Proxy; url: string }> {
    const proxy = new S3Proxy(new URL(endpoint));
    await new Promise<void>((resolve) => void proxy.#server.listen(0, '127.0.0.1', resolve));
    const address = proxy.#server.address();
    return { proxy, url: `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}` };
  }

  /** Ends all faults. */
  calm(): void {
    this.fault = () => 'none';
    this.answered = () => undefined;
    this.faults = 0;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => void this.#server.close(resolve));
  }

  async #handle(incoming: IncomingMessage, answer: ServerResponse): Promise<void> {
    const { method = '', url = '' } = incoming;
    const fault = await this.fault(method, url);
    if (fault !== 'none') this.faults++;
    if (fault === 'cut') {
      incoming.socket.destroy();
      return;
    }
    if (fault === 'error') {
      incoming.resume();
      answer.writeHead(500).end('<Error><Code>InternalError</Code></Error>');
      return;
    }
    const { hostname, port } = this.#target;
    const onward = request(
      { hostname, port, method, path: url, headers: incoming.headers },
      (response) => void this.#pass(response, answer, method, url),
    );
    onward.on('error', () => answer.destroy());
    incoming.pipe(onward);
  }

  async #pass(response: IncomingMessage, answer: ServerResponse, method: string, url: string): Promise<void> {
    await this.answered(method, url);
    answer.writeHead(response.statusCode ?? 502, response.headers);
    response.pipe(answer);
  }
}
