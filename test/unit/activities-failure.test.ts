import { ApplicationFailure } from '@temporalio/common';
import { describe, expect, it } from 'vitest';
import { failureOf } from '../../src/activities/release/failure.ts';
import { errorOfNetwork, errorOfResponse, KubeError } from '../../src/kubernetes/errors.ts';

const answer = (code: number, reason: string, message = reason, retryAfter?: string): KubeError =>
  errorOfResponse('PATCH /x', code, JSON.stringify({ kind: 'Status', reason, message }), retryAfter);

function failure(error: unknown, attempt = 1): ApplicationFailure {
  const result = failureOf(error, attempt);
  if (!(result instanceof ApplicationFailure)) throw new Error('no ApplicationFailure');
  return result;
}

describe('a failure that Temporal should not repeat', () => {
  it.each([
    [answer(422, 'Invalid', 'maxSurge: must be greater'), 'WorkloadRejected'],
    [answer(400, 'BadRequest'), 'WorkloadRejected'],
    [
      answer(403, 'Forbidden', 'admission webhook "policy.example" denied the request: no tag'),
      'WorkloadRejected',
    ],
    [new KubeError({ status: 404, reason: 'Gone', message: 'x', retryable: false }), 'WorkloadGone'],
    [
      new KubeError({ status: 409, reason: 'RecordOfAnother', message: 'x', retryable: false }),
      'RecordOfAnother',
    ],
    [
      new KubeError({ status: 409, reason: 'WorkloadChanged', message: 'x', retryable: false }),
      'WorkloadChanged',
    ],
  ])('keeps the sentence: %s', (error, type) => {
    expect(failure(error)).toMatchObject({ type, nonRetryable: true, message: error.message });
  });
});

describe('a failure that may pass', () => {
  it.each([
    answer(409, 'Conflict'),
    answer(429, 'TooManyRequests'),
    answer(500, 'InternalError'),
    answer(503, 'ServiceUnavailable'),
    errorOfNetwork('GET /x', Object.assign(new Error('refused'), { code: 'ECONNREFUSED' })),
  ])('is repeated: %s', (error) => {
    expect(failure(error).nonRetryable).toBe(false);
  });

  it('waits as long as the API server asks', () => {
    expect(failure(answer(429, 'TooManyRequests', 'slow', '7')).nextRetryDelay).toBe(7_000);
  });

  it('is a refusal by an API server that has just started; one that lasts is final', () => {
    const refused = answer(403, 'Forbidden', 'deployments.apps is forbidden');
    expect(failure(refused, 1)).toMatchObject({ type: 'Forbidden', nonRetryable: false });
    expect(failure(refused, 6)).toMatchObject({ type: 'Forbidden', nonRetryable: true });
  });
});

it('an error of another kind is handed on as it is', () => {
  const error = new TypeError('bug');
  expect(failureOf(error, 1)).toBe(error);
});
