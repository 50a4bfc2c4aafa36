import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

/** What the gateway counts; every name begins with `slipway_gateway_`. */
export function gatewayMetrics() {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  return {
    registry,
    requests: new Counter({
      name: 'slipway_gateway_requests_total',
      help: 'HTTP requests by path and status code.',
      labelNames: ['path', 'code'],
      registers,
    }),
    received: new Counter({
      name: 'slipway_gateway_alerts_received_total',
      help: 'Alerts in accepted webhooks, by status.',
      labelNames: ['status'],
      registers,
    }),
    delivered: new Counter({
      name: 'slipway_gateway_alerts_delivered_total',
      help: 'Signals that a running release has durably.',
      registers,
    }),
    unmatched: new Counter({
      name: 'slipway_gateway_alerts_unmatched_total',
      help: 'Alerts that no running release is about.',
      registers,
    }),
    truncated: new Counter({
      name: 'slipway_gateway_alerts_truncated_total',
      help: 'Alerts that Alertmanager left out of its webhooks (max_alerts); these cannot roll anything back.',
      registers,
    }),
    latency: new Histogram({
      name: 'slipway_gateway_delivery_seconds',
      help: 'From the complete request to the acknowledgement of its last signal.',
      labelNames: ['result'],
      buckets: [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
      registers,
    }),
    inFlight: new Gauge({
      name: 'slipway_gateway_requests_in_flight',
      help: 'Webhooks being worked on.',
      registers,
    }),
  };
}

export type GatewayMetrics = ReturnType<typeof gatewayMetrics>;
