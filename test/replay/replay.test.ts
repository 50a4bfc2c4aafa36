/** Histories of real releases still replay: a worker of today goes on with a release that one of yesterday began. */
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode, DefaultLogger, Runtime, Worker, type WorkflowBundle } from '@temporalio/worker';
import { beforeAll, describe, expect, test } from 'vitest';

const folder = new URL('.', import.meta.url);
const histories = readdirSync(folder).filter((file) => file.endsWith('.history.json'));
let workflowBundle: WorkflowBundle;

beforeAll(async () => {
  const logger = new DefaultLogger('ERROR');
  Runtime.install({ logger });
  const workflowsPath = fileURLToPath(new URL('../../src/workflows/index.ts', folder));
  workflowBundle = await bundleWorkflowCode({ workflowsPath, logger });
}, 120_000);

// The SDK's own reader takes the protobufjs beside it, which does not know the types of the one that made them; so this takes the latter.
const ofProto = createRequire(createRequire(import.meta.url).resolve('@temporalio/proto'));
const { fromJson } = ofProto('protobufjs/ext/protojson') as {
  fromJson: (type: unknown, json: unknown) => object;
};
const { temporal } = ofProto('@temporalio/proto') as {
  temporal: { api: { history: { v1: { History: unknown } } } };
};
const History = temporal.api.history.v1.History;
const replay = (json: unknown) => Worker.runReplayHistory({ workflowBundle }, fromJson(History, json));
const load = (file: string) => JSON.parse(readFileSync(new URL(file, folder), 'utf8'));

describe('a saved history of a release', () => {
  test.each(histories)('%s replays', async (file) => {
    await replay(load(file));
  });

  test('that does not fit the workflow is refused, so the tests above can fail', async () => {
    const [file = ''] = histories;
    const history = load(file);
    for (const event of history.events) {
      const type = event.activityTaskScheduledEventAttributes?.activityType;
      if (type?.name === 'preflight') type.name = 'other';
    }
    await expect(replay(history)).rejects.toThrow(/[Nn]ondeterminism/);
  });
});
