// Free ports on 127.0.0.1, the same ones again after a restart when they are still free.
import { createServer } from 'node:net';
import { eventually } from './wait.ts';

const HOST = '127.0.0.1';

function tryListen(port: number): Promise<number | undefined> {
  return new Promise((answer) => {
    const server = createServer();
    server.once('error', () => answer(undefined));
    server.listen({ host: HOST, port, exclusive: true }, () => {
      const address = server.address();
      const bound = typeof address === 'object' && address ? address.port : undefined;
      server.close(() => answer(bound));
    });
  });
}

/** True when nobody listens on 127.0.0.1:port. */
export async function portIsFree(port: number): Promise<boolean> {
  return (await tryListen(port)) === port;
}

/**
 * A port for every name: the remembered one when it is free (or `inUse` says that its own daemon holds it), else a new one.
 * All answered ports differ. Ports below the ephemeral range are taken, so that no outgoing connection sits on one
 * of them while its server restarts.
 */
export async function allocatePorts(
  names: readonly string[],
  remembered: Readonly<Record<string, number>>,
  inUse: (name: string) => boolean = () => false,
): Promise<Record<string, number>> {
  const ports: Record<string, number> = {};
  const taken = new Set<number>(Object.values(remembered));
  for (const name of names) {
    const port = remembered[name];
    if (port !== undefined && (inUse(name) || (await becomesFree(port)))) {
      ports[name] = port;
      continue;
    }
    ports[name] = await freePort(taken);
    taken.add(ports[name]);
  }
  return ports;
}

/** A server that was just killed may hold its port a moment longer. */
async function becomesFree(port: number): Promise<boolean> {
  return (await eventually(() => portIsFree(port), { timeoutMs: 1_000, pauseMs: 50 })) ?? false;
}

const FIRST = 20_000;
const LAST = 32_000; // Linux gives out 32768 and above to outgoing connections

async function freePort(taken: ReadonlySet<number>): Promise<number> {
  for (let attempt = 0; attempt < 1000; attempt++) {
    const port = FIRST + Math.floor(Math.random() * (LAST - FIRST));
    if (!taken.has(port) && (await portIsFree(port))) return port;
  }
  throw new Error(`no free port on ${HOST} between ${FIRST} and ${LAST}`);
}
