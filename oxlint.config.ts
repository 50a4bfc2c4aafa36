/** The linter's rules, and the arrows of the house: which room may import from which. */
import { readdirSync } from 'node:fs';
import { defineConfig, type OxlintOverride } from 'oxlint';

interface Room {
  /** Rooms whose code it may import. Everything else is forbidden. */
  may: Name[];
  /** Rooms of which it may import types, and nothing that runs. */
  types?: Name[];
  /** Packages that are not its business. */
  without: string[];
}

export type Name =
  | 'activities'
  | 'backups'
  | 'cli'
  | 'client'
  | 'domain'
  | 'engine'
  | 'gateway'
  | 'kubernetes'
  | 'mongodb'
  | 'observability'
  | 'specs'
  | 'storage'
  | 'version'
  | 'worker'
  | 'workflows';

const TEMPORAL = '@temporalio/**';
const KUBERNETES = '@kubernetes/**';
const MONGODB = 'mongodb';
const S3 = '@aws-sdk/**';
const SERVERS = [TEMPORAL, KUBERNETES, MONGODB, S3];
const NODE = ['node:*', 'node:*/**'];

/** `src/NAME/` and, where there is one, its front door `src/NAME.ts`. */
export const ROOMS: Record<Name, Room> = {
  // What people write, and pure decisions on it.
  specs: { may: [], without: [...SERVERS, ...NODE] },
  domain: { may: ['specs'], without: [...SERVERS, ...NODE, 'zod', 'yaml', 'pino', 'commander'] },
  // The stories. They are bundled for Temporal's sandbox, so what they import must be free of I/O.
  workflows: {
    may: ['domain', 'specs'],
    types: ['activities'],
    without: [
      KUBERNETES,
      MONGODB,
      S3,
      ...NODE,
      'zod',
      ...['client', 'worker', 'activity'].map((part) => `@temporalio/${part}`),
    ],
  },
  // Adapters: one outside system each. Archives and slices of MongoDB lie in a storage.
  kubernetes: { may: ['domain', 'specs'], without: [TEMPORAL, MONGODB, S3] },
  storage: { may: [], without: [TEMPORAL, KUBERNETES, MONGODB] },
  mongodb: { may: ['domain', 'specs', 'storage'], without: [TEMPORAL, KUBERNETES, S3] },
  // What activities and read-only commands both do with several adapters.
  backups: { may: ['domain', 'kubernetes', 'mongodb', 'specs', 'storage'], without: SERVERS },
  activities: {
    may: ['backups', 'domain', 'kubernetes', 'mongodb', 'specs', 'storage'],
    without: [KUBERNETES, S3, '@temporalio/workflow', '@temporalio/worker'],
  },
  // The only room that holds a Temporal client.
  client: {
    may: ['domain', 'specs'],
    without: [KUBERNETES, MONGODB, S3, '@temporalio/workflow', '@temporalio/worker'],
  },
  observability: { may: ['client', 'specs'], without: SERVERS },
  version: { may: [], without: SERVERS },
  // The processes.
  engine: {
    may: ['activities', 'backups', 'domain', 'kubernetes', 'mongodb', 'specs'],
    without: [KUBERNETES, MONGODB, S3, '@temporalio/workflow', '@temporalio/worker'],
  },
  worker: {
    may: ['activities', 'client', 'domain', 'kubernetes', 'observability', 'specs', 'version'],
    without: [KUBERNETES, MONGODB, S3, '@temporalio/client', '@temporalio/workflow'],
  },
  gateway: { may: ['client', 'domain', 'observability', 'specs'], without: SERVERS },
  cli: {
    may: [
      'backups',
      'client',
      'domain',
      'gateway',
      'kubernetes',
      'mongodb',
      'specs',
      'storage',
      'version',
      'worker',
    ],
    without: SERVERS,
  },
};

for (const entry of readdirSync(new URL('./src', import.meta.url))) {
  if (!(entry.replace(/\.ts$/, '') in ROOMS)) throw new Error(`oxlint.config.ts: src/${entry} is in no room`);
}

/** Folders beside src: the product knows nothing of them. */
const OUTSIDE = ['lab', 'test', 'bench', 'examples', 'scripts'].map((folder) => `**/${folder}/**`);
/** From `src/NAME.ts` to its neighbours, and from one, two or three folders below src. */
const FRONT_DOOR = ['./'];
const INSIDE = ['../', '../../', '../../../'];

function arrowsOf(name: Name): OxlintOverride[] {
  const { may, types = [], without } = ROOMS[name];
  const others = (Object.keys(ROOMS) as Name[]).filter((other) => other !== name && !may.includes(other));
  const closed = others.filter((other) => !types.includes(other));
  const seen = [name, ...may].join(', ');
  const rules = (ways: string[]): NonNullable<OxlintOverride['rules']> => {
    const to = (names: Name[]) =>
      names.flatMap((other) => ways.flatMap((way) => [`${way}${other}/**`, `${way}${other}.ts`]));
    const patterns = [
      {
        group: [...to(closed), ...OUTSIDE],
        message: `${name} sees ${seen}; see the table in oxlint.config.ts`,
      },
      { group: without, message: `not the business of ${name}; see the table in oxlint.config.ts` },
      ...(types.length === 0
        ? []
        : [
            {
              group: to(types),
              allowTypeImports: true,
              message: `${name} imports types only of ${types.join(', ')}`,
            },
          ]),
    ];
    return { 'no-restricted-imports': ['error', { patterns }] };
  };
  return [
    { files: [`src/${name}/**`], rules: rules(INSIDE) },
    { files: [`src/${name}.ts`], rules: rules(FRONT_DOOR) },
  ];
}

export default defineConfig({
  plugins: ['typescript', 'unicorn', 'oxc', 'import'],
  categories: {
    correctness: 'error',
    suspicious: 'error',
  },
  rules: {
    'typescript/no-floating-promises': 'error',
    'typescript/no-misused-promises': 'error',
    'import/no-cycle': 'error',
    'import/no-unassigned-import': 'off',
    'no-shadow': 'off',
    'unicorn/consistent-function-scoping': 'off',
    'unicorn/no-array-sort': 'off',
    'typescript/no-unsafe-type-assertion': 'off',
    'typescript/no-unnecessary-type-assertion': 'off',
    'no-await-in-loop': 'off',
    'vitest/require-mock-type-parameters': 'off',
    'import/no-named-as-default-member': 'off',
    'unicorn/no-useless-spread': 'off',
    'no-underscore-dangle': 'off',
    'unicorn/no-array-reverse': 'off',
    'unicorn/no-thenable': 'off',
    'typescript/consistent-return': 'off',
    'no-new': 'off',
    'typescript/no-unsafe-enum-comparison': 'off',
    'typescript/no-unsafe-enum-assignment': 'off',
    'no-unmodified-loop-condition': 'off',
    'typescript/no-unnecessary-boolean-literal-compare': 'off',
    'typescript/no-unnecessary-type-parameters': 'off',
  },
  ignorePatterns: ['dist', 'node_modules', '.lab', 'test/fixtures'],
  overrides: (Object.keys(ROOMS) as Name[]).flatMap(arrowsOf),
});
