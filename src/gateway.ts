/** The process that takes alerts over HTTP and hands them to the releases they are about. */
import { SlipwayClient } from './client.ts';
import { alertsHandler } from './gateway/alerts.ts';
import { type AlertClient, Delivery } from './gateway/delivery.ts';
import { gatewayMetrics } from './gateway/metrics.ts';
import { gatewaySettings } from './gateway/settings.ts';
import { tokensFrom } from './gateway/tokens.ts';
import { type HttpServer, type Reply, serve } from './observability/http.ts';
import { createLogger, type Logger } from './observability/logging.ts';
import { runMain, stopRequest } from './observability/process.ts';
import type { Environment } from './observability/settings.ts';

/** Requests in flight at shutdown get this long; more than a delivery may take. */
const DRAIN_MS = 8_000;
/** A readiness probe asks Temporal at most so often. */
const READY_FOR_MS = 1_000;

interface GatewayOptions {
  /** Environment to read; the process's own by default. */
  env?: Environment;
  /** Temporal profile, see SlipwayClient. */
  profile?: string;
  logger?: Logger;
  /** Instead of a client made from the environment. It is not closed. */
  client?: AlertClient & Pick<SlipwayClient, 'ping'>;
  /** Time for a request's body to arrive, in milliseconds; 10,000 by default. */
  bodyWithinMs?: number;
}

export interface Gateway {
  url: string;
  port: number;
  /** Stops accepting and finishes what is in flight. */
  close(): Promise<void>;
}

/** Serves until the process is told to stop. Throws `BadSetting` for settings that cannot be used. */
export async function runGateway(options: GatewayOptions & { signal?: AbortSignal } = {}): Promise<void> {
  const logger = options.logger ?? createLogger({ component: 'gateway', ...envOf(options) });
  const gateway = await startGateway({ ...options, logger });
  const asked = await stopRequest(options.signal).asked;
  logger.info({ asked }, 'gateway stops');
  await gateway.close();
}

/** Starts to serve; Temporal may still be away, then readiness and webhooks answer 503. */
export async function startGateway(options: GatewayOptions = {}): Promise<Gateway> {
  const env = options.env ?? process.env;
  const log = options.logger ?? createLogger({ component: 'gateway', env });
  const settings = gatewaySettings(env);
  const tokens = tokensFrom(env, (error) =>
    log.warn({ error }, 'token file cannot be read again; the known tokens stay'),
  );
  const own = options.client ? null : SlipwayClient.lazy({ ...profileOf(options), env });
  const client = options.client ?? own;
  if (!client) throw new TypeError('no client');
  const metrics = gatewayMetrics();
  const delivery = new Delivery(client, {
    labels: settings.labels,
    parallel: settings.parallel,
    withinMs: settings.deliverWithinMs,
  });
  const alerts = alertsHandler({
    tokens,
    delivery,
    metrics,
    log,
    ...(options.bodyWithinMs === undefined ? {} : { bodyWithinMs: options.bodyWithinMs }),
  });
  const server = await serve({
    listen: settings.listen,
    setting: 'SLIPWAY_GATEWAY_ADDRESS',
    // Reading the body is bounded by its handler; this bound is behind it, for what never becomes a request.
    requestTimeoutMs: 15_000,
    routes: {
      '/v1/alerts': { POST: alerts },
      '/healthz': { GET: () => ({ status: 200, body: { status: 'ok' } }) },
      '/readyz': { GET: readiness(client) },
      '/metrics': {
        GET: async () => metricsReply(await metrics.registry.metrics(), metrics.registry.contentType),
      },
    },
    onError: (error) => log.error({ error }, 'request failed'),
    onReply: (code, path) => metrics.requests.inc({ path, code }),
  });
  void warmUp(client, log);
  log.info({ url: server.url, temporal: own?.address }, 'gateway serves');
  return { url: server.url, port: server.port, close: () => shutDown(server, own) };
}

/** Opens the connection and runs the hot path once, so that the first alert finds both warm. No workload has such a name. */
async function warmUp(client: AlertClient & Pick<SlipwayClient, 'ping'>, log: Logger): Promise<void> {
  try {
    await client.ping();
    await client.signalAlert(
      { namespace: 'WARM', name: 'UP' },
      { fingerprint: '', status: 'resolved', labels: {}, annotations: {}, startsAt: '' },
    );
  } catch (error) {
    log.warn({ error }, 'Temporal is not reachable yet; webhooks get 503 until it is');
  }
}

function readiness(client: Pick<SlipwayClient, 'ping'>): () => Promise<Reply> {
  let answer: Promise<Reply> | null = null;
  const ask = async (): Promise<Reply> => {
    try {
      await client.ping(READY_FOR_MS);
      return { status: 200, body: { status: 'ready' } };
    } catch {
      return { status: 503, body: { status: 'not ready', reason: 'Temporal cannot be reached' } };
    }
  };
  return () => {
    if (!answer) {
      answer = ask();
      setTimeout(() => {
        answer = null;
      }, READY_FOR_MS).unref();
    }
    return answer;
  };
}

function metricsReply(text: string, contentType: string): Reply {
  return { status: 200, body: text, headers: { 'content-type': contentType } };
}

async function shutDown(server: HttpServer, own: SlipwayClient | null): Promise<void> {
  await server.close(DRAIN_MS);
  await own?.close();
}

function envOf(options: GatewayOptions): { env?: Environment } {
  return options.env === undefined ? {} : { env: options.env };
}

function profileOf(options: GatewayOptions): { profile?: string } {
  return options.profile === undefined ? {} : { profile: options.profile };
}

if (import.meta.main) await runMain(() => runGateway());
