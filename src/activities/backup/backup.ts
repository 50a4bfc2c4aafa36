/** The activities of backups: thin steps around the engine and the catalog, which may run twice. */
import { activityInfo } from '@temporalio/activity';
import { milliseconds } from '../../specs/duration.ts';
import { drillRecords, hold, recordDrill, releaseHold } from '../../backups/notes.ts';
import { prune } from '../../backups/retention.ts';
import { openStorage, policyKeys, resolveKey, type SettingsSource } from '../../backups/settings.ts';
import { dataTime, notOfTheFuture, unreadable, verifiedBackups } from '../../backups/verified.ts';
import { type Report, transferring } from './context.ts';
import type { BackupMetrics } from './metrics.ts';
import { claimOf, fromWherever, holdOnClaim, recordDrillOnClaim, releaseOnClaim } from './claim.ts';
import { cleanDrill, drillServer } from './drill.ts';
import { type EngineRun, type EngineSetting, runEngine } from './engine.ts';
import type { EngineJob } from './engine.types.ts';
import {
  type ClusterSource,
  identifyJobSource,
  prepareByJob,
  pruneByJob,
  sweepByJob,
  takeByJob,
} from './job.ts';
import { discard } from './restore.ts';
import type { StoredSlice } from './slices.ts';
import { dataSize, serverKey, serverTime, withMongo } from './source.ts';
import { sweep } from './take.ts';
import { followThrottle } from './throttle.ts';
import type { BackupActivities, Preparation, PruneInput, SliceInput, TakeInput } from './types.ts';
import type { BackupPolicy } from '../../specs/backup.types.ts';
import type { RestoreOrigin } from '../../domain/backup/restore.types.ts';
import type { BackupSummary } from '../../domain/backup/types.ts';
import type { SliceReport } from '../../domain/point-in-time/types.ts';
import type { Storage } from '../../storage/storage.ts';

interface BackupDependencies extends ClusterSource {
  /** Version of Slipway, for manifests. */
  version: string;
  /** Path of the module that dumps and restores in a process of its own: src/engine.ts, or what became of it. */
  engine: string;
  metrics: BackupMetrics;
}

/** Builds the activities on what they work with; see {@link BackupActivities}. */
export function createBackupActivities(parts: BackupDependencies): BackupActivities {
  const { metrics, kube } = parts;
  const deps = { ...parts, ...(kube && { access: () => kube.connection.access() }) };
  const moving =
    <I, O>(work: (input: I, from: BackupDependencies, signal: AbortSignal, report: Report) => Promise<O>) =>
    (input: I): Promise<O> =>
      transferring((signal, report) => work(input, deps, signal, report));
  return {
    identifySource: moving(({ uriFrom }) =>
      withMongo(uriFrom, deps, async (client) => ({ key: await serverKey(client) })),
    ),
    identifyJobSource: moving(identifyJobSource),
    prepareBackup: moving(({ policy }, _, signal) => prepare(policy, deps, signal)),
    takeBackup: moving((input, from, signal, report) =>
      (inCluster(input.policy) ? takeByJob : takeInEngine)(input, from, signal, report),
    ),
    sweepBackups: moving((input, from, signal) =>
      inCluster(input.policy) ? sweepByJob(input, from, signal) : sweep(input, from),
    ),
    pruneBackups: moving((input, from, signal) =>
      inCluster(input.policy) ? pruneByJob(input, from, signal) : pruneBackups(input, from),
    ),
    recordBackup: async ({ policy, outcome, result, lastVerified }) =>
      metrics.ended(policy, outcome, result, lastVerified),
    sliceOplog: moving(sliceInEngine),
    inspectRestore: moving(
      fromWherever(inEngine('inspectRestore'), ({ origin, target }) => ({ origin, target: target.uriFrom })),
    ),
    holdArchive: moving((input, from, signal) => {
      const { origin, archive, claimant, until } = input;
      const policy = claimOf(origin);
      if (policy) return holdOnClaim(policy, input, from, signal);
      return atOrigin(origin, from, (storage) => hold(storage, archive, { claimant, until }));
    }),
    releaseArchive: moving((input, from, signal) => {
      const { origin, archive, claimant } = input;
      const policy = claimOf(origin);
      if (policy) return releaseOnClaim(policy, input, from, signal);
      return atOrigin(origin, from, (storage) => releaseHold(storage, archive, claimant));
    }),
    restore: moving(
      fromWherever(inEngine('restore'), ({ origin, archive, target }) => ({
        origin: { ...origin, backup: { id: archive } },
        target: target.uriFrom,
      })),
    ),
    discardRestore: moving(discard),
    restoreDrill: moving(
      fromWherever(inEngine('restoreDrill'), (input) => ({
        origin: { policy: input.policy, backup: { id: input.backup } },
        target: drillServer(input),
      })),
    ),
    cleanDrill: moving(cleanDrill),
    recordDrill: moving(async (input, from, signal) => {
      const { policy, record } = input;
      metrics.drilled(policy.metadata.name, record.passed, record.restoreMs, record.at);
      if (inCluster(policy)) return await recordDrillOnClaim(input, from, signal);
      await withStorage(policy, deps, (storage) => recordDrill(storage, record));
    }),
  };
}

