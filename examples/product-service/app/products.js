/** The products in MongoDB, and whether they can be served. MongoDB may be away at any time: nothing here ends the process. */
import { setTimeout as sleep } from 'node:timers/promises';
import { MongoClient } from 'mongodb';

/**
 * @typedef {object} Product
 * @property {string} _id
 * @property {string} name
 * @property {string} description
 * @property {number} priceCents
 * @property {string} currency
 */

/** @type {Product[]} */
const FIRST_PRODUCTS = [
  {
    _id: 'anchor-15kg',
    name: 'Anchor, 15 kg',
    description: 'Galvanised plough anchor for boats up to ten metres',
    priceCents: 18900,
    currency: 'EUR',
  },
  {
    _id: 'rope-12mm',
    name: 'Mooring rope, 12 mm',
    description: 'Braided polyester rope with a spliced eye, ten metres',
    priceCents: 2950,
    currency: 'EUR',
  },
  {
    _id: 'fender-60cm',
    name: 'Fender, 60 cm',
    description: 'Inflatable fender that keeps a hull off the quay',
    priceCents: 2490,
    currency: 'EUR',
  },
  {
    _id: 'lifejacket-150n',
    name: 'Life jacket, 150 N',
    description: 'Automatic life jacket with harness and light',
    priceCents: 12900,
    currency: 'EUR',
  },
  {
    _id: 'lantern-led',
    name: 'Anchor lantern',
    description: 'All-round white LED lantern with a dusk sensor',
    priceCents: 4990,
    currency: 'EUR',
  },
  {
    _id: 'winch-16',
    name: 'Winch, size 16',
    description: 'Self-tailing winch for sheets and halyards',
    priceCents: 64900,
    currency: 'EUR',
  },
];

const TEXT_INDEX = 'products_text';
/** Shorter than the readiness probe's 3 s timeout, so that the probe gets a reason and not a timeout. */
const READY_TIMEOUT_MS = 2000;
const SERVER_SELECTION_MS = 1500;
const QUERY_TIMEOUT_MS = 5000;

export class Products {
  #client;
  #collection;
  #behaviour;
  #log;
  #stopped = new AbortController();
  /** @type {string | undefined} */
  #notPrepared = 'not connected to MongoDB yet';
  /** @type {Promise<string | undefined> | undefined} */
  #pinging;

  /**
   * @param {{ uri: string, database: string, username: string | undefined, password: string | undefined }} settings
   * @param {import('./versions.js').Behaviour} behaviour
   * @param {(level: string, message: string, fields?: object) => void} log
   */
  constructor(settings, behaviour, log) {
    this.#client = new MongoClient(settings.uri, {
      appName: 'product-service',
      serverSelectionTimeoutMS: SERVER_SELECTION_MS,
      connectTimeoutMS: SERVER_SELECTION_MS,
      waitQueueTimeoutMS: SERVER_SELECTION_MS,
      socketTimeoutMS: QUERY_TIMEOUT_MS,
      maxPoolSize: 20,
      ...(settings.username === undefined
        ? {}
        : { auth: { username: settings.username, password: settings.password ?? '' } }),
    });
    /** @type {import('mongodb').Collection<Product>} */
    this.#collection = this.#client.db(settings.database).collection('products');
    this.#behaviour = behaviour;
    this.#log = log;
  }

  /** Creates the index and the first products, as soon as MongoDB answers; tries until it does or `close` is called. */
  async prepare() {
    for (let attempt = 1; !this.#stopped.signal.aborted; attempt += 1) {
      try {
        await this.#prepareOnce();
        this.#notPrepared = undefined;
        this.#log('info', 'products are served');
        return;
      } catch (error) {
        this.#notPrepared = `MongoDB: ${messageOf(error)}`;
        if (!this.#stopped.signal.aborted)
          this.#log('warn', 'MongoDB is not usable yet', { attempt, reason: messageOf(error) });
      }
      await sleep(Math.min(250 * 2 ** attempt, 5000), undefined, { signal: this.#stopped.signal }).catch(
        () => {},
      );
    }
  }

  async #prepareOnce() {
    if (this.#behaviour.search === 'text-index') {
      await this.#collection.createIndex({ name: 'text', description: 'text' }, { name: TEXT_INDEX });
    }
    if ((await this.#collection.countDocuments({}, { limit: 1 })) === 0) {
      // Several pods may do this at once; an upsert that only inserts makes them agree.
      await this.#collection.bulkWrite(
        FIRST_PRODUCTS.map((product) => ({
          updateOne: { filter: { _id: product._id }, update: { $setOnInsert: product }, upsert: true },
        })),
        { ordered: false },
      );
    }
  }

  /** @returns {Promise<string | undefined>} why products cannot be served now; undefined when they can */
  async whyNotReady() {
    if (this.#notPrepared !== undefined) return this.#notPrepared;
    this.#pinging ??= this.#ping().finally(() => {
      this.#pinging = undefined;
    });
    return Promise.race([
      this.#pinging,
      sleep(READY_TIMEOUT_MS, 'MongoDB: no answer in time', { ref: false }),
    ]);
  }

  async #ping() {
    try {
      await this.#client.db('admin').command({ ping: 1 });
      const index = this.#behaviour.requiredIndex;
      if (index === undefined) return undefined;
      const there = await this.#collection.indexExists(index);
      return there ? undefined : `index ${index} is missing in the products collection`;
    } catch (error) {
      return `MongoDB: ${messageOf(error)}`;
    }
  }

  /**
   * @param {string | undefined} query words to search for; undefined lists all
   * @param {number} limit
   * @returns {Promise<Product[]>}
   */
  async list(query, limit) {
    if (query === undefined) return this.#collection.find({}).sort({ _id: 1 }).limit(limit).toArray();
    if (this.#behaviour.search === 'text-index') {
      return this.#collection
        .find({ $text: { $search: query } })
        .limit(limit)
        .toArray();
    }
    // The expensive search that v1.1.0 replaced: every document is read.
    const pattern = new RegExp(query.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'), 'i');
    return this.#collection
      .find({ $or: [{ name: pattern }, { description: pattern }] })
      .limit(limit)
      .toArray();
  }

  /**
   * @param {string} id
   * @returns {Promise<Product | null>}
   */
  async find(id) {
    return this.#collection.findOne({ _id: id });
  }

  async close() {
    this.#stopped.abort();
    await this.#client.close();
  }
}

/** @param {unknown} error */
export function messageOf(error) {
  return error instanceof Error ? error.message : String(error);
}
