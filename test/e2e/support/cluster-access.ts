/** Any request to an API server, past the code under test. */
import { connect, type Connection } from '../../../src/kubernetes/connection.ts';
import { readAll, send } from '../../../src/kubernetes/http.ts';

/** No test is about how fast an API server is on a busy machine. */
const ANSWERED_WITHIN_MS = 60_000;

export class ClusterAccess {
  readonly connection: Connection;

  private constructor(connection: Connection) {
    this.connection = connection;
  }

  static async open(kubeconfig: string): Promise<ClusterAccess> {
    return new ClusterAccess(await connect({ kubeconfig }));
  }

  async request<T>(method: string, path: string, body?: unknown, type = 'application/json'): Promise<T> {
    const response = await send({
      method,
      url: new URL(path, this.connection.server),
      headers: { 'content-type': type },
      body: body === undefined ? undefined : JSON.stringify(body),
      credentials: await this.connection.credentials(),
      timeoutMs: ANSWERED_WITHIN_MS,
    });
    const text = await readAll(response, ANSWERED_WITHIN_MS);
    const code = response.statusCode ?? 500;
    if (code >= 300) throw new Error(`${method} ${path}: ${code} ${text}`);
    return JSON.parse(text) as T;
  }

  close(): void {
    this.connection.close();
  }
}
