/**
 * What a command in a container prints, byte for byte, over the API server's WebSocket: nothing is lost, doubled or
 * buffered without bound, and an end is only an end when the API server says that the command has ended well.
 */
import { WebSocket } from 'ws';
import type { ClusterAccess } from './connection.ts';
import { errorOfNetwork, errorOfResponse, KubeError } from './errors.ts';
import { readAll } from './http.ts';
import { pathOf, PODS } from './paths.ts';

/** First byte of every message: which stream the rest is of. */
const CHANNEL = { stdout: 1, stderr: 2, status: 3 } as const;
const PROTOCOLS = ['v5.channel.k8s.io', 'v4.channel.k8s.io'];
const HANDSHAKE_MS = 20_000;
/** So much waits for who reads; beyond it the socket is not read, and the command in the container waits. */
const WAITING_BYTES = 4 << 20;
const PING_EVERY_MS = 10_000;
/** A cut that nobody tells of: neither a byte nor the answer to a ping for so long. */
const SILENT_MS = 60_000;
const KEPT_STDERR = 2_000;
const BODY_MS = 10_000;

export interface Execution {
  namespace: string;
  pod: string;
  container: string;
  command: readonly string[];
}

interface Status {
  status?: string;
  message?: string;
}

/**
 * Runs a command and yields its standard output as it comes.
 * @throws KubeError when the API server refuses, the connection is cut, or the command fails; the signal's reason
 */
export async function* execOutput(
  access: ClusterAccess,
  execution: Execution,
  signal?: AbortSignal,
): AsyncGenerator<Buffer> {
  signal?.throwIfAborted();
  const output = new Output(access, execution);
  const stop = () => output.fail(signal?.reason);
  signal?.addEventListener('abort', stop, { once: true });
  try {
    for (let chunk = await output.next(); chunk; chunk = await output.next()) yield chunk;
  } finally {
    signal?.removeEventListener('abort', stop);
    output.close();
  }
}

function urlOf({ server }: ClusterAccess, { namespace, pod, container, command }: Execution): URL {
  const url = new URL(`${pathOf(PODS, namespace, pod)}/exec`, server);
  url.protocol = url.protocol === 'http:' ? 'ws:' : 'wss:';
  for (const [name, value] of Object.entries({ container, stdout: 'true', stderr: 'true' }))
    url.searchParams.set(name, value);
  for (const word of command) url.searchParams.append('command', word);
  return url;
}

/** One socket, read no faster than its bytes are taken. */
class Output {
  readonly #what: string;
  readonly #socket: WebSocket;
  readonly #pinging: NodeJS.Timeout;
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #ended = false;
  #error: unknown;
  #stderr = '';
  #heard = performance.now();
  #changed = Promise.withResolvers<void>();

  constructor(access: ClusterAccess, execution: Execution) {
    this.#what = `exec in pod ${execution.namespace}/${execution.pod}`;
    this.#socket = new WebSocket(urlOf(access, execution), PROTOCOLS, {
      headers: access.headers,
      ...access.tls,
      handshakeTimeout: HANDSHAKE_MS,
      perMessageDeflate: false,
      maxPayload: WAITING_BYTES,
    });
    this.#socket.on('message', (data) => this.#take(data as Buffer));
    this.#socket.on('pong', () => void (this.#heard = performance.now()));
    this.#socket.on('unexpected-response', (_, response) => {
      void readAll(response, BODY_MS)
        .catch(() => '')
        .then((text) => this.fail(errorOfResponse(this.#what, response.statusCode ?? 0, text)));
    });
    this.#socket.on('error', (error) => this.fail(errorOfNetwork(this.#what, error)));
    this.#socket.on('close', (code) => this.fail(this.#cut(`the connection was closed, code ${code}`)));
    this.#pinging = setInterval(() => this.#ping(), PING_EVERY_MS);
  }

  /** The next bytes; `undefined` at the end of a command that has ended well. */
  async next(): Promise<Buffer | undefined> {
    for (;;) {
      const chunk = this.#waiting.shift();
      if (chunk) {
        this.#waitingBytes -= chunk.length;
        if (this.#waitingBytes === 0 && this.#socket.isPaused) this.#resume();
        return chunk;
      }
      if (this.#error !== undefined) throw this.#error;
      if (this.#ended) return undefined;
      await this.#changed.promise;
      this.#changed = Promise.withResolvers();
    }
  }

  /** Only the first failure counts, and none does after the end. */
  fail(error: unknown): void {
    if (!this.#ended) this.#error ??= error;
    this.#changed.resolve();
  }

  close(): void {
    clearInterval(this.#pinging);
    this.#ended = true;
    // Who has heard enough waits for no farewell.
    this.#socket.terminate();
  }

  #resume(): void {
    this.#heard = performance.now();
    this.#socket.resume();
  }

  #take(data: Buffer): void {
    this.#heard = performance.now();
    const body = data.subarray(1);
    if (data[0] === CHANNEL.stdout && body.length > 0) {
      this.#waiting.push(body);
      this.#waitingBytes += body.length;
      if (this.#waitingBytes >= WAITING_BYTES) this.#socket.pause();
    } else if (data[0] === CHANNEL.stderr) {
      this.#stderr = (this.#stderr + body.toString('utf8')).slice(-KEPT_STDERR);
    } else if (data[0] === CHANNEL.status) this.#conclude(body.toString('utf8'));
    this.#changed.resolve();
  }

  #conclude(text: string): void {
    let status: Status = {};
    try {
      status = JSON.parse(text) as Status;
    } catch {
      // What is no Status is no success.
    }
    if (status.status === 'Success') this.#ended = true;
    else {
      const said = this.#stderr.trim();
      this.fail(this.#cut(`${status.message ?? 'it did not end well'}${said === '' ? '' : `: ${said}`}`));
    }
  }

  #cut(why: string): KubeError {
    return new KubeError({
      status: 0,
      reason: 'StreamEnded',
      message: `${this.#what}: ${why}`,
      retryable: true,
    });
  }

  /** A socket that is not read hears nothing, and is not to blame for it. */
  #ping(): void {
    if (this.#socket.readyState !== WebSocket.OPEN || this.#socket.isPaused) return;
    if (performance.now() - this.#heard > SILENT_MS)
      this.fail(this.#cut(`nothing has been heard for ${SILENT_MS / 1_000} s`));
    else this.#socket.ping();
  }
}
