// Documents as applications store them: small records, nested orders, text logs, incompressible blobs.
import { randomFillSync } from 'node:crypto';
import { type Collection, type Db, type Document, Long, ObjectId } from 'mongodb';

const words =
  'the order was shipped from warehouse and delivered to customer after payment retry timeout request failed accepted session cache index user login service response error warning info queue message batch worker node cluster'.split(
    ' ',
  );

/** Numbers that are the same in every run, so that sizes and ratios compare. */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

const random = generator(42);
const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)] as T;
const sentence = (length: number) => Array.from({ length }, () => pick(words)).join(' ');

function user(number: number): Document {
  return {
    _id: new ObjectId(),
    email: `user${number}@example.org`,
    name: sentence(2),
    age: Math.floor(random() * 80),
    address: { street: sentence(3), city: pick(words), zip: String(Math.floor(random() * 1e5)) },
    tags: [pick(words), pick(words), pick(words)],
    created: new Date(1.6e12 + random() * 1e11),
    score: random() * 1000,
  };
}

function order(number: number): Document {
  const items = Array.from({ length: 8 }, () => ({
    sku: `SKU-${Math.floor(random() * 1e6)}`,
    quantity: Math.floor(random() * 9),
    price: random() * 100,
    note: sentence(4),
  }));
  return {
    _id: number,
    user: new ObjectId(),
    items,
    total: Long.fromNumber(Math.floor(random() * 1e9)),
    state: pick(words),
  };
}

function log(): Document {
  return {
    _id: new ObjectId(),
    at: new Date(1.7e12 + random() * 1e10),
    level: pick(['info', 'warn', 'error']),
    message: sentence(70),
  };
}

function blob(number: number): Document {
  return { _id: number, data: randomFillSync(Buffer.allocUnsafe(65_536)) };
}

/** Share of all bytes, and about how large a document is. */
const kinds = [
  { name: 'users', share: 0.27, size: 325, make: user },
  { name: 'orders', share: 0.31, size: 1050, make: order },
  { name: 'logs', share: 0.28, size: 540, make: log },
  { name: 'blobs', share: 0.14, size: 65_560, make: blob },
] as const;

/** Fills an empty database with about `megabytes` of documents in four collections. */
export async function fill(db: Db, megabytes: number): Promise<void> {
  for (const { name, share, size, make } of kinds) {
    const total = Math.round((megabytes * 1e6 * share) / size);
    await insertAll(db.collection(name), total, size, make);
  }
}

async function insertAll(
  collection: Collection,
  total: number,
  size: number,
  make: (number: number) => Document,
): Promise<void> {
  const batchSize = Math.max(20, Math.floor(2e6 / size));
  const running = new Set<Promise<unknown>>();
  for (let start = 0; start < total; start += batchSize) {
    const documents = Array.from({ length: Math.min(batchSize, total - start) }, (_, at) => make(start + at));
    const insert = collection.insertMany(documents, { ordered: false, writeConcern: { w: 1 } });
    running.add(insert);
    void insert.finally(() => running.delete(insert)).catch(() => undefined);
    if (running.size >= 3) await Promise.race(running);
  }
  await Promise.all(running);
}
