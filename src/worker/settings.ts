/** What the worker can be told, all by environment variables. */
import {
  addressSetting,
  durationSetting,
  type Environment,
  integerSetting,
  type ListenAddress,
} from '../observability/settings.ts';

export interface WorkerSettings {
  /** SLIPWAY_METRICS_ADDRESS for /metrics, /healthz and /readyz, `127.0.0.1:9464`; `off` for none. */
  listen: ListenAddress | null;
  /** The address was not chosen by anybody: a taken port is no reason not to start. */
  listenIsDefault: boolean;
  /** SLIPWAY_SHUTDOWN_GRACE, `10s`: how long activities may go on after SIGTERM before they are cancelled. */
  graceMs: number;
  /** SLIPWAY_MAX_CACHED_WORKFLOWS, 200; about 120 KB of memory each. */
  cachedWorkflows: number;
  /** SLIPWAY_MAX_ACTIVITIES, 100 that act at once. */
  activities: number;
  /** SLIPWAY_MAX_WATCHES, 1,000 that only watch. */
  watches: number;
  /** SLIPWAY_RETENTION, `30d`: how long finished releases stay readable, at least. */
  retention: string;
}

/** Throws `BadSetting`. */
export function workerSettings(env: Environment): WorkerSettings {
  durationSetting(env, 'SLIPWAY_RETENTION', '30d');
  return {
    listen: addressSetting(env, 'SLIPWAY_METRICS_ADDRESS', '127.0.0.1:9464'),
    listenIsDefault: !env['SLIPWAY_METRICS_ADDRESS'],
    graceMs: durationSetting(env, 'SLIPWAY_SHUTDOWN_GRACE', '10s', '10m'),
    cachedWorkflows: integerSetting(env, 'SLIPWAY_MAX_CACHED_WORKFLOWS', 200, 1, 10_000),
    activities: integerSetting(env, 'SLIPWAY_MAX_ACTIVITIES', 100, 1, 1_000),
    watches: integerSetting(env, 'SLIPWAY_MAX_WATCHES', 1_000, 1, 10_000),
    retention: env['SLIPWAY_RETENTION'] || '30d',
  };
}
