/** The one connection to Temporal: found by the standard profiles and variables, bounded in time, errors in plain words. */
import { hostname } from 'node:os';
import { Client, Connection, isGrpcDeadlineError, isGrpcServiceError } from '@temporalio/client';
import { NamespaceNotFoundError } from '@temporalio/common';
import { loadClientConnectConfig } from '@temporalio/envconfig';
import { BadSetting, SlipwayError, Unreachable } from './errors.ts';
import { hostAndPort, whyUnreachable } from './reach.ts';

const DEFAULT_ADDRESS = 'localhost:7233';
const DEFAULT_CONNECT_TIMEOUT_MS = 5_000;
/** grpc-js waits up to two minutes between attempts by default; an alert must not wait for that after an outage. */
const RECONNECT = {
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.min_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 1_000,
};

/** gRPC status codes, see https://grpc.io/docs/guides/status-codes/. */
const GRPC = { notFound: 5, permissionDenied: 7, unavailable: 14, unauthenticated: 16 } as const;

/** What overrides the standard profiles and variables of Temporal. */
export interface ConnectOptions {
  /** Profile in the TOML file; TEMPORAL_PROFILE or `default` when not given. */
  profile?: string;
  /** `host:port`, over profile and TEMPORAL_ADDRESS. */
  address?: string;
  /** Temporal namespace, over profile and TEMPORAL_NAMESPACE. */
  namespace?: string;
  /** Environment to read instead of the process's own. */
  env?: Record<string, string | undefined>;
  /** Time to establish the connection, in milliseconds; 5,000 by default. */
  timeoutMs?: number;
  /** How Temporal's history names this client. */
  identity?: string;
}

/** Where Temporal is, once profile, variables and options are put together. */
export interface ConnectSettings {
  address: string;
  /** Where the address came from, for messages. */
  origin: string;
  namespace: string;
  connection: ReturnType<typeof loadClientConnectConfig>['connectionOptions'];
}

/** Reads profile and variables. Throws {@link BadSetting} for an unknown profile, unreadable certificate or broken file. */
export function connectSettings(options: ConnectOptions = {}): ConnectSettings {
  const env = definedOnly(options.env ?? process.env);
  let config: ReturnType<typeof loadClientConnectConfig>;
  try {
    config = loadClientConnectConfig({
      ...(options.profile === undefined ? {} : { profile: options.profile }),
      overrideEnvVars: env,
    });
  } catch (error) {
    throw new BadSetting(`Temporal's settings cannot be used: ${messageOf(error)}`, { cause: error });
  }
  const found = config.connectionOptions.address;
  const address = options.address ?? found ?? DEFAULT_ADDRESS;
  const origin = originOf(options, env, found);
  if (!hostAndPort(address)) {
    throw new BadSetting(
      `Temporal's address (from ${origin}): found "${address}"; allowed: host:port, such as ${DEFAULT_ADDRESS}`,
    );
  }
  return {
    address,
    origin,
    namespace: options.namespace ?? config.namespace ?? 'default',
    connection: { ...config.connectionOptions, address },
  };
}

/**
 * Connects, or throws {@link Unreachable} within `timeoutMs` with the address and the setting it came from.
 */
export async function connectClient(
  options: ConnectOptions = {},
): Promise<{ client: Client; settings: ConnectSettings }> {
  const settings = connectSettings(options);
  const timeoutMs = options.timeoutMs ?? DEFAULT_CONNECT_TIMEOUT_MS;
  const connection = lazyConnection(settings, timeoutMs);
  try {
    await connection.ensureConnected();
  } catch (error) {
    await connection.close().catch(() => undefined);
    if (codeOf(error) === GRPC.unauthenticated || codeOf(error) === GRPC.permissionDenied) {
      throw new SlipwayError(
        'forbidden',
        `Temporal at ${settings.address} refuses our credentials: ${messageOf(error)}`,
      );
    }
    const why = await whyUnreachable(settings.address);
    throw unreachable(settings, `no connection within ${timeoutMs / 1_000} s, ${why}`, error);
  }
  return { client: clientOf(connection, settings, options.identity), settings };
}

