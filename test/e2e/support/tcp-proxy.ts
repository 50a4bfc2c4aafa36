/** A wire that can be cut. */
import { connect, createServer, type Server, type Socket } from 'node:net';

export class TcpProxy {
  readonly port: number;
  readonly #server: Server;
  readonly #sockets: Set<Socket>;
  readonly #state: { cut: boolean; frozen: boolean };

  private constructor(
    port: number,
    server: Server,
    sockets: Set<Socket>,
    state: { cut: boolean; frozen: boolean },
  ) {
    this.port = port;
    this.#server = server;
    this.#sockets = sockets;
    this.#state = state;
  }

  static async start(target: number): Promise<TcpProxy> {
    const sockets = new Set<Socket>();
    const state = { cut: false, frozen: false };
    const server = createServer((near) => {
      if (state.cut) return void near.destroy();
      if (state.frozen) return void sockets.add(near.on('error', () => undefined));
      const far = connect(target, '127.0.0.1');
      for (const [socket, other] of [
        [near, far],
        [far, near],
      ] as const) {
        sockets.add(socket);
        socket.on('error', () => other.destroy());
        socket.once('close', () => {
          sockets.delete(socket);
          other.destroy();
        });
        socket.pipe(other);
      }
    });
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    return new TcpProxy(typeof address === 'object' ? (address?.port ?? 0) : 0, server, sockets, state);
  }

  /** Ends all connections and takes no new ones. */
  cut(): void {
    this.#state.cut = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  /** From now on nothing comes through, and nobody is told: as when a cable is pulled. */
  freeze(): void {
    for (const socket of this.#sockets) socket.unpipe().pause();
    this.#state.frozen = true;
  }

  mend(): void {
    this.#state.cut = false;
    this.#state.frozen = false;
  }

  async stop(): Promise<void> {
    this.cut();
    await new Promise((resolve) => void this.#server.close(resolve));
  }
}
