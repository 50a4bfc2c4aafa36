import { defineConfig } from 'vitest/config';

const project = (name: string, overrides: object = {}) => ({
  test: {
    name,
    include: [`test/${name}/**/*.test.ts`],
    pool: 'forks' as const,
    testTimeout: 30_000,
    ...overrides,
  },
});

/** Four kinds of proof; e2e shares one real environment, so its files run one after the other. */
export default defineConfig({
  test: {
    projects: [
      project('unit'),
      project('workflows', { testTimeout: 60_000, hookTimeout: 120_000, fileParallelism: false }),
      project('replay', { testTimeout: 60_000 }),
      project('e2e', { testTimeout: 300_000, hookTimeout: 300_000, fileParallelism: false }),
    ],
  },
});
