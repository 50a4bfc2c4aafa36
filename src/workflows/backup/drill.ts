/** A drill: brings a backup back into a scratch place, compares it with its manifest, measures the time, and cleans up. */
import {
  ApplicationFailure,
  CancellationScope,
  isCancellation,
  setCurrentDetails,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import { BACKUP_FAILURE } from '../../domain/backup/failures.ts';
import type { DrillInput, DrillStatus } from '../../domain/backup/drill.types.ts';
import { drillDetails } from '../../domain/backup/view.ts';
import { haul, tidy } from './activities.ts';
import * as messages from './messages.ts';
import { failureText } from '../failure-text.ts';

/** Ends with the status of a drill that passed; fails when the backup does not come back as it was. */
export async function drill(input: DrillInput): Promise<DrillStatus> {
  const status: DrillStatus = {
    id: workflowInfo().workflowId,
    backup: input.backup,
    phase: 'restoring',
    into: 'the scratch place of the policy',
    restoreMs: null,
    namespaces: 0,
    documents: 0,
    bytes: 0,
    differences: [],
    reason: null,
    startedAt: new Date(Date.now()).toISOString(),
    finishedAt: null,
  };
  setHandler(messages.drillStatus, () => status, { description: 'Where the drill is, as JSON' });
  const show = () => setCurrentDetails(drillDetails(status));
  show();
  try {
    Object.assign(
      status,
      await haul.restoreDrill.executeWithOptions({ summary: 'restore and compare' }, [input]),
    );
    if (status.differences.length > 0)
      status.reason = `${status.differences.length} differences from the manifest`;
  } catch (error) {
    if (isCancellation(error)) {
      await CancellationScope.nonCancellable(() => tidy.cleanDrill(input));
      throw error;
    }
    status.reason = failureText(error);
  }
  status.phase = 'cleaning';
  show();
  const passed = await CancellationScope.nonCancellable(() => finish(input, status));
  show();
  if (passed) return status;
  throw ApplicationFailure.create({
    message: status.reason ?? 'failed',
    type: BACKUP_FAILURE.drillFailed,
    nonRetryable: true,
    details: [status],
  });
}

/** Answers whether the drill passed. */
async function finish(input: DrillInput, status: DrillStatus): Promise<boolean> {
  try {
    await tidy.cleanDrill.executeWithOptions({ summary: 'drop the scratch databases' }, [input]);
  } catch (error) {
    const left = `scratch databases are left: ${failureText(error)}`;
    status.reason = status.reason === null ? left : `${status.reason}; ${left}`;
  }
  const passed = status.reason === null;
  status.phase = passed ? 'passed' : 'failed';
  status.finishedAt = new Date(Date.now()).toISOString();
  const { backup, into, restoreMs, namespaces, documents, bytes, differences, reason, finishedAt } = status;
  const record = {
    backup,
    into,
    restoreMs: restoreMs ?? 0,
    namespaces,
    documents,
    bytes,
    differences,
    reason,
    passed,
    at: finishedAt,
  };
  try {
    await tidy.recordDrill.executeWithOptions({ summary: 'write down how it went' }, [
      { policy: input.policy, record },
    ]);
  } catch (error) {
    // The drill itself is not worse for it, but the next one comes sooner.
    status.differences.push(`the record could not be written: ${failureText(error)}`);
  }
  return passed;
}
