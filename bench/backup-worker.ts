// One dump or restore in a process of its own, so that its CPU and memory can be told from the benchmark's.
import { createReadStream, createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { connectMongo } from '../src/mongodb/connect.ts';
import { dump } from '../src/mongodb/dump.ts';
import { restore } from '../src/mongodb/restore.ts';
import { streamOf } from '../src/storage/channel.ts';
import { compress, type Compression } from '../src/storage/compression.ts';

const [action = '', uri = '', path = '', compression = 'none'] = process.argv.slice(2);
const client = await connectMongo(uri);
try {
  if (action === 'dump') {
    const plain = streamOf(async (sink, signal) => {
      await dump(client, sink, { databases: ['bench'], toolVersion: 'slipway bench', signal });
    });
    const packed = compress(plain, compression as Compression);
    await pipeline(
      Readable.from(packed, { objectMode: true, highWaterMark: 1 }),
      createWriteStream(join(path, 'archive')),
    );
  } else {
    const target = action === 'load' ? 'loaded' : 'proven';
    let stopped = false;
    const started = performance.now();
    // `load` ends when the last document is in: that is what mongorestore does.
    const onProgress = ({ phase }: { phase: string }) => {
      if (action === 'load' && phase === 'compare' && !stopped) {
        stopped = true;
        throw new Error('enough');
      }
    };
    await restore(client, {
      id: action,
      open: async () => createReadStream(path, { highWaterMark: 1 << 20 }),
      nsFrom: ['bench.*'],
      nsTo: [`${target}.*`],
      onProgress,
    }).catch((error: unknown) => {
      if (!stopped) throw error;
    });
    process.stderr.write(`${action}: ${Math.round(performance.now() - started)} ms\n`);
  }
} finally {
  await client.close();
}
