/** From what went wrong at the API server to what Temporal should do about it. */
import { ApplicationFailure } from '@temporalio/common';
import { FAILURE } from '../../domain/failures.ts';
import { KubeError } from '../../kubernetes/errors.ts';

/** An API server that has just started forbids everything until it has read its roles; that takes seconds. */
const FORBIDDEN_ATTEMPTS = 6;

const BY_REASON: Record<string, string> = {
  Gone: FAILURE.workloadGone,
  RecordOfAnother: FAILURE.recordOfAnother,
  WorkloadChanged: FAILURE.workloadChanged,
  Invalid: FAILURE.workloadRejected,
  BadRequest: FAILURE.workloadRejected,
};

/** The failure to throw for an error; `attempt` counts from 1. Errors of other kinds are given back as they are. */
export function failureOf(error: unknown, attempt: number): unknown {
  if (!(error instanceof KubeError)) return error;
  const { message, reason, status } = error;
  const type = typeOf(error);
  if (type === FAILURE.forbidden && attempt < FORBIDDEN_ATTEMPTS)
    return ApplicationFailure.retryable(message, type);
  if (type) return ApplicationFailure.nonRetryable(message, type);
  return ApplicationFailure.create({
    message,
    type: status === 0 ? 'ApiServerAway' : reason,
    nonRetryable: false,
    ...(error.retryAfterMs !== undefined && { nextRetryDelay: error.retryAfterMs }),
  });
}

function typeOf({ status, reason, message }: KubeError): string | undefined {
  // A webhook that says no answers 400 or 403 like the API server itself; only its sentence tells.
  if (message.includes('admission webhook') && (status === 403 || status === 400))
    return FAILURE.workloadRejected;
  if (status === 401 || status === 403) return FAILURE.forbidden;
  return BY_REASON[reason];
}
