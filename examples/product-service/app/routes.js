/** From a request to an answer. Errors of MongoDB become 503 with a reason, so that a caller knows that trying again makes sense. */
import { messageOf } from './products.js';

/**
 * @typedef {object} Answer
 * @property {string} route the pattern that matched, used as metric label
 * @property {number} status
 * @property {object | string} body an object is sent as JSON, a string as Prometheus text
 * @property {boolean} [counted] false for probes and scrapes: a 503 of /ready is no failed request of a customer
 */

/**
 * @param {object} parts
 * @param {import('./products.js').Products} parts.products
 * @param {import('./metrics.js').Metrics} parts.metrics
 * @param {() => boolean} parts.failsNow whether this request runs into the version's fault
 * @param {() => string | undefined} parts.draining why no new work is wanted
 */
export function createRouter({ products, metrics, failsNow, draining }) {
  /**
   * @param {string} method
   * @param {URL} url
   * @returns {Promise<Answer>}
   */
  return async function route(method, url) {
    if (method !== 'GET' && method !== 'HEAD') {
      return { route: 'other', status: 405, body: { error: `${method} is not allowed, only GET and HEAD` } };
    }
    switch (url.pathname) {
      case '/health':
        return { route: '/health', status: 200, body: { status: 'ok' }, counted: false };
      case '/ready':
        return ready(draining() ?? (await products.whyNotReady()));
      case '/metrics':
        return { route: '/metrics', status: 200, body: metrics.expose(), counted: false };
      case '/products':
        return guarded('/products', failsNow, () => list(products, url.searchParams));
      default:
        break;
    }
    const id = /^\/products\/([\w.-]{1,100})$/.exec(url.pathname)?.[1];
    if (id === undefined) {
      return {
        route: 'other',
        status: 404,
        body: { error: 'no such path; try /products or /products/{id}' },
      };
    }
    return guarded('/products/:id', failsNow, () => one(products, id));
  };
}

/**
 * @param {string | undefined} reason
 * @returns {Answer}
 */
function ready(reason) {
  if (reason === undefined)
    return { route: '/ready', status: 200, body: { status: 'ready' }, counted: false };
  return { route: '/ready', status: 503, body: { status: 'not ready', reason }, counted: false };
}

/**
 * @param {string} route
 * @param {() => boolean} failsNow
 * @param {() => Promise<{ status: number, body: object }>} serve
 * @returns {Promise<Answer>}
 */
async function guarded(route, failsNow, serve) {
  if (failsNow())
    return { route, status: 500, body: { error: 'search failed: price ranking returned no order' } };
  try {
    return { route, ...(await serve()) };
  } catch (error) {
    return { route, status: 503, body: { error: `products are not available now: ${messageOf(error)}` } };
  }
}

/**
 * @param {import('./products.js').Products} products
 * @param {URLSearchParams} parameters
 */
async function list(products, parameters) {
  const limitText = parameters.get('limit') ?? '20';
  const limit = Number(limitText);
  if (!Number.isInteger(limit) || limit < 1 || limit > 100) {
    return {
      status: 400,
      body: { error: `limit: found "${limitText}", allowed is a whole number from 1 to 100` },
    };
  }
  const query = parameters.get('q') ?? undefined;
  if (query !== undefined && (query.trim() === '' || query.length > 200)) {
    return {
      status: 400,
      body: { error: `q: found ${query.length} characters, allowed are 1 to 200, not only blanks` },
    };
  }
  return { status: 200, body: { products: await products.list(query, limit) } };
}

/**
 * @param {import('./products.js').Products} products
 * @param {string} id
 */
async function one(products, id) {
  const product = await products.find(id);
  if (product === null) return { status: 404, body: { error: `no product with id "${id}"` } };
  return { status: 200, body: product };
}
