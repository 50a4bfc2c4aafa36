/** Which policies were deleted on purpose: their alarms are over, those of a Schedule that just vanished are not. */
import { BACKUP_WORKFLOW, deletedId } from '../../domain/backup/names.ts';
import { TASK_QUEUE } from '../../domain/names.ts';
import { type Api, SERVER_MS } from '../api.ts';
import { attribute, quoted } from '../attributes.ts';
import { POLICY, STARTER } from './schedule-spec.ts';

/** As long as Prometheus is asked to remember: after that nobody would alarm any more. */
const REMEMBERED_MS = 8 * 86_400_000;

/** Needs no worker: that it was started is what counts. */
export async function noteDeleted(api: Api, policy: string, by: string): Promise<void> {
  await api.call(SERVER_MS, () =>
    api.client.workflow.start(BACKUP_WORKFLOW.deleted, {
      workflowId: deletedId(policy),
      workflowIdConflictPolicy: 'TERMINATE_EXISTING',
      taskQueue: TASK_QUEUE,
      args: [{ policy, by }],
      workflowExecutionTimeout: REMEMBERED_MS,
      staticSummary: `backup policy ${policy} deleted by ${by}`,
      typedSearchAttributes: [
        { key: POLICY, value: policy },
        { key: STARTER, value: by },
      ],
    }),
  );
}

/** The last time of each, ISO 8601, by policy; also of those that were applied again. */
export async function deletedPolicies(api: Api, now: number): Promise<Map<string, string>> {
  const since = new Date(now - REMEMBERED_MS).toISOString();
  const query = `WorkflowType = '${BACKUP_WORKFLOW.deleted}' AND StartTime > ${quoted(since)}`;
  return await api.call(SERVER_MS, async () => {
    const found = new Map<string, string>();
    for await (const each of api.client.workflow.list({ query })) {
      const policy = attribute(each, 'SlipwayPolicy');
      const at = each.startTime.toISOString();
      if (policy !== null && at > (found.get(policy) ?? '')) found.set(policy, at);
    }
    return found;
  });
}
