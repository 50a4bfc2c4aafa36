import { defineConfig } from 'vitest/config';

const LONG = { testTimeout: 300_000, hookTimeout: 300_000, fileParallelism: false };

const project = (name: string, overrides: object = {}) => ({
  test: {
    name,
    include: [`test/${name}/**/*.test.ts`],
    pool: 'forks' as const,
    testTimeout: 30_000,
    ...overrides,
  },
});

/**
 * Five kinds of proof. `lab` brings labs up and tears them down; `e2e` shares one lab that is up already, so its files
 * run one after the other.
 */
export default defineConfig({
  test: {
    projects: [
      project('unit'),
      project('workflows', { testTimeout: 60_000, hookTimeout: 120_000, fileParallelism: false }),
      project('replay', { testTimeout: 60_000 }),
      project('lab', { include: ['test/e2e/lab*.test.ts'], ...LONG }),
      project('e2e', { exclude: ['test/e2e/lab*.test.ts'], ...LONG }),
    ],
  },
});
