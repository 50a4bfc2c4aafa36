/** A Temporal server that skips time, and the workflows as they are bundled for the product. */
import { fileURLToPath } from 'node:url';
import { TestWorkflowEnvironment } from '@temporalio/testing';
import { bundleWorkflowCode, DefaultLogger, Runtime } from '@temporalio/worker';
import { provision } from '../../lab/provision.ts';
import { SEARCH_ATTRIBUTES } from '../../src/domain/names.ts';

const QUIET = new DefaultLogger('ERROR');

Runtime.install({ logger: QUIET });

/** Bundled once for a file. */
export const workflowBundle = bundleWorkflowCode({
  workflowsPath: fileURLToPath(new URL('../../src/workflows/index.ts', import.meta.url)),
  logger: QUIET,
});

/** A server with the search attributes that `slipway setup` makes. */
export async function skippedTime(): Promise<TestWorkflowEnvironment> {
  const { 'temporal-test-server': server } = await provision(['temporal-test-server']);
  if (!server) throw new Error('the time-skipping test server could not be provisioned');
  const env = await TestWorkflowEnvironment.createTimeSkipping({
    server: { executable: { type: 'existing-path', path: server.path } },
  });
  await env.connection.operatorService.addSearchAttributes({
    namespace: 'default',
    searchAttributes: Object.fromEntries(SEARCH_ATTRIBUTES.map((name) => [name, 2])),
  });
  return env;
}
