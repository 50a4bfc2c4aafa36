/**
 * A release that speaks the messages of the real one and touches nothing: for tests of what stands around a release.
 * It waits at the gate "half" until a command or an alert with severity=critical ends it.
 */
import {
  ApplicationFailure,
  allHandlersFinished,
  condition,
  setHandler,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow';
import { defineSearchAttributeKey } from '@temporalio/common';
import { statusWithoutRun } from '../../../src/client/release/status-without-run.ts';
import type { Outcome, Phase, ReleaseInput, ReleaseStatus } from '../../../src/domain/release/types.ts';
import * as messages from '../../../src/workflows/messages.ts';

/** The line is the real one. */
export { releaseQueue } from '../../../src/workflows/release/queue.ts';

const GATE = { name: 'half', revision: 'abc12' };
const PHASE = defineSearchAttributeKey('SlipwayPhase', 'KEYWORD');

export async function release(input: ReleaseInput): Promise<ReleaseStatus> {
  const status = firstStatus(input);
  let end: { outcome: Outcome; reason: string } | null = null;
  const enter = (phase: Phase): void => {
    status.phase = phase;
    upsertSearchAttributes([{ key: PHASE, value: phase }]);
  };
  const ends =
    (outcome: Outcome) =>
    (command: { by: string; why?: string }): ReleaseStatus => {
      end = { outcome, reason: command.why ?? `${outcome} by ${command.by}` };
      return status;
    };
  const validator = (command: { gate: string; revision: string }): void => {
    if (command.gate === GATE.name && command.revision === GATE.revision) return;
    throw ApplicationFailure.nonRetryable(`gate "${command.gate}" is not open; "${GATE.name}" is`, 'Refused');
  };
  setHandler(messages.status, () => status);
  setHandler(messages.approve, ends('promoted'), { validator });
  setHandler(messages.reject, ends('rejected'), { validator });
  setHandler(messages.abort, ends('aborted'));
  setHandler(messages.promote, ends('promoted'));
  setHandler(messages.pause, (command) => {
    status.paused = { by: command.by, why: command.why ?? '', since: status.startedAt };
    enter('paused');
    return status;
  });
  setHandler(messages.resume, () => {
    status.paused = null;
    enter('awaiting-approval');
    return status;
  });
  setHandler(messages.supersede, (command) => {
    ends('superseded')(command);
  });
  setHandler(messages.alert, (alert) => {
    status.alerts.push(alert);
    if (alert.status === 'firing' && alert.labels['severity'] === 'critical') {
      end = { outcome: 'rolled-back', reason: `alert ${alert.labels['alertname']}` };
    }
  });
  if (input.release.spec.reason === 'fails') {
    throw ApplicationFailure.create({
      message: 'needs a person',
      nonRetryable: true,
      details: [{ ...status, phase: 'failed', outcome: 'failed', reason: 'needs a person' }],
    });
  }
  if (!input.dryRun) {
    enter('awaiting-approval');
    await condition(() => end !== null);
  }
  const { outcome, reason } = end ?? { outcome: 'promoted' as const, reason: 'dry run' };
  enter(outcome);
  Object.assign(status, { outcome, reason, gate: null, finishedAt: new Date(Date.now()).toISOString() });
  await condition(allHandlersFinished);
  return status;
}

function firstStatus(input: ReleaseInput): ReleaseStatus {
  const { workflowId, runId } = workflowInfo();
  const { namespace, name } = input.release.metadata;
  const now = new Date(Date.now()).toISOString();
  const revision = { hash: null, pods: 4, ready: 4, image: 'old' };
  const known = statusWithoutRun({
    id: workflowId,
    run: runId,
    namespace,
    workload: name,
    image: input.release.spec.image ?? '',
    reason: null,
    releaseReason: input.release.spec.reason,
    starter: input.starter,
    key: input.key,
    phase: 'preflight',
    outcome: null,
    startedAt: now,
    finishedAt: null,
  });
  return {
    ...known,
    plan: { replicas: 4, steps: [], notes: [] },
    stable: revision,
    canary: { ...revision, weight: 0 },
    gate: { ...GATE, approvals: [], needed: 1, fourEyes: false, expires: now },
  };
}