/** The work of an activity as done by an engine's process. */
function inEngine<J extends Exclude<EngineJob, 'sliceOplog'>>(job: J, onStart?: EngineRun['onStart']) {
  type Input = Parameters<BackupActivities[J]>[0];
  type Output = Awaited<ReturnType<BackupActivities[J]>>;
  return (input: Input, from: EngineSetting, signal: AbortSignal, report: Report): Promise<Output> => {
    const { attempt } = activityInfo();
    return runEngine<Output>({ job, input, attempt, signal, report, ...(onStart && { onStart }) }, from);
  };
}

async function takeInEngine(
  input: TakeInput,
  from: EngineSetting,
  signal: AbortSignal,
  report: Report,
): Promise<BackupSummary> {
  let stopFollowing: (() => void) | undefined;
  const take = inEngine(
    'takeBackup',
    (throttle) => (stopFollowing = followThrottle(input.workflow, throttle)),
  );
  try {
    return await take(input, from, signal, report);
  } finally {
    stopFollowing?.();
  }
}

/** What is stored is told to the metrics here: the engine's are gone with its process. */
async function sliceInEngine(
  input: SliceInput,
  from: BackupDependencies,
  signal: AbortSignal,
  report: Report,
): Promise<SliceReport> {
  const { attempt } = activityInfo();
  const run: EngineRun = { job: 'sliceOplog', input, attempt, signal, report };
  const { report: slice, lastGap } = await runEngine<StoredSlice>(run, from);
  const { metadata, spec } = input.policy;
  const every = spec.pointInTime ? milliseconds(spec.pointInTime.sliceEvery) / 1_000 : null;
  const bytes = slice.slice?.size ?? 0;
  from.metrics.sliced(metadata.name, { reached: slice.reached.t, every, lastGap, bytes });
  return slice;
}

async function withStorage<T>(
  policy: BackupPolicy,
  from: SettingsSource,
  work: (storage: Storage) => Promise<T>,
): Promise<T> {
  const storage = await openStorage(policy.spec.destination, from);
  try {
    return await work(storage);
  } finally {
    await storage.close();
  }
}

/** A file has no retention to be kept from. */
async function atOrigin(
  origin: RestoreOrigin,
  from: SettingsSource,
  work: (storage: Storage) => Promise<void>,
): Promise<void> {
  if ('policy' in origin) await withStorage(origin.policy, from, work);
}

function inCluster(policy: BackupPolicy): boolean {
  return 'job' in policy.spec.destination;
}

async function prepare(
  policy: BackupPolicy,
  deps: BackupDependencies,
  signal: AbortSignal,
): Promise<Preparation> {
  const { source, drill } = policy.spec;
  const { name } = policy.metadata;
  if (inCluster(policy)) {
    const found = await prepareByJob(policy, deps, signal);
    deps.metrics.known(name, found.lastVerified);
    return { ...found, estimatedBytes: 0 };
  }
  await resolveKey(policy, deps);
  if (drill?.into) await withMongo(drill.into.uriFrom, deps, serverTime);
  const estimatedBytes = await withMongo(source.uriFrom, deps, (client) =>
    dataSize(client, source.databases),
  );
  return await withStorage(policy, deps, async (storage) => {
    const backups = await verifiedBackups(storage, name);
    const records = await drillRecords(
      storage,
      backups.map(({ id }) => id),
    );
    const lastDrill =
      [...records.values()]
        .map(({ at }) => at)
        .sort()
        .at(-1) ?? null;
    const [newest] = notOfTheFuture(backups);
    const lastVerified = newest ? dataTime(newest) : null;
    deps.metrics.known(name, lastVerified);
    const unread = unreadable(backups, await policyKeys(policy, deps));
    return { lastVerified, lastDrill, estimatedBytes, ...(unread && { unread }) };
  });
}

/** Three clocks have to agree before anything is deleted. */
async function pruneBackups({ policy, now }: PruneInput, deps: BackupDependencies) {
  const mongo = await withMongo(policy.spec.source.uriFrom, deps, serverTime);
  return await withStorage(policy, deps, (storage) =>
    prune(storage, policy, [
      { name: 'the worker', time: Date.now() },
      { name: 'Temporal', time: Date.parse(now) },
      { name: 'MongoDB', time: mongo },
    ]),
  );
}
