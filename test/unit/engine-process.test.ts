/** How the worker and the process that dumps and restores part. */
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { type EngineRun, runEngine } from '../../src/activities/backup/engine.ts';

const fixture = (name: string) => fileURLToPath(new URL(`../fixtures/engines/${name}.mjs`, import.meta.url));

function run<T>(engine: string, more: Partial<EngineRun> = {}): Promise<T> {
  const signal = new AbortController().signal;
  const job: EngineRun = {
    job: 'takeBackup',
    input: {},
    attempt: 1,
    signal,
    report: () => undefined,
    ...more,
  };
  return runEngine<T>(job, { engine: fixture(engine), env: process.env, kube: null, version: 'test' });
}

const lives = (pid: number) => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

describe('an engine', () => {
  test('that has answered but does not end is ended, and its answer counts', async () => {
    const { pid } = await run<{ pid: number }>('lingers');
    expect(lives(pid)).toBe(false);
  });

  test('that ends without an answer fails the work with what it said, to be tried again', async () => {
    await expect(run('dies')).rejects.toMatchObject({
      type: 'EngineEnded',
      nonRetryable: false,
      message: expect.stringContaining('out of luck at mongodb://[secret]@host'),
    });
  });
});
