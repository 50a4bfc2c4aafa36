/** What tests of releases say and expect again and again. */
import { WorkflowFailedError } from '@temporalio/client';
import type { ApplicationFailure } from '@temporalio/common';
import { expect } from 'vitest';
import type { AlertNotice } from '../../src/domain/release/types.ts';
import type { FakeCluster } from './fake-cluster.ts';
import type { Voyager } from './harbour.ts';

export const person = { by: 'ann', why: 'I say so' };

export function alertOf(labels: Record<string, string> = {}, more: Partial<AlertNotice> = {}): AlertNotice {
  return {
    fingerprint: 'f00',
    status: 'firing',
    labels: { alertname: 'HighErrorRate', severity: 'warning', ...labels },
    annotations: { summary: 'too many errors' },
    startsAt: '2026-01-01T00:00:00Z',
    ...more,
  };
}

export function expectRestored(cluster: FakeCluster): void {
  expect(cluster).toMatchObject({
    canary: 0,
    stable: cluster.replicas,
    held: false,
    record: null,
    strategy: cluster.own,
  });
  expect(cluster.images).toEqual({ app: 'shop/app:v1' });
}

export async function failureOf(release: Voyager): Promise<ApplicationFailure> {
  const error: unknown = await release.result().then(
    () => new Error('the workflow did not fail'),
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(WorkflowFailedError);
  return (error as WorkflowFailedError).cause as ApplicationFailure;
}
