/** POST /v1/alerts: 200 only when every running release that an alert is about has it durably. */
import type { IncomingMessage } from 'node:http';
import type { Reply } from '../observability/http.ts';
import type { Logger } from '../observability/logging.ts';
import { readBody } from './body.ts';
import type { Delivery } from './delivery.ts';
import type { GatewayMetrics } from './metrics.ts';
import { BadPayload, parseWebhook, type Webhook } from './payload.ts';
import type { Tokens } from './tokens.ts';

/** A body that takes longer is not from an Alertmanager in our network. */
const BODY_WITHIN_MS = 10_000;
/** Seconds; Alertmanager has a backoff of its own, other senders may heed it. */
const RETRY_AFTER = '1';

interface AlertsDeps {
  tokens: Tokens;
  delivery: Delivery;
  metrics: GatewayMetrics;
  log: Logger;
  bodyWithinMs?: number;
}

export function alertsHandler(deps: AlertsDeps): (request: IncomingMessage) => Promise<Reply> {
  return async (request) => {
    if (!deps.tokens.accept(request.headers.authorization)) {
      return {
        status: 401,
        body: { error: 'a good bearer token is needed' },
        headers: { 'www-authenticate': 'Bearer' },
      };
    }
    const unsupported = unsupportedMedia(request);
    if (unsupported) return { status: 415, body: { error: unsupported } };
    deps.metrics.inFlight.inc();
    try {
      const webhook = parseWebhook(await readBody(request, deps.bodyWithinMs ?? BODY_WITHIN_MS));
      return await deliver(deps, webhook);
    } catch (error) {
      if (!(error instanceof BadPayload)) throw error;
      deps.log.warn({ reason: error.message }, 'webhook refused');
      return { status: 400, body: { error: error.message } };
    } finally {
      deps.metrics.inFlight.dec();
    }
  };
}

async function deliver({ delivery, metrics, log }: AlertsDeps, webhook: Webhook): Promise<Reply> {
  const { alerts, truncated } = webhook;
  for (const { status } of alerts) metrics.received.inc({ status });
  metrics.truncated.inc(truncated);
  const began = performance.now();
  const seconds = () => (performance.now() - began) / 1_000;
  try {
    const { delivered, unmatched } = await delivery.deliver(alerts);
    metrics.latency.observe({ result: 'acknowledged' }, seconds());
    metrics.delivered.inc(delivered);
    metrics.unmatched.inc(unmatched);
    log[delivered > 0 ? 'info' : 'debug'](
      {
        alerts: alerts.length,
        delivered,
        unmatched,
        truncated,
        names: alertNames(webhook),
        ms: Math.round(seconds() * 1_000),
      },
      'alerts delivered',
    );
    return { status: 200, body: { alerts: alerts.length, delivered, unmatched } };
  } catch (error) {
    metrics.latency.observe({ result: 'failed' }, seconds());
    log.error(
      { error, alerts: alerts.length, names: alertNames(webhook) },
      'alerts not delivered; the sender will try again',
    );
    return {
      status: 503,
      body: { error: 'Temporal did not acknowledge every alert; send it again' },
      headers: { 'retry-after': RETRY_AFTER },
    };
  }
}

function unsupportedMedia(request: IncomingMessage): string | null {
  const type = (request.headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? '';
  if (type !== 'application/json')
    return `content-type must be application/json, found "${type.slice(0, 100)}"`;
  const encoding = request.headers['content-encoding'] ?? 'identity';
  return encoding === 'identity'
    ? null
    : `content-encoding must be identity, found "${encoding.slice(0, 100)}"`;
}

/** Names only: label values may be anything. */
function alertNames({ alerts }: Webhook): string[] {
  return [...new Set(alerts.map(({ labels }) => (labels['alertname'] ?? '').slice(0, 100)))].slice(0, 5);
}
