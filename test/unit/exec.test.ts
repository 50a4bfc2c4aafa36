/** Bytes out of a container, over a real WebSocket to a server that does what API servers and networks do. */
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type WebSocket, WebSocketServer } from 'ws';
import { type ClaimedBackup, readClaimed } from '../../src/backups/claim-stream.ts';
import type { ClusterAccess } from '../../src/kubernetes/connection.ts';
import { execOutput } from '../../src/kubernetes/exec.ts';
import { parseJobManifest } from '../../src/specs/job-manifest.ts';

const SUCCESS = { status: 'Success' };
const failure = { status: 'Failure', message: 'command terminated with non-zero exit code' };
const archive = randomBytes(3_000_000);
const execution = { namespace: 'e', pod: 'reader', container: 'backup', command: ['cat', 'a b'] };

let server: Server;
let sockets: WebSocketServer;
let access: ClusterAccess;
/** What becomes of the next connections, one after the other; the last for all that follow. */
let script: ((socket: WebSocket, from: number) => void | Promise<void>)[];
let asked: URL[];

beforeEach(async () => {
  asked = [];
  sockets = new WebSocketServer({ noServer: true, handleProtocols: (all) => [...all][0] ?? false });
  server = createServer((_, response) => {
    response.writeHead(404).end();
  });
  server.on('upgrade', (request, socket, head) => {
    const url = new URL(request.url ?? '', 'http://x');
    asked.push(url);
    if (request.headers.authorization !== 'Bearer t') {
      const body = JSON.stringify({ kind: 'Status', reason: 'Forbidden', message: 'no pods/exec for you' });
      socket.end(`HTTP/1.1 403 Forbidden\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
      return;
    }
    sockets.handleUpgrade(request, socket, head, (opened) => {
      const act = (script.length > 1 ? script.shift() : script[0]) as (typeof script)[0];
      const skip = url.searchParams.getAll('command').find((word) => word.startsWith('skip='));
      void act(opened, Number(skip?.slice(5) ?? 0));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  access = { server: `http://127.0.0.1:${port}/`, headers: { authorization: 'Bearer t' }, tls: {} };
});

afterEach(() => {
  for (const client of sockets.clients) client.terminate();
  server.close();
});

const send = (socket: WebSocket, channel: number, body: Uint8Array | object) =>
  socket.send(
    Buffer.concat([
      Buffer.of(channel),
      body instanceof Uint8Array ? body : Buffer.from(JSON.stringify(body)),
    ]),
  );

/** Sends what is there between two bytes in messages of 32 KiB, as API servers do. */
function stream(socket: WebSocket, bytes: Buffer, start: number, end = bytes.length): void {
  for (let at = start; at < end; at += 32_768)
    send(socket, 1, bytes.subarray(at, Math.min(at + 32_768, end)));
}

const whole = (socket: WebSocket, from: number) => {
  stream(socket, archive, from);
  send(socket, 3, SUCCESS);
};

async function collect(output: AsyncIterable<Buffer>): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of output) parts.push(part);
  return Buffer.concat(parts);
}

describe('what a command in a container prints', () => {
  test('comes byte for byte, and the command goes as its words', async () => {
    script = [whole];
    const out = await collect(execOutput(access, execution));
    expect(out.equals(archive)).toBe(true);
    expect(asked[0]?.pathname).toBe('/api/v1/namespaces/e/pods/reader/exec');
    expect(asked[0]?.searchParams.getAll('command')).toEqual(['cat', 'a b']);
  });

  test.each([
    ['that is cut', (socket: WebSocket) => socket.terminate(), 'closed'],
    ['that is closed without a word', (socket: WebSocket) => socket.close(), 'closed'],
    [
      'whose command fails',
      (socket: WebSocket) => {
        send(socket, 2, Buffer.from('dd: Input/output error\n'));
        send(socket, 3, failure);
      },
      'non-zero exit code: dd: Input/output error',
    ],
  ])('never ends well over a connection %s', async (_, end, message) => {
    script = [
      (socket) => {
        stream(socket, archive, 0, 100_000);
        end(socket);
      },
    ];
    await expect(collect(execOutput(access, execution))).rejects.toThrow(message);
  });

  test('is refused with what the API server says', async () => {
    script = [whole];
    const stranger = { ...access, headers: {} };
    await expect(collect(execOutput(stranger, execution))).rejects.toMatchObject({
      status: 403,
      message: 'no pods/exec for you',
      retryable: false,
    });
  });

  test('waits in the container, not here, when nobody takes it', async () => {
    const total = 64 << 20;
    const block = Buffer.alloc(32_768, 7);
    let sent = 0;
    script = [
      async (socket) => {
        for (; sent < total; sent += block.length) {
          send(socket, 1, block);
          while (socket.bufferedAmount > 1 << 20) {
            if (socket.readyState !== socket.OPEN) return;
            await sleep(1);
          }
        }
        send(socket, 3, SUCCESS);
      },
    ];
    const output = execOutput(access, execution);
    let read = (await output.next()).value?.length ?? 0;
    let before = -1;
    while (before !== sent) {
      before = sent;
      await sleep(200);
    }
    // What waits here, in the kernel's two buffers and in the server's: far from all of it.
    expect(sent).toBeLessThan(total / 2);
    for await (const chunk of output) read += chunk.length;
    expect(read).toBe(total);
  });

  test('is no longer asked for by who has heard enough', async () => {
    script = [(socket) => stream(socket, archive, 0)];
    const stop = new AbortController();
    const output = execOutput(access, execution, stop.signal);
    await output.next();
    stop.abort(new Error('cancelled'));
    await expect(collect(output)).rejects.toThrow('cancelled');
    while (sockets.clients.size > 0) await sleep(5);
  });
});

describe('an archive on a claim', () => {
  const claimed = (more: object = {}): ClaimedBackup => ({
    backup: parseJobManifest(
      JSON.stringify({
        kind: 'slipway-job-backup',
        version: 1,
        id: 'dump-1',
        policy: 'shop',
        owner: 'w/r',
        archive: {
          name: 'dump-1.gz',
          size: archive.length,
          sha256: createHash('sha256').update(archive).digest('hex'),
          compression: 'gzip',
          ...more,
        },
        namespaces: 1,
        documents: 1,
        bytes: 1,
        startedAt: '2026-11-23T02:00:00Z',
        storedAt: '2026-11-23T02:00:00Z',
        verifiedAt: '2026-11-23T02:00:00Z',
        dumpMs: 1,
        proveMs: 1,
        tool: 'mongodump',
      }),
    ),
    location: 'PVC e/backup-pvc',
    reader: { namespace: 'e', pod: 'reader', container: 'backup', path: '/backup/dump-1.gz' },
  });
  const read = (more?: object) => collect(readClaimed(claimed(more), () => Promise.resolve(access)));

  test('is taken up where the stream broke, also where its end was lost, and comes once', async () => {
    script = [
      (socket, from) => {
        stream(socket, archive, from, from + 1_000_000);
        socket.close();
      },
      (socket, from) => {
        stream(socket, archive, from, archive.length - 10);
        send(socket, 3, SUCCESS);
      },
      whole,
    ];
    expect((await read()).equals(archive)).toBe(true);
    const starts = asked.map((url) =>
      url.searchParams.getAll('command').find((word) => word.startsWith('skip=')),
    );
    expect(starts).toEqual(['skip=0', 'skip=1000000', `skip=${archive.length - 10}`]);
  });

  test('whose reader is gone is an error that another attempt may mend, with how far it came', async () => {
    script = [
      (socket) => {
        stream(socket, archive, 0, 500_000);
        socket.close();
      },
      (socket) => socket.terminate(),
    ];
    await expect(read()).rejects.toMatchObject({
      retryable: true,
      message: expect.stringContaining('reading dump-1 broke off after 500000 of 3000000 bytes'),
    });
  });

  test.each([
    ['is shorter', { size: archive.length + 1 }, 'it has 3000000 bytes instead of 3000001'],
    ['is longer', { size: archive.length - 1 }, 'it has more than 2999999 bytes'],
    ['has other bytes', { sha256: 'ab'.repeat(32) }, 'its SHA-256 is not the one noted'],
  ])('that %s than what was proven is damaged', async (_, more, message) => {
    script = [whole];
    await expect(read(more)).rejects.toMatchObject({
      name: 'BackupDamagedError',
      message: expect.stringContaining(message),
    });
  });
});
