/** What the process that restores holds in memory when the archive comes out of a pod: over TLS, as from an API server. */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { createReadStream, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { WebSocketServer } from 'ws';
import type { ClusterAccess } from '../../src/kubernetes/connection.ts';
import { type MongoServer, startMongod } from './backup-engine.support.ts';
import { backAgain, fillLarge, type Place, thereOnly } from './support/engine-memory.ts';

let mongo: MongoServer;
let directory: string;
let server: Server;
let access: ClusterAccess;

beforeAll(async () => {
  [mongo, directory] = await Promise.all([
    startMongod({ cacheGigabytes: 0.5 }),
    mkdtemp(join(tmpdir(), 'slipway-memory-claim-')),
  ]);
  const [key, cert] = [join(directory, 'key.pem'), join(directory, 'cert.pem')];
  execFileSync(
    'openssl',
    [
      ...[
        'req',
        '-x509',
        '-newkey',
        'ec',
        '-pkeyopt',
        'ec_paramgen_curve:prime256v1',
        '-nodes',
        '-days',
        '1',
      ],
      ...['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key, '-out', cert],
    ],
    { stdio: 'ignore' },
  );
  server = createServer({ key: readFileSync(key), cert: readFileSync(cert) });
  serveFiles(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  access = { server: `https://127.0.0.1:${port}/`, headers: {}, tls: { ca: readFileSync(cert) } };
});

afterAll(async () => {
  server?.close();
  await mongo?.stop();
  if (directory) await rm(directory, { recursive: true });
});

/** Does what `dd` in a container does, in messages of 32 KiB. */
function serveFiles(on: Server): void {
  const sockets = new WebSocketServer({ server: on, handleProtocols: (all) => [...all][0] ?? false });
  sockets.on('connection', (socket, request) => {
    const command = new URL(request.url ?? '', 'http://x').searchParams.getAll('command');
    const word = (name: string) => command.find((each) => each.startsWith(name))?.slice(name.length) ?? '';
    void (async () => {
      const file = createReadStream(word('if='), { start: Number(word('skip=')), highWaterMark: 32_768 });
      for await (const chunk of file as AsyncIterable<Buffer>) {
        socket.send(Buffer.concat([Buffer.of(1), chunk]));
        while (socket.bufferedAmount > 1 << 20 && socket.readyState === socket.OPEN) await sleep(1);
        if (socket.readyState !== socket.OPEN) return;
      }
      socket.send(Buffer.concat([Buffer.of(3), Buffer.from('{"status":"Success"}')]));
    })();
  });
}

test('the process that restores from a claim stays under 200 MB', async () => {
  const db = await fillLarge(mongo.client, 'large');
  const place: Place = {
    server: mongo,
    settings: `  destination: { directory: ${directory} }\n  compression: gzip\n`,
    env: {},
    access: () => Promise.resolve(access),
  };
  const { policy, summary } = await thereOnly(place, 'large');
  const { id, archive, size, sha256, namespaces, documents, bytes, at } = summary;
  const peak = await backAgain(place, 'large', policy, summary, {
    claimed: {
      backup: {
        kind: 'slipway-job-backup',
        version: 1,
        id,
        policy: policy.metadata.name,
        owner: 'w/r',
        archive: { name: archive, size, sha256, compression: 'gzip' },
        ...{ namespaces, documents, bytes, startedAt: at, storedAt: at, verifiedAt: at },
        ...{ dumpMs: 1, proveMs: 1, tool: 'mongodump' },
      },
      location: 'PVC e/backup-pvc',
      reader: { namespace: 'e', pod: 'reader', container: 'backup', path: join(directory, archive) },
    },
  });
  console.log(`peak ${Math.round(peak / 1e6)} MB for an archive of ${Math.round(size / 1e6)} MB`);
  expect(peak).toBeGreaterThan(30e6);
  await db.dropDatabase();
});
