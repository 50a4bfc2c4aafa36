/**
 * Every command that a program, the CLI or the gateway can give to Slipway's releases. The only room that holds a
 * Temporal client. All calls end in time; every error is a {@link SlipwayError} with a sentence, or a bug.
 */
import type { Client } from '@temporalio/client';
import { WorkflowNotFoundError } from '@temporalio/common';
import { type Api, apiOf, UPDATE_MS } from './client/api.ts';
import { BackupClient } from './client/backup.ts';
import { type ConnectOptions, connectClient, lazyClient } from './client/connection.ts';
import { uiLinks } from './client/links.ts';
import {
  history,
  type ListedRelease,
  type ListFilter,
  listReleases,
  type PastRelease,
} from './client/release/listing.ts';
import { type WaitOptions, waitForOutcome } from './client/release/outcome.ts';
import { waitingReleases, withdrawRelease } from './client/release/line.ts';
import { type SetupOptions, type SetupResult, setup } from './client/setup.ts';
import type { ReleaseRef } from './client/release/ref.ts';
import { type StartRequest, type Started, startRelease } from './client/release/start.ts';
import { updateError } from './client/release/update-error.ts';
import { describe, type ReleaseView, viewRelease } from './client/release/view.ts';
import { releaseId } from './domain/names.ts';
import type {
  AlertNotice,
  ApproveCommand,
  PersonCommand,
  QueueStatus,
  RejectCommand,
  ReleaseStatus,
  WithdrawCommand,
} from './domain/release/types.ts';
import type { Target } from './domain/workload/types.ts';

export type { ConnectOptions } from './client/connection.ts';
export * from './client/errors.ts';
export type { ListedRelease, ListFilter, PastRelease } from './client/release/listing.ts';
export type { Progress, WaitOptions } from './client/release/outcome.ts';
export type { SetupOptions, SetupResult } from './client/setup.ts';
export type { ReleaseRef } from './client/release/ref.ts';
export type { OnConflict, Started, StartRequest } from './client/release/start.ts';
export type { Execution, ReleaseView } from './client/release/view.ts';

/** Longest wait for the durable acceptance of a signal, in milliseconds. */
const SIGNAL_MS = 3_000;

export interface CommandOptions {
  /** Identity of this very command: a repeated one is carried out once. */
  updateId?: string;
  /** Only to this run; by default to whichever runs now. */
  run?: string;
}

/** The commands of releases. Every method ends in time; whatever it throws is a {@link SlipwayError}, or a bug. */
export class SlipwayClient {
  /** Address of Temporal, for messages. */
  readonly address: string;
  readonly temporalNamespace: string;
  readonly #api: Api;
  readonly #uiBase: string | null;

