/** Alertmanager's webhook, version 4, with one alert. */
import { randomBytes } from 'node:crypto';

/** Answers the gateway's status code. */
export async function postAlert(
  gateway: { url: string; token: string },
  labels: Record<string, string>,
  status: 'firing' | 'resolved' = 'firing',
): Promise<number> {
  const alert = {
    status,
    labels: { alertname: 'HighErrorRate', severity: 'warning', ...labels },
    annotations: { summary: 'too many errors' },
    startsAt: new Date().toISOString(),
    endsAt: '0001-01-01T00:00:00Z',
    generatorURL: '',
    fingerprint: randomBytes(8).toString('hex'),
  };
  const body = {
    version: '4',
    groupKey: '{}:{}',
    truncatedAlerts: 0,
    status,
    receiver: 'slipway',
    groupLabels: {},
    commonLabels: {},
    commonAnnotations: {},
    externalURL: '',
    alerts: [alert],
  };
  const response = await fetch(`${gateway.url}/v1/alerts`, {
    method: 'POST',
    headers: { authorization: `Bearer ${gateway.token}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(60_000),
  });
  return response.status;
}
