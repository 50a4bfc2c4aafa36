/**
 * The real worker process with the real activities, which dies by SIGKILL or stands still where a test orders it to
 * (orders.ts). The product carries no such thing.
 */
import { Context } from '@temporalio/activity';
import { createReleaseActivities } from '../../../src/activities/release/release.ts';
import { createQueueActivities } from '../../../src/activities/release/queue.ts';
import { openKube } from '../../../src/kubernetes/kube.ts';
import { runMain } from '../../../src/observability/process.ts';
import { runWorker } from '../../../src/worker.ts';
import { IN_THE_MIDST_MS, obey } from './orders.ts';

type Activity = (input: Record<string, unknown>) => Promise<unknown>;

await runMain(async () => {
  const folder = process.env['SLIPWAY_TEST_ORDERS'] ?? '';
  const codePath = process.env['SLIPWAY_TEST_BUNDLE'] ?? '';
  const kube = await openKube();
  const patch = kube.client.patch.bind(kube.client);
  kube.client.patch = async <T>(...args: Parameters<typeof patch>): Promise<T> => {
    const { activityType } = Context.current().info;
    await obey(folder, activityType, 'before-write');
    const written = await patch(...args);
    await obey(folder, activityType, 'after-write');
    return written as T;
  };
  const activities = { ...createQueueActivities(), ...createReleaseActivities({ kube }) };
  const mortal = Object.entries(activities).map(([name, activity]): [string, Activity] => [
    name,
    async (input) => {
      await obey(folder, name, 'begun', input);
      const midst = setTimeout(() => void obey(folder, name, 'waiting', input), IN_THE_MIDST_MS);
      try {
        const result = await (activity as Activity)(input);
        await obey(folder, name, 'done', input);
        return result;
      } finally {
        clearTimeout(midst);
      }
    },
  ]);
  try {
    await runWorker({ activities: Object.fromEntries(mortal), workflowBundle: { codePath } });
  } finally {
    kube.close();
  }
});
