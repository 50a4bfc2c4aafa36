import { defineConfig } from 'vitest/config';

/** Bounds for what hangs, not for what is slow: a busy machine takes several times as long as an idle one. */
const LONG = { testTimeout: 600_000, hookTimeout: 600_000, expect: { poll: { timeout: 60_000 } } };

const project = (name: string, overrides: object = {}) => ({
  test: {
    name,
    include: [`test/${name}/**/*.test.ts`],
    pool: 'forks' as const,
    globalSetup: ['test/orphans.ts'],
    testTimeout: 30_000,
    ...overrides,
  },
});

/**
 * Five kinds of proof. `lab` brings labs up and tears them down, one after the other; `e2e` shares one lab that is up
 * already, in which every file has a namespace and servers of its own: most of their time is waiting for pods and bakes.
 */
export default defineConfig({
  test: {
    projects: [
      project('unit'),
      project('workflows', { testTimeout: 300_000, hookTimeout: 300_000, fileParallelism: false }),
      project('replay', { testTimeout: 60_000 }),
      project('lab', { include: ['test/e2e/lab*.test.ts'], fileParallelism: false, ...LONG }),
      project('e2e', { exclude: ['test/e2e/lab*.test.ts'], maxWorkers: 2, ...LONG }),
    ],
  },
});
