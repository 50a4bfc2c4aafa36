/** The one error of this adapter. It never carries headers, tokens or bodies of requests. */

interface KubeErrorDetails {
  kind?: string;
  name?: string;
  causes?: { reason?: string; message?: string; field?: string }[];
  retryAfterSeconds?: number;
}

interface KubeErrorInit {
  /** HTTP status, 0 when no answer came. */
  status: number;
  reason: string;
  message: string;
  retryable: boolean;
  details?: KubeErrorDetails | undefined;
  retryAfterMs?: number | undefined;
  cause?: unknown;
}

/** Whatever went wrong between us and the API server. */
export class KubeError extends Error {
  override readonly name = 'KubeError';
  /** HTTP status, 0 when no answer came. */
  readonly status: number;
  /** Reason of the API server's Status (`Conflict`, `NotFound`, …), or a code of the network (`ECONNREFUSED`). */
  readonly reason: string;
  /** Whether the same request may succeed later with nobody doing anything. */
  readonly retryable: boolean;
  readonly details: KubeErrorDetails | undefined;
  /** How long the API server asked to wait. */
  readonly retryAfterMs: number | undefined;

  constructor(init: KubeErrorInit) {
    super(init.message, init.cause === undefined ? undefined : { cause: init.cause });
    this.status = init.status;
    this.reason = init.reason;
    this.retryable = init.retryable;
    this.details = init.details;
    this.retryAfterMs = init.retryAfterMs;
  }
}

const RETRYABLE_STATUS = new Set([408, 409, 425, 429, 500, 502, 503, 504]);

/** The error of an answer that is not 2xx. `body` is a Status object, or whatever a proxy on the way sent. */
export function errorOfResponse(
  request: string,
  status: number,
  body: string,
  retryAfter?: string,
): KubeError {
  const parsed = parseStatus(body);
  const details = parsed?.details;
  const seconds = Number(retryAfter ?? details?.retryAfterSeconds ?? Number.NaN);
  return new KubeError({
    status,
    reason: parsed?.reason || `HTTP${status}`,
    message: parsed?.message || `${request}: the API server answered ${status}`,
    // A full quota or another's record do not go away by trying again; AlreadyExists is a 409 that never does.
    retryable: RETRYABLE_STATUS.has(status) && parsed?.reason !== 'AlreadyExists',
    details,
    retryAfterMs: Number.isFinite(seconds) && seconds >= 0 ? seconds * 1_000 : undefined,
  });
}

/** The error of a Status object that came as a watch event. */
export function errorOfStatus(status: { code?: number; reason?: string; message?: string }): KubeError {
  const code = status.code ?? 500;
  return new KubeError({
    status: code,
    reason: status.reason || `HTTP${code}`,
    message: status.message || 'the API server ended the watch',
    retryable: RETRYABLE_STATUS.has(code),
  });
}

/** The error of a request that got no answer: refused, reset, timed out, certificate not trusted. */
export function errorOfNetwork(request: string, cause: unknown): KubeError {
  const code = codeOf(cause);
  const text = cause instanceof Error ? cause.message : String(cause);
  return new KubeError({
    status: 0,
    reason: code ?? 'Network',
    message: `${request}: no answer from the API server (${text})`,
    // A wrong certificate stays wrong; all else may pass.
    retryable: !(code?.startsWith('ERR_TLS') || code?.includes('CERT') || code?.startsWith('ERR_SSL')),
  });
}

function codeOf(cause: unknown): string | undefined {
  const code = typeof cause === 'object' && cause !== null && 'code' in cause ? cause.code : undefined;
  return typeof code === 'string' ? code : undefined;
}

interface Status {
  kind: 'Status';
  reason?: string;
  message?: string;
  details?: KubeErrorDetails;
}

function parseStatus(body: string): Status | null {
  try {
    const value: unknown = JSON.parse(body);
    const kind = typeof value === 'object' && value !== null && 'kind' in value ? value.kind : undefined;
    return kind === 'Status' ? (value as Status) : null;
  } catch {
    return null;
  }
}
