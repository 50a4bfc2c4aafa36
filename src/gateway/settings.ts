/** What the gateway can be told, all by environment variables. */
import { BadSetting } from '../client/errors.ts';
import {
  addressSetting,
  durationSetting,
  type Environment,
  integerSetting,
  type ListenAddress,
} from '../observability/settings.ts';
import type { LabelNames } from './targets.ts';

interface GatewaySettings {
  /** SLIPWAY_GATEWAY_ADDRESS, `127.0.0.1:8090`. */
  listen: ListenAddress;
  /** SLIPWAY_GATEWAY_NAMESPACE_LABEL `namespace`, SLIPWAY_GATEWAY_WORKLOAD_LABELS `workload,deployment,app,service`. */
  labels: LabelNames;
  /** SLIPWAY_GATEWAY_PARALLEL, 32 signals at once. */
  parallel: number;
  /** SLIPWAY_GATEWAY_DELIVER_WITHIN, `5s` for one request. */
  deliverWithinMs: number;
}

const LABEL_NAME = /^[a-zA-Z_][a-zA-Z0-9_]*$/;

/** Throws {@link BadSetting}. */
export function gatewaySettings(env: Environment): GatewaySettings {
  const listen = addressSetting(env, 'SLIPWAY_GATEWAY_ADDRESS', '127.0.0.1:8090');
  if (!listen)
    throw new BadSetting(
      'SLIPWAY_GATEWAY_ADDRESS: "off" makes no sense for the gateway; allowed is host:port',
    );
  const [namespace = ''] = labelNames(env, 'SLIPWAY_GATEWAY_NAMESPACE_LABEL', 'namespace', 1);
  return {
    listen,
    labels: {
      namespace,
      workload: labelNames(env, 'SLIPWAY_GATEWAY_WORKLOAD_LABELS', 'workload,deployment,app,service', 16),
    },
    parallel: integerSetting(env, 'SLIPWAY_GATEWAY_PARALLEL', 32, 1, 1_000),
    deliverWithinMs: durationSetting(env, 'SLIPWAY_GATEWAY_DELIVER_WITHIN', '5s', '30s'),
  };
}

function labelNames(env: Environment, name: string, fallback: string, most: number): string[] {
  const text = env[name] || fallback;
  const names = text.split(',').map((each) => each.trim());
  if (names.length > most || !names.every((each) => LABEL_NAME.test(each))) {
    const allowed = most === 1 ? 'one label name' : `up to ${most} label names separated by commas`;
    throw new BadSetting(`${name}: found "${text}", allowed is ${allowed}`);
  }
  return names;
}
