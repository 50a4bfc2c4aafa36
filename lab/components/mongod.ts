import { listening } from '../wait.ts';
import type { Lab } from '../lab.ts';
import type { Component } from './component.ts';

const REPLICA_SET = 'rs0';

export const mongodbUri = (lab: Lab): string =>
  `mongodb://127.0.0.1:${lab.port('mongod')}/?replicaSet=${REPLICA_SET}&directConnection=true`;

/** A replica set of one, so that change streams, transactions and the oplog are there. No passwords: loopback only. */
export const mongod: Component = {
  name: 'mongod',
  parts: ['mongod'],
  ports: ['mongod'],
  after: [],
  readyTimeoutMs: 45_000,
  launch(lab) {
    return {
      part: 'mongod',
      args: [
        ...['--replSet', REPLICA_SET, '--bind_ip', '127.0.0.1', '--port', String(lab.port('mongod'))],
        ...['--dbpath', lab.folder('data', 'mongod'), '--nounixsocket', '--wiredTigerCacheSizeGB', '0.5'],
        ...['--setParameter', 'diagnosticDataCollectionEnabled=false'],
      ],
    };
  },
  ready: (lab) => listening(lab.port('mongod')),
  async settle(lab) {
    const { MongoClient, MongoServerError } = await import('mongodb');
    const port = lab.port('mongod');
    const client = new MongoClient(`mongodb://127.0.0.1:${port}/?directConnection=true`, {
      serverSelectionTimeoutMS: 10_000,
    });
    try {
      const admin = client.db('admin');
      const host = `127.0.0.1:${port}`;
      try {
        await admin.command({ replSetInitiate: { _id: REPLICA_SET, members: [{ _id: 0, host }] } });
      } catch (error) {
        if (!(error instanceof MongoServerError) || error.codeName !== 'AlreadyInitialized') throw error;
        await followPort(admin, host);
      }
      for (let attempt = 0; attempt < 200; attempt++) {
        if ((await admin.command({ hello: 1 }))['isWritablePrimary']) return;
        await new Promise((next) => setTimeout(next, 100));
      }
      throw new Error('mongod did not become primary within 20 s; see its log');
    } finally {
      await client.close();
    }
  },
};

/** After a start on another port the set's only member must be told its new address. */
async function followPort(admin: import('mongodb').Db, host: string): Promise<void> {
  const { config } = await admin.command({ replSetGetConfig: 1 });
  if (config.members[0].host === host) return;
  config.members[0].host = host;
  config.version += 1;
  await admin.command({ replSetReconfig: config, force: true });
}
