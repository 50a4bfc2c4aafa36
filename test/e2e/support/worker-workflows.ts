/** Workflows for tests of the worker process: each runs one activity of the fixture process. */
import { proxyActivities } from '@temporalio/workflow';
import { WATCH_TASK_QUEUE } from '../../../src/domain/names.ts';
import type { FixtureActivities } from './worker-process.ts';

const options = {
  startToCloseTimeout: '1m',
  retry: { initialInterval: '100ms' },
} as const;

export async function acting(): Promise<string> {
  return await proxyActivities<FixtureActivities>(options).act();
}

export async function actingOn(): Promise<string> {
  return await proxyActivities<FixtureActivities>(options).actOn();
}

export async function watching(): Promise<string> {
  return await proxyActivities<FixtureActivities>({
    ...options,
    heartbeatTimeout: '3s',
    taskQueue: WATCH_TASK_QUEUE,
  }).watch();
}

/** A bug, not a failure: without `failOnBugs` its task would be tried for ever. */
export async function buggy(): Promise<string> {
  await Promise.resolve();
  throw new TypeError('a bug');
}
