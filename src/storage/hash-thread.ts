// The thread that takes the SHA-256 of what comes through the ring it was given; hashing.ts starts and ends it.
import { createHash } from 'node:crypto';
import { workerData } from 'node:worker_threads';
import { RingDrain } from './hash-ring.ts';

let hash = createHash('sha256');
new RingDrain(workerData as SharedArrayBuffer).run(
  (piece) => hash.update(piece),
  () => {
    const digest = hash.digest();
    hash = createHash('sha256');
    return digest;
  },
);
