/** Every command that can be given to backups, restores and drills: schedules of policies, runs, decisions. */
import { BACKUP_WORKFLOW, backupRunId, drillId, restoreId } from '../domain/backup/names.ts';
import type { RestoreApproval, RestoreInput, RestoreStatus } from '../domain/backup/restore.types.ts';
import type { BackupInput, BackupStatus, BackupSummary, ThrottleCommand } from '../domain/backup/types.ts';
import type { SlicesStatus } from '../domain/point-in-time/types.ts';
import type { BackupPolicy } from '../specs/backup.types.ts';
import type { Api } from './api.ts';
import { SlipwayError } from './errors.ts';
import { deletedPolicies, noteDeleted } from './backup/deleted.ts';
import {
  type Applied,
  applySchedule,
  type DescribedPolicy,
  describePolicy,
  type ListedPolicy,
  listPolicies,
  onSchedule,
} from './backup/policies.ts';
import { followRun, type RunFollow, type RunView, viewRun } from './backup/run-view.ts';
import {
  backupsTaken,
  cancelRun,
  type ListedRun,
  type RunRef,
  runningBackups,
  runsOfPolicy,
  runsUnderWay,
  startRun,
  updateRun,
} from './backup/runs.ts';
import { applySlices, pauseSlices, resumeSlices, stopSlices, viewSlices } from './backup/slices.ts';

export type { RunView } from './backup/run-view.ts';
export type { ListedRun, RunRef } from './backup/runs.ts';

/**
 * The commands of policies, backups, restores and drills. Every method ends in time; whatever it throws is a
 * {@link SlipwayError}, or a bug. Those that name a policy throw `no-policy` when it is not applied, those that look at a
 * run or decide on it `no-run`.
 */
export class BackupClient {
  readonly #api: Api;

  constructor(api: Api) {
    this.#api = api;
  }

