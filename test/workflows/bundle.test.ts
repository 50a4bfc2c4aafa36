import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode, DefaultLogger } from '@temporalio/worker';
import { beforeAll, expect, test } from 'vitest';

/** Code without inline source maps; 515 KB of it is the SDK. Raise it knowingly: every cached workflow pays for it. */
const BUDGET_BYTES = 900_000;

let code: string;
beforeAll(async () => {
  const workflowsPath = fileURLToPath(new URL('../../src/workflows/index.ts', import.meta.url));
  const bundle = await bundleWorkflowCode({ workflowsPath, logger: new DefaultLogger('ERROR') });
  code = bundle.code.replace(/\/\/# sourceMappingURL=data:\S+/g, '');
});

test('the workflow bundle stays within its budget', () => {
  console.log(`workflow bundle: ${code.length} bytes`);
  expect(code.length).toBeLessThan(BUDGET_BYTES);
});

test.each(['zod', 'mongodb', '@kubernetes/client-node', 'src/kubernetes', 'src/mongodb', 'src/storage'])(
  'the workflow bundle holds nothing of %s',
  (name) => {
    const modules = [...code.matchAll(/^\/\*{3}\/ "([^"]+)":?$/gm)].map(([, path]) => path ?? '');
    expect(modules.length).toBeGreaterThan(20);
    expect(modules.filter((path) => path.includes(`/${name}/`))).toEqual([]);
  },
);

test('every export of the registry is a workflow of that name', () => {
  for (const name of ['release', 'releaseQueue', 'backup', 'restoreData', 'drill'])
    expect(code).toContain(`${name}: () =>`);
});
