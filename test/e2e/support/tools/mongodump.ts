/**
 * Stands in for mongodump and mongorestore where those cannot be had: the same arguments, exit codes and words as far as
 * the scripts of Jobs use them, over the project's own engine. Which of both it is, its name says.
 */
import { createReadStream, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { parseArgs } from 'node:util';
import { MongoClient } from 'mongodb';
import { parse } from 'yaml';
import { unwrapArchive } from '../../../../src/mongodb/backup/archive-file.ts';
import { readArchive } from '../../../../src/mongodb/archive/reader.ts';
import { dump } from '../../../../src/mongodb/dump.ts';
import { streamOf } from '../../../../src/storage/channel.ts';
import { compress } from '../../../../src/storage/compression.ts';

const name = basename(process.argv[1] ?? '');
/** `--archive` stands alone for standard output. */
const args = process.argv.slice(2).map((arg) => (arg === '--archive' ? '--archive=-' : arg));
const { values } = parseArgs({
  args,
  options: {
    version: { type: 'boolean' },
    config: { type: 'string' },
    host: { type: 'string' },
    username: { type: 'string' },
    authenticationDatabase: { type: 'string' },
    db: { type: 'string' },
    gzip: { type: 'boolean' },
    archive: { type: 'string' },
    nsInclude: { type: 'string' },
  },
});
const say = (text: string) =>
  process.stderr.write(`${new Date().toISOString().slice(0, -1)}+0000\t${text}\n`);

async function connected(): Promise<MongoClient> {
  const config = parse(readFileSync(values.config ?? '', 'utf8')) as { password?: string; uri?: string };
  const { username = '', host = '', authenticationDatabase = 'admin' } = values;
  const uri = config.uri ?? `mongodb://${host}/?directConnection=true`;
  const auth = config.uri === undefined ? { auth: { username, password: config.password ?? '' } } : {};
  const client = new MongoClient(uri, {
    ...auth,
    ...(config.uri === undefined ? { authSource: authenticationDatabase } : {}),
    serverSelectionTimeoutMS: 5_000,
  });
  return await client.connect();
}

async function dumpAll(client: MongoClient): Promise<void> {
  const seen = new Set<string>();
  const plain = streamOf(async (sink, signal) => {
    const { namespaces } = await dump(client, sink, {
      toolVersion: 'stand-in',
      signal,
      consistency: 'none',
      ...(values.db === undefined ? {} : { databases: [values.db] }),
      onProgress: ({ namespace }) => {
        if (namespace === '' || seen.has(namespace)) return;
        seen.add(namespace);
        say(`writing ${namespace} to archive on stdout`);
      },
    });
    for (const { db, name: collection, documents } of namespaces)
      say(`done dumping ${db}.${collection} (${documents} documents)`);
  });
  const out = new Writable({
    write: (chunk: Buffer, _, done) => void process.stdout.write(chunk, (error) => done(error)),
  });
  await pipeline(compress(plain, values.gzip ? 'gzip' : 'none'), out);
}

async function readToEnd(): Promise<void> {
  let documents = 0;
  for await (const event of readArchive(unwrapArchive(createReadStream(values.archive ?? ''))))
    if (event.kind === 'documents') documents += event.count;
  say(`${documents} documents read, 0 document(s) restored successfully. 0 document(s) failed to restore.`);
}

if (values.version) console.log(`${name} version: stand-in`);
else {
  let client: MongoClient | undefined;
  try {
    client = await connected();
    await (name === 'mongodump' ? dumpAll(client) : readToEnd());
  } catch (error) {
    const { message, codeName = '' } = error as Error & { codeName?: string };
    say(`Failed: ${codeName === 'AuthenticationFailed' ? '(AuthenticationFailed) ' : ''}${message}`);
    process.exitCode = 1;
  } finally {
    await client?.close();
  }
}