  /** For tests and for callers that hold a connection of their own; others use {@link SlipwayClient.connect}. */
  constructor(client: Client, settings?: Partial<Api['settings']> & { uiUrl?: string | null }) {
    this.#api = apiOf(client, {
      address: settings?.address ?? 'its address',
      origin: settings?.origin ?? 'the given connection',
      namespace: settings?.namespace ?? client.options.namespace,
    });
    this.address = this.#api.settings.address;
    this.temporalNamespace = this.#api.settings.namespace;
    this.#uiBase = settings?.uiUrl ?? null;
  }

  /**
   * Connects by the standard profiles and variables (TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, TEMPORAL_PROFILE, TLS, API key).
   * Throws `Unreachable` within `timeoutMs`, or `BadSetting`.
   */
  static async connect(options: ConnectOptions = {}): Promise<SlipwayClient> {
    const { client, settings } = await connectClient(options);
    return new SlipwayClient(client, { ...settings, uiUrl: uiUrlOf(options) });
  }

  /** Like `connect`, but connects on first use and again whenever the server comes back. Throws `BadSetting`. */
  static lazy(options: ConnectOptions = {}): SlipwayClient {
    const { client, settings } = lazyClient(options);
    return new SlipwayClient(client, { ...settings, uiUrl: uiUrlOf(options) });
  }

  async close(): Promise<void> {
    await this.#api.client.connection.close();
  }

  /** Throws `Unreachable` unless Temporal answers for the namespace within `timeoutMs`. */
  async ping(timeoutMs = 2_000): Promise<void> {
    const { client, settings } = this.#api;
    await this.#api.call(timeoutMs, () =>
      client.workflowService.describeNamespace({ namespace: settings.namespace }),
    );
  }

  /** Commands of backups, restores and drills. */
  get backups(): BackupClient {
    return new BackupClient(this.#api);
  }

  startRelease(request: StartRequest): Promise<Started> {
    return startRelease(this.#api, request);
  }

  /** The release that runs, else the last one. Throws `NoRelease`. */
  status(namespace: string, name: string): Promise<ReleaseView> {
    return viewRelease(this.#api, releaseId(namespace, name));
  }

  /** One run by its id, for dry runs and past releases. Throws `NoRelease`. */
  view(ref: { id: string; run?: string | null }): Promise<ReleaseView> {
    return viewRelease(this.#api, ref.id, ref.run ?? undefined);
  }

  list(filter: ListFilter = {}): Promise<ListedRelease[]> {
    return listReleases(this.#api, filter);
  }

  runningReleases(filter: { namespace: string }): Promise<ListedRelease[]> {
    return listReleases(this.#api, filter);
  }

  history(namespace: string, name: string, limit?: number): Promise<PastRelease[]> {
    return history(this.#api, namespace, name, limit);
  }

  /** Releases that stand in line behind the running one; `null` when no worker says. */
  waiting(namespace: string, name: string): Promise<QueueStatus['waiting'] | null> {
    return waitingReleases(this.#api, namespace, name);
  }

  /** Takes a waiting release out of the line. Throws `Refused` when it does not stand there (any more), `NoRelease` without a line. */
  withdraw({ namespace, name }: Target, command: WithdrawCommand): Promise<QueueStatus> {
    return withdrawRelease(this.#api, namespace, name, command);
  }

  approve(target: Target, command: ApproveCommand, options?: CommandOptions): Promise<ReleaseStatus> {
    return this.#command(target, 'approve', command, options);
  }

  reject(target: Target, command: RejectCommand, options?: CommandOptions): Promise<ReleaseStatus> {
    return this.#command(target, 'reject', command, options);
  }

  pause(target: Target, command: PersonCommand, options?: CommandOptions): Promise<ReleaseStatus> {
    return this.#command(target, 'pause', command, options);
  }

  resume(target: Target, command: PersonCommand, options?: CommandOptions): Promise<ReleaseStatus> {
    return this.#command(target, 'resume', command, options);
  }

  promote(target: Target, command: PersonCommand, options?: CommandOptions): Promise<ReleaseStatus> {
    return this.#command(target, 'promote', command, options);
  }

  abort(target: Target, command: PersonCommand, options?: CommandOptions): Promise<ReleaseStatus> {
    return this.#command(target, 'abort', command, options);
  }

  /** Follows a release to its end; `null` when it still stands in line at the timeout. See {@link WaitOptions}. */
  waitForOutcome(ref: ReleaseRef, options?: WaitOptions): Promise<ReleaseView | null> {
    return waitForOutcome(this.#api, ref, options);
  }

  /**
   * Tells the running release of a workload about an alert. `true` once the release has it durably, `false` when there
   * is none. Throws `Unreachable` when Temporal does not take it within 3 s.
   */
  async signalAlert(target: Target, notice: AlertNotice): Promise<boolean> {
    const handle = this.#api.client.workflow.getHandle(releaseId(target.namespace, target.name));
    try {
      await this.#api.call(SIGNAL_MS, () => handle.signal('alert', notice));
      return true;
    } catch (error) {
      if (error instanceof WorkflowNotFoundError) return false;
      throw error;
    }
  }

  /** Id of the run that is under way, `null` when there is none. Throws `Unreachable`. */
  async runningRun({ namespace, name }: Target): Promise<string | null> {
    const info = await describe(this.#api, releaseId(namespace, name));
    return info?.status.name === 'RUNNING' ? info.runId : null;
  }

  setup(options?: SetupOptions): Promise<SetupResult> {
    return setup(this.#api, options);
  }

  /** Page of a release in the Temporal UI; `null` when TEMPORAL_UI_URL is not set. */
  workflowUrl(id: string, run?: string | null): string | null {
    return this.#uiBase === null ? null : uiLinks(this.#uiBase, this.temporalNamespace).workflowUrl(id, run);
  }

  /** The view "Releases awaiting approval" in the Temporal UI; `null` when TEMPORAL_UI_URL is not set. */
  savedViewUrl(): string | null {
    return this.#uiBase === null ? null : uiLinks(this.#uiBase, this.temporalNamespace).savedViewUrl();
  }

  async #command(
    target: Target,
    name: string,
    command: ApproveCommand | PersonCommand,
    { run, ...options }: CommandOptions = {},
  ): Promise<ReleaseStatus> {
    const id = releaseId(target.namespace, target.name);
    const handle = this.#api.client.workflow.getHandle(id, run);
    try {
      return await this.#api.raw(UPDATE_MS, () =>
        handle.executeUpdate<ReleaseStatus, [ApproveCommand | PersonCommand]>(name, {
          args: [command],
          ...options,
        }),
      );
    } catch (error) {
      throw await updateError(this.#api, id, name, error);
    }
  }
}

function uiUrlOf(options: ConnectOptions): string | null {
  return (options.env ?? process.env)['TEMPORAL_UI_URL'] || null;
}
