/** Settings from the environment, each with one clear error that names variable, value and what is allowed. */
import { BadSetting } from '../client/errors.ts';
import { DURATION_FORM, parseDuration } from '../specs/duration.ts';

export type Environment = Record<string, string | undefined>;

export interface ListenAddress {
  host: string;
  /** 0 for any free port. */
  port: number;
}

/** `host:port`, `[v6]:port`, `:port` (all interfaces) or `off`. */
export function addressSetting(env: Environment, name: string, fallback: string): ListenAddress | null {
  const text = env[name] || fallback;
  if (text === 'off') return null;
  const match = /^(?:\[([\da-f:.%]+)\]|([^:\s/]*)):(\d{1,5})$/i.exec(text);
  const port = Number(match?.[3]);
  if (!match || port > 65_535) {
    throw new BadSetting(
      `${name}: found "${text}", allowed is host:port (e.g. 127.0.0.1:8090, :8090, [::1]:8090) or off`,
    );
  }
  return { host: match[1] ?? (match[2] || '0.0.0.0'), port };
}

/** Milliseconds of a duration such as `10s`. */
export function durationSetting(env: Environment, name: string, fallback: string, most?: string): number {
  const text = env[name] || fallback;
  const ms = parseDuration(text);
  const limit = most === undefined ? Number.POSITIVE_INFINITY : (parseDuration(most) ?? 0);
  if (ms === undefined || ms > limit) {
    throw new BadSetting(
      `${name}: found "${text}", allowed is ${DURATION_FORM}${most === undefined ? '' : `, at most ${most}`}`,
    );
  }
  return ms;
}

export function integerSetting(
  env: Environment,
  name: string,
  fallback: number,
  least: number,
  most: number,
): number {
  const text = env[name] || String(fallback);
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= least && value <= most)) {
    throw new BadSetting(`${name}: found "${text}", allowed is a whole number from ${least} to ${most}`);
  }
  return value;
}
