/**
 * product-service: products over HTTP on port 8080, with what a release needs to see: /health, /ready, /metrics.
 * Configuration comes from the environment, as the manifests inject it; APP_VERSION is baked into the image.
 */
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { Metrics } from './metrics.js';
import { Products, messageOf } from './products.js';
import { createRouter } from './routes.js';
import { behaviourOf, evenShare } from './versions.js';

const version = process.env.APP_VERSION ?? 'v1.0.0';
const pod = process.env.POD_NAME ?? hostname();
const port = integer('PORT', 8080);
/**
 * How long an idle connection is kept. Clients that read the Keep-Alive header stop reusing it before that.
 */
const keepAliveMs = integer('KEEP_ALIVE_MS', 3000);
/**
 * How long the service goes on answering after SIGTERM. Longer than keepAliveMs, so that every kept connection was
 * either told to close by an answer or is given up by its client before we close it; and long enough for the removal of this pod's
 * endpoint to reach every node.
 */
const drainMs = integer('DRAIN_MS', keepAliveMs + 1000);
const LAST_ANSWERS_MS = 10_000;

/** @param {string} level @param {string} message @param {object} [fields] */
function log(level, message, fields = {}) {
  process.stdout.write(
    `${JSON.stringify({ time: new Date().toISOString(), level, message, version, pod, ...fields })}\n`,
  );
}

/** @param {string} name @param {number} fallback */
function integer(name, fallback) {
  const text = process.env[name];
  if (text === undefined || text === '') return fallback;
  if (!/^\d{1,7}$/.test(text)) {
    process.stderr.write(`${name}: found "${text}", allowed is a whole number from 0 to 9999999\n`);
    process.exit(1);
  }
  return Number(text);
}

const behaviour = behaviourOf(version);
if (behaviour.requiredFile !== undefined) {
  try {
    readFileSync(new URL(behaviour.requiredFile, import.meta.url));
  } catch (error) {
    log('fatal', `cannot start: search synonyms are not readable: ${messageOf(error)}`);
    process.exit(1);
  }
}

const metrics = new Metrics(version);
for (const route of ['/products', '/products/:id']) {
  for (const status of [200, 500, 503]) metrics.declare('GET', route, status);
}
const products = new Products(
  {
    uri: process.env.MONGODB_URI ?? 'mongodb://127.0.0.1:27017',
    database: process.env.MONGODB_DATABASE ?? 'ecommerce',
    username: process.env.DB_USERNAME || undefined,
    password: process.env.DB_PASSWORD || undefined,
  },
  behaviour,
  log,
);

/** @type {import('./routes.js').Answer} */
const INVALID_TARGET = {
  route: 'other',
  status: 400,
  body: { error: 'the request target is not a valid path' },
};

let draining = false;
const route = createRouter({
  products,
  metrics,
  failsNow: evenShare(behaviour.failingPercent),
  draining: () => (draining ? 'shutting down' : undefined),
});

const server = createServer(
  { keepAliveTimeout: keepAliveMs, requestTimeout: 10_000, headersTimeout: 5000 },
  (request, response) => {
    const startedAt = performance.now();
    answer(request, response, startedAt).catch((error) => {
      log('error', 'request failed', { path: request.url, reason: messageOf(error) });
      response.destroy();
    });
  },
);

/**
 * @param {import('node:http').IncomingMessage} request
 * @param {import('node:http').ServerResponse} response
 * @param {number} startedAt
 */
async function answer(request, response, startedAt) {
  request.resume();
  const method = request.method ?? 'GET';
  const url = URL.parse(request.url ?? '/', 'http://product-service');
  const result = url === null ? INVALID_TARGET : await route(method, url);
  const text = typeof result.body === 'string';
  const body = typeof result.body === 'string' ? result.body : `${JSON.stringify(result.body)}\n`;
  response.writeHead(result.status, {
    'content-type': text ? 'text/plain; version=0.0.4; charset=utf-8' : 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(body),
    'x-version': version,
    'x-pod': pod,
    ...(draining ? { connection: 'close' } : {}),
  });
  response.end(method === 'HEAD' ? undefined : body);
  if (result.counted === false) return;
  metrics.observe(method, result.route, result.status, (performance.now() - startedAt) / 1000);
  if (result.status >= 500)
    log('error', 'answered with an error', {
      path: url?.pathname,
      status: result.status,
      ...Object(result.body),
    });
}

/** @param {string} signal */
async function shutDown(signal) {
  if (draining) return;
  draining = true;
  log('info', 'draining', { signal, drainMs });
  await sleep(drainMs);
  const closed = new Promise((resolve) => server.close(resolve));
  server.closeIdleConnections();
  await Promise.race([closed, sleep(LAST_ANSWERS_MS)]);
  await products.close();
  log('info', 'stopped');
  process.exit(0);
}

process.on('SIGTERM', shutDown);
process.on('SIGINT', shutDown);
server.on('error', (error) => {
  log('fatal', `cannot listen on port ${port}: ${messageOf(error)}`);
  process.exit(1);
});
// Without a host, Node listens on every address, with or without IPv6.
server.listen({ port, host: process.env.HOST }, () => {
  const address = server.address();
  log('info', 'listening', { port: typeof address === 'object' ? address?.port : port });
});
await products.prepare();
