/** Histories of real releases and backups still replay: a worker of today goes on with what one of yesterday began. */
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
/** As far as it is read here. */
interface SavedHistory {
  events: {
    workflowExecutionStartedEventAttributes?: { workflowId?: string };
    activityTaskScheduledEventAttributes?: { activityType?: { name: string } };
  }[];
}
/** Ids of children are made from the id of their parent. */
const replay = (json: SavedHistory) =>
  Worker.runReplayHistory(
    { workflowBundle },
    fromJson(History, json),
    json.events[0]?.workflowExecutionStartedEventAttributes?.workflowId,
  );
const load = (file: string) => JSON.parse(readFileSync(new URL(file, folder), 'utf8')) as SavedHistory;

describe('a saved history', () => {
  test.each(histories)('%s replays', async (file) => {
    await replay(load(file));
  });

  test.each([
    ['promoted', 'preflight'],
    ['backup-verified', 'takeBackup'],
    ['oplog-slices', 'sliceOplog'],
  ])(
    'of %s that does not fit the workflow is refused, so the tests above can fail',
    async (name, activity) => {
      const history = load(`${name}.history.json`);
      let changed = 0;
      for (const event of history.events) {
        const type = event.activityTaskScheduledEventAttributes?.activityType;
        if (type?.name !== activity) continue;
        type.name = 'other';
        changed++;
      }
      expect(changed).toBeGreaterThan(0);
      await expect(replay(history)).rejects.toThrow(/[Nn]ondeterminism/);
    },
  );
});
