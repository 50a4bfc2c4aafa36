/** The kinds of fields that specs are made of. Each says what it allows, so that an error can. */
import * as z from 'zod';
import { DURATION_FORM, formatDuration, parseDuration } from './duration.ts';
import { nearest } from './errors.ts';

/** Error text of a field: what is allowed, and for a value that is nearly right how to write it. */
export function allowed(text: string, hint?: (found: unknown) => string | undefined) {
  return {
    error: (issue: { input?: unknown }) => {
      const more = hint?.(issue.input);
      return more ? `${text}; ${more}` : text;
    },
  };
}

/** A mapping with exactly these fields; an unknown one is refused with the nearest known name. */
export function fields<Shape extends z.ZodRawShape>(shape: Shape, what?: string) {
  const known = Object.keys(shape);
  return z.strictObject(shape, {
    error: (issue) => {
      if (issue.code !== 'unrecognized_keys') return what ?? `a mapping with ${list(known)}`;
      const keys = issue.keys as string[];
      return keys.map((key) => unknownField(key, known)).join('\n');
    },
  });
}

function unknownField(key: string, known: string[]): string {
  const near = nearest(key, known);
  return near ? `unknown field; did you mean ${near}?` : `unknown field; known here: ${known.join(', ')}`;
}

function list(names: string[]): string {
  return names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`;
}

const quoted = (found: unknown) =>
  typeof found === 'number' || typeof found === 'boolean' ? `put it in quotes: "${found}"` : undefined;

/** Text of 1 to `max` characters. */
export function text(what: string, max: number, pattern?: RegExp) {
  const error = allowed(what, (found) =>
    typeof found === 'string' && found.length > max
      ? `this one has ${found.length} characters`
      : quoted(found),
  );
  const schema = z.string(error).min(1, error).max(max, error);
  return pattern ? schema.regex(pattern, error) : schema;
}

/** RFC 1123 label: names of namespaces, containers, gates. */
export function dnsLabel(what: string) {
  return text(
    `${what}: up to 63 lower-case letters, digits and dashes, beginning and ending with a letter or digit`,
    63,
    /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/,
  );
}

/** RFC 1123 subdomain: names of workloads. */
export function dnsSubdomain(what: string) {
  return text(
    `${what}: up to 253 lower-case letters, digits, dashes and dots`,
    253,
    /^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/,
  );
}

const HOST =
  '(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\\[[a-fA-F0-9:]+\\])';
const PATH_PART = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*';
/** The grammar of github.com/distribution/reference. */
const IMAGE = new RegExp(
  `^(?:${HOST}(?::[0-9]{1,5})?/)?${PATH_PART}(?:/${PATH_PART})*(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@[A-Za-z][A-Za-z0-9]*:[0-9a-fA-F]{32,128})?$`,
);

/** An image reference as a kubelet accepts it. */
export function imageReference() {
  const error = allowed(
    'an image reference such as ecommerce/product-service:v1.1.0 or app@sha256:...',
    (found) => {
      if (typeof found !== 'string') return quoted(found);
      if (/^\w+:\/\//.test(found)) return 'leave out the scheme';
      if (/\s/.test(found)) return 'white space is not part of an image reference';
      if (IMAGE.test(found.toLowerCase())) return 'repository names are lower case';
      return undefined;
    },
  );
  return z.string(error).min(1, error).max(512, error).regex(IMAGE, error);
}

/** A whole number from `min` to `max`. */
export function wholeNumber(min: number, max: number) {
  const error = allowed(`a whole number from ${min} to ${max}`, (found) => {
    const digits = typeof found === 'string' ? /^\s*(\d+)\s*%?\s*$/.exec(found)?.[1] : undefined;
    return digits ? `write ${Number(digits)}, without quotes or %` : undefined;
  });
  return z.int(error).min(min, error).max(max, error);
}

/** true or false; YAML 1.1's yes and no are answered with what to write. */
export function flag() {
  return z.boolean(allowed('true or false', yesNo));
}

/** YAML 1.2 has no yes and no; people still write them. */
export function yesNo(found: unknown): string | undefined {
  if (typeof found !== 'string') return undefined;
  if (/^(yes|on|true|y)$/i.test(found)) return 'write true, without quotes';
  if (/^(no|off|false|n)$/i.test(found)) return 'write false, without quotes';
  return undefined;
}

const MAX_DURATION = 30 * 86_400_000;

/** A duration between `minMs` and `maxMs`, 30 days when absent. */
export function duration(minMs: number, maxMs = MAX_DURATION) {
  const least = minMs === 0 ? '0s' : formatDuration(minMs);
  const bounds = `from ${least} to ${formatDuration(maxMs)}`;
  const error = allowed(`a duration such as 30s, 5m, 1h30m, ${bounds}`, durationHint);
  return z
    .string(error)
    .refine((value) => {
      const ms = value.length <= 32 ? parseDuration(value) : undefined;
      return ms !== undefined && ms >= minMs && ms <= maxMs;
    }, error)
    .meta({ pattern: '^(0|(\\d+(\\.\\d+)?(ms|s|m|h|d))+)$', description: `${DURATION_FORM}; ${bounds}` });
}

/** How to write what is nearly a duration: a number alone, or one with a unit that is not ours. */
function durationHint(found: unknown): string | undefined {
  const number = /^\s*(\d+(?:\.\d+)?)\s*$/.exec(String(found))?.[1];
  if (number !== undefined) {
    return Number(number) === 0 ? 'give the unit: 0s' : `give the unit: ${number}s or ${number}m`;
  }
  const [, count, unit] =
    /^\s*(\d+)\s*(s|m|h|d)(?:ec|econd|in|inute|r|our|ay)?s?\s*$/i.exec(String(found)) ?? [];
  const right = `${count}${unit?.toLowerCase()}`;
  return unit === undefined || right === found ? undefined : `write ${right}`;
}

/** A share such as `25%`, between `min` and `max` percent. */
export function percentage(min: number, max: number) {
  const error = allowed(`a share from ${min}% to ${max}%, such as 25%`, (found) =>
    typeof found === 'number' ? `write ${found}%` : undefined,
  );
  return z
    .string(error)
    .refine((value) => inPercent(value, min, max), error)
    .meta({ pattern: '^\\d{1,3}%$' });
}

function inPercent(value: string, min: number, max: number): boolean {
  const number = /^\d{1,3}%$/.test(value) ? Number(value.slice(0, -1)) : Number.NaN;
  return number >= min && number <= max;
}

/** Pods as a number or as a share of the replicas, as in apps/v1. */
export function podsOrShare() {
  const error = allowed('a number of pods such as 1, or a share from 0% to 100% such as 25%', (found) =>
    typeof found === 'string' && /^\d+$/.test(found)
      ? `write ${found} without quotes, or ${found}%`
      : undefined,
  );
  return z.union(
    [
      z.int(error).min(0, error).max(10_000, error),
      z.string(error).refine((value) => inPercent(value, 0, 100), error),
    ],
    error,
  );
}
