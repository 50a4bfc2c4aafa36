/**
 * Stores one slice and kills itself at one of its steps at the storage: `node slice-killed.ts URI FOLDER STEP`. Steps are
 * counted from 1: every call of the storage that changes something, before and after it, and the middle of a stream.
 * Says `done` when there were fewer.
 */
import { MongoClient } from 'mongodb';
import { writeSlice } from '../../../src/mongodb/oplog/write.ts';
import { DirectoryStorage } from '../../../src/storage/directory.ts';
import type { Bytes } from '../../../src/storage/compression.ts';
import type { Storage } from '../../../src/storage/storage.ts';

const [uri = '', folder = '', step = ''] = process.argv.slice(2);
let steps = 0;

function mayDie(): void {
  if (++steps === Number(step)) process.kill(process.pid, 'SIGKILL');
}

async function* dying(source: Bytes): AsyncGenerator<Uint8Array> {
  for await (const chunk of source) {
    const half = chunk.length >> 1;
    yield chunk.subarray(0, half);
    mayDie();
    yield chunk.subarray(half);
  }
}

class DyingStorage extends DirectoryStorage implements Storage {
  override async stage(...[name, source, options]: Parameters<Storage['stage']>) {
    mayDie();
    const staged = await super.stage(name, dying(source), options);
    mayDie();
    return {
      ...staged,
      publish: async () => {
        mayDie();
        await staged.publish();
        mayDie();
      },
    };
  }

  override async write(...args: Parameters<Storage['write']>) {
    mayDie();
    await super.write(...args);
    mayDie();
  }

  override async delete(name: string) {
    mayDie();
    await super.delete(name);
    mayDie();
  }
}

const client = await MongoClient.connect(uri);
await writeSlice(client, new DyingStorage(folder), {
  policy: 'p',
  filter: { databases: ['shop'] },
  compression: 'gzip',
  maxBytes: 64 << 20,
  bases: async () => [],
  toolVersion: 'test',
});
await client.close();
process.stdout.write('done\n');