/** A client that connects on first use and for ever after; for processes that outlive the server's absence. */
export function lazyClient(options: ConnectOptions = {}): { client: Client; settings: ConnectSettings } {
  const settings = connectSettings(options);
  const connection = lazyConnection(settings, options.timeoutMs ?? DEFAULT_CONNECT_TIMEOUT_MS);
  return { client: clientOf(connection, settings, options.identity), settings };
}

/** An error of a Temporal call in plain words; typed errors of ours pass through. */
export function plainError(
  error: unknown,
  settings: Pick<ConnectSettings, 'address' | 'origin' | 'namespace'>,
): Error {
  if (error instanceof SlipwayError) return error;
  if (isUnknownNamespace(error)) {
    return new BadSetting(
      `Temporal at ${settings.address} has no namespace "${settings.namespace}" (TEMPORAL_NAMESPACE or the profile's namespace)`,
      { cause: error },
    );
  }
  const code = codeOf(error);
  if (code === GRPC.unavailable || isGrpcDeadlineError(error))
    return unreachable(settings, 'no answer in time. Is the server running?', error);
  if (code === GRPC.permissionDenied || code === GRPC.unauthenticated) {
    return new SlipwayError(
      'forbidden',
      `Temporal at ${settings.address} refuses this: ${grpcDetails(error)}`,
      {
        cause: error,
      },
    );
  }
  return error instanceof Error ? error : new Error(String(error));
}

/** The SDK knows this error only from calls of the workflow service. */
function isUnknownNamespace(error: unknown): boolean {
  if (error instanceof NamespaceNotFoundError) return true;
  return codeOf(error) === GRPC.notFound && /^namespace\b.*not found/i.test(grpcDetails(error));
}

/** Whether the same call may succeed a little later: the server is away, overloaded or did not answer in time. */
export function isTransient(error: unknown): boolean {
  if (error instanceof Unreachable) return true;
  const code = codeOf(error);
  // CANCELLED, UNKNOWN, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, ABORTED, INTERNAL, UNAVAILABLE
  return code !== null && [1, 2, 4, 8, 10, 13, 14].includes(code);
}

/** gRPC status code of an error or of what caused it. */
export function codeOf(error: unknown): number | null {
  for (let each = error; each instanceof Error; each = each.cause) {
    if (isGrpcServiceError(each)) return each.code;
  }
  return null;
}

/** The server's own sentence. */
export function grpcDetails(error: unknown): string {
  for (let each = error; each instanceof Error; each = each.cause) {
    if (isGrpcServiceError(each)) return each.details;
  }
  return messageOf(error);
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function unreachable(
  settings: Pick<ConnectSettings, 'address' | 'origin'>,
  what: string,
  cause: unknown,
): Unreachable {
  return new Unreachable(
    settings.address,
    `Temporal cannot be reached at ${settings.address} (from ${settings.origin}): ${what}`,
    { cause },
  );
}

function lazyConnection(settings: ConnectSettings, timeoutMs: number): Connection {
  // Core's option type is a superset of the client's; these four are what envconfig fills.
  const { apiKey, tls, metadata } = settings.connection;
  return Connection.lazy({
    address: settings.address,
    connectTimeout: timeoutMs,
    channelArgs: RECONNECT,
    ...(apiKey === undefined ? {} : { apiKey }),
    ...(tls === undefined ? {} : { tls }),
    ...(metadata === undefined ? {} : { metadata: metadata as Record<string, string> }),
  });
}

function clientOf(connection: Connection, settings: ConnectSettings, identity?: string): Client {
  return new Client({
    connection,
    namespace: settings.namespace,
    identity: identity ?? `slipway ${process.pid}@${hostname()}`,
  });
}

function originOf(options: ConnectOptions, env: Record<string, string>, found: string | undefined): string {
  if (options.address !== undefined) return '--address';
  if (env['TEMPORAL_ADDRESS'] !== undefined) return 'TEMPORAL_ADDRESS';
  if (found !== undefined) return `profile "${options.profile ?? env['TEMPORAL_PROFILE'] ?? 'default'}"`;
  return 'the default; set TEMPORAL_ADDRESS or a profile';
}

function definedOnly(env: Record<string, string | undefined>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}