  /** Makes the Schedule, and the workflow that stores slices, what the policy says. Paused ones stay paused. */
  async apply(policy: BackupPolicy, by = 'slipway backup apply'): Promise<Applied> {
    const result = await applySchedule(this.#api, policy);
    const { paused, note } = await this.describe(policy.metadata.name);
    await applySlices(this.#api, policy, paused ? { by, why: note ?? 'the policy is paused' } : null, by);
    return result;
  }

  policies(): Promise<ListedPolicy[]> {
    return listPolicies(this.#api);
  }

  /** Throws {@link SlipwayError} `no-policy`. */
  describe(name: string): Promise<DescribedPolicy> {
    return describePolicy(this.#api, name);
  }

  async policy(name: string): Promise<BackupPolicy> {
    return (await this.describe(name)).policy;
  }

  async pause(name: string, by: string, why: string): Promise<void> {
    await onSchedule(this.#api, name, (handle) => handle.pause(`paused by ${by}: ${why}`));
    await pauseSlices(this.#api, name, { by, why });
  }

  async resume(name: string, by: string, why?: string): Promise<void> {
    const note = `resumed by ${by}${why === undefined ? '' : `: ${why}`}`;
    await onSchedule(this.#api, name, (handle) => handle.unpause(note));
    // One that somebody has ended begins anew.
    await applySlices(this.#api, await this.policy(name), null, by);
    await resumeSlices(this.#api, name, by);
  }

  /**
   * Removes the Schedule, ends the workflow that stores slices, and notes that this was meant, which ends the alarms. Backups
   * and slices stay where they are. Of a policy whose Schedule is gone already it does the rest, then throws `no-policy`.
   */
  async delete(name: string, by = 'slipway backup delete'): Promise<void> {
    const gone = await onSchedule(this.#api, name, (handle) => handle.delete()).then(
      () => null,
      (error: unknown) => {
        if (error instanceof SlipwayError && error.code === 'no-policy') return error;
        throw error;
      },
    );
    await stopSlices(this.#api, name, by);
    await noteDeleted(this.#api, name, by);
    if (gone)
      throw new SlipwayError(
        'no-policy',
        `${gone.message}. Was its schedule deleted by another hand? Then its alarms end now`,
      );
  }

  /** Policies that a command has deleted in the last days, with the time, ISO 8601. */
  deleted(now = Date.now()): Promise<Map<string, string>> {
    return deletedPolicies(this.#api, now);
  }

  /** Where the workflow is that stores a policy's slices of the oplog; `null` when there is none. */
  slices(name: string): Promise<RunView<SlicesStatus> | null> {
    return viewSlices(this.#api, name);
  }

  /** Starts a backup now, also of a paused policy. */
  async run(policy: BackupPolicy, starter: string): Promise<RunRef> {
    const { name } = policy.metadata;
    const input: BackupInput = { policy, trigger: 'manual', starter, locked: false };
    return await startRun(this.#api, BACKUP_WORKFLOW.backup, backupRunId(name, new Date()), input, {
      policy: name,
      starter,
      summary: `backup of ${name}, by ${starter}`,
    });
  }

  async startRestore(input: RestoreInput): Promise<RunRef> {
    const name = 'policy' in input.origin ? input.origin.policy.metadata.name : 'archive';
    return await startRun(this.#api, BACKUP_WORKFLOW.restore, restoreId(name, new Date()), input, {
      policy: name,
      starter: input.starter,
      summary: `${input.dryRun ? 'dry run of a ' : ''}restore from ${name}, by ${input.starter}`,
    });
  }

  async startDrill(policy: BackupPolicy, backup: string, starter: string): Promise<RunRef> {
    const { name } = policy.metadata;
    return await startRun(
      this.#api,
      BACKUP_WORKFLOW.drill,
      drillId(name, backup),
      { policy, backup, starter },
      {
        policy: name,
        starter,
        summary: `restore ${backup} of ${name} into a scratch place, by ${starter}`,
      },
    );
  }

  /** Where a backup, restore or drill is, with the progress of what moves data. Throws `no-run`. */
  view<Status>(ref: { id: string; run?: string | null }): Promise<RunView<Status>> {
    return viewRun<Status>(this.#api, ref);
  }

  /** Follows to the end, or to `timeoutMs`, or until the signal is aborted. */
  follow<Status>(ref: RunRef, options: RunFollow<Status>): Promise<RunView<Status>> {
    return followRun<Status>(this.#api, ref, options);
  }

  /** Backups that run now, by policy; `null`: of all. */
  running(policy: string | null): Promise<RunRef[]> {
    return runningBackups(this.#api, policy);
  }

  throttle(ref: RunRef, command: ThrottleCommand): Promise<BackupStatus> {
    return updateRun(this.#api, ref, 'throttle', command);
  }

  approveRestore(ref: RunRef, approval: RestoreApproval): Promise<RestoreStatus> {
    return updateRun(this.#api, ref, 'approve', approval);
  }

  rejectRestore(ref: RunRef, approval: RestoreApproval): Promise<RestoreStatus> {
    return updateRun(this.#api, ref, 'reject', approval);
  }

  /** Backups, restores and drills of a policy, those that run first, then the newest. */
  runs(policy: string, limit = 10): Promise<ListedRun[]> {
    return runsOfPolicy(this.#api, policy, limit);
  }

  /** Those of these kinds that run now, of all policies, the newest first. */
  /** Backups that the last runs of a policy have taken; what is there now, `slipway backup list` says. */
  taken(policy: string, limit: number): Promise<BackupSummary[]> {
    return backupsTaken(this.#api, policy, limit);
  }

  underWay(kinds: readonly ('backup' | 'restore' | 'drill')[], limit = 100): Promise<ListedRun[]> {
    return runsUnderWay(this.#api, kinds, limit);
  }

  /** Asks a run to stop and clean up. Answers before it has. Throws `no-run`, and `refused` when it has ended. */
  cancel(ref: RunRef): Promise<void> {
    return cancelRun(this.#api, ref);
  }
}
