/** The activities of restores: the engine, with what a workflow asked for translated into its terms. */
import { createHash } from 'node:crypto';
import { ApplicationFailure } from '@temporalio/common';
import type { MongoClient } from 'mongodb';
import { durationText } from '../../domain/amounts.ts';
import { BACKUP_FAILURE } from '../../domain/backup/failures.ts';
import { parseMoment } from '../../domain/point-in-time/moment.ts';
import type {
  PlannedNamespace,
  RestoreOrigin,
  RestorePlan,
  RestoreResult,
} from '../../domain/backup/restore.types.ts';
import { connectForRestore } from '../../mongodb/connect.ts';
import { previewRestore, restore, type RestoreProgress } from '../../mongodb/restore.ts';
import { namesIn } from '../../mongodb/restore/collections.ts';
import type { RestoreItem } from '../../mongodb/restore/plan.ts';
import { namespaceSelector } from '../../mongodb/dump/listing.ts';
import { splitNamespace } from '../../mongodb/dump/oplog.ts';
import { stagingPrefix } from '../../mongodb/staging.ts';
import type { Report } from './context.ts';
import type { SettingsSource } from '../../backups/settings.ts';
import {
  type FromClaim,
  notesOn,
  type OpenArchive,
  plannedRollForward,
  rollForwardOf,
  selectionOf,
  withArchive,
} from './origin.ts';
import { withMongo } from './source.ts';
import type { InspectInput, RestoreWork } from './types.ts';

/** Namespaces that a plan shows; a history is no place for ten thousand. */
const SHOWN_NAMESPACES = 500;

/** Reads archive and target, and says what a restore would do. */
export async function inspectRestore(
  { origin, target, selection, claimed }: InspectInput & FromClaim,
  from: SettingsSource,
  signal: AbortSignal,
  report: Report,
): Promise<RestorePlan> {
  const inspect = (opened: OpenArchive) =>
    withMongo(target.uriFrom, from, async (client) => {
      const { source, name, location, manifest } = opened;
      const rollForward = rollForwardOf(opened, selection);
      const onProgress = (bytes: number) => report(checking(bytes, opened.bytes));
      const { plan, proof } = await previewRestore(client, {
        ...source,
        ...selectionOf(selection),
        rollForward,
        signal,
        onProgress,
      });
      const namespaces = await Promise.all(plan.items.map((item) => planned(client, item)));
      if (namespaces.length === 0) {
        const there = proof.prelude.collections
          .slice(0, 20)
          .map(({ db, collection }) => `${db}.${collection}`);
        throw ApplicationFailure.nonRetryable(
          `${name}: nothing in it is selected; it holds ${there.join(', ') || 'nothing at all'}`,
          BACKUP_FAILURE.refused,
        );
      }
      const replaced = namespaces.filter(({ replaces }) => replaces !== null);
      const digest = createHash('sha256').update(
        JSON.stringify([
          name,
          proof.sha256,
          rollForward?.digest,
          namespaces.map(({ from: source, to, replaces }) => [source, to, replaces !== null]),
        ]),
      );
      const notes = plan.skipped
        .filter(({ reason }) => reason !== 'not selected')
        .map(({ source: skipped, reason }) => `${skipped} is left out: ${reason}`);
      if (plan.hasOplog)
        notes.push('the oplog of the archive is replayed, so that the data is of one moment');
      const lost = staleness(origin, opened);
      if (lost !== null) notes.push(lost);
      if (selection.users && !plan.hasUsersAndRoles)
        notes.push('it holds no users and roles: those are in backups of the whole server');
      if (plan.hasUsersAndRoles && !selection.users && takesAll(selection))
        notes.push('its users and roles are left out; --users brings them back, too');
      if (plan.hasUsersAndRoles && selection.users)
        notes.push('users and roles are merged when everything is restored under its own name');
      notes.push(...notBackedUp(origin, replaced));
      const pointInTime = await plannedRollForward(opened, rollForward);
      if (pointInTime) notes.push(...notesOn(pointInTime, name, manifest, selection));
      return {
        archive: name,
        digest: digest.digest('hex').slice(0, 12),
        at: opened.at,
        location,
        namespaces: [...replaced, ...namespaces.filter(({ replaces }) => replaces === null)].slice(
          0,
          SHOWN_NAMESPACES,
        ),
        total: namespaces.length,
        replaced: replaced.length,
        documents: plan.items.reduce((sum, { documents }) => sum + documents, 0),
        bytes: plan.items.reduce((sum, { bytes }) => sum + bytes, 0),
        notes,
        ...(pointInTime && { pointInTime }),
      };
    });
  return await withArchive(origin, null, from, inspect, claimed);
}

/** The backup before a restore is one of the policy: what that does not take is replaced for good. */
function notBackedUp(origin: RestoreOrigin, replaced: readonly PlannedNamespace[]): string[] {
  if (!('policy' in origin)) return [];
  const { databases, include, exclude } = origin.policy.spec.source;
  const takes = namespaceSelector({ ...(databases && { databases }), include, exclude });
  const lost = replaced.filter(({ to }) => !takes(...splitNamespace(to))).map(({ to }) => to);
  if (lost.length === 0) return [];
  const shown = lost.slice(0, 10).join(', ') + (lost.length > 10 ? `, and ${lost.length - 10} more` : '');
  return [`the policy does not back up ${shown}: what is there now cannot be had back afterwards`];
}

/** Without slices the data is of an earlier time than was asked for, which nobody should find out afterwards. */
function staleness(origin: RestoreOrigin, { recovery, at }: OpenArchive): string | null {
  if (recovery || at === null || !('policy' in origin) || !('at' in origin.backup)) return null;
  const wanted = (parseMoment(origin.backup.at)?.t ?? 0) * 1_000;
  const shown = Date.parse(at);
  if (wanted <= shown) return null;
  return `the data is of ${durationText(wanted - shown)} before the time that was asked for: no slices of the oplog lead there (spec.pointInTime)`;
}

function takesAll({ databases, collections, rename }: InspectInput['selection']): boolean {
  return databases === null && collections === null && rename.length === 0;
}

async function planned(client: MongoClient, item: RestoreItem): Promise<PlannedNamespace> {
  const { db, collection, source, kind, documents, replaces } = item;
  const there =
    replaces === undefined || replaces === 'view'
      ? 0
      : await client.db(db).collection(collection).estimatedDocumentCount();
  return {
    from: source,
    to: `${db}.${collection}`,
    kind,
    documents,
    replaces: replaces === undefined ? null : there,
  };
}

function checking(bytes: number, totalBytes: number) {
  return {
    stage: 'checking' as const,
    bytes,
    totalBytes,
    documents: 0,
    namespace: '',
    namespaces: 0,
    totalNamespaces: 0,
  };
}

/** Id of a restore for the engine: the same for every attempt of one run. */
export function engineId(claimant: string): string {
  return createHash('sha256').update(claimant).digest('hex').slice(0, 24);
}

/** Restores; goes on where a killed attempt stopped. */
export async function carryOut(
  work: RestoreWork & FromClaim,
  from: SettingsSource,
  signal: AbortSignal,
  report: Report,
): Promise<RestoreResult> {
  const started = performance.now();
  const restoreFrom = (opened: OpenArchive) =>
    withMongo(
      work.target.uriFrom,
      from,
      async (client) => {
        const { source, name } = opened;
        const { restored, documents, bytes } = await restore(client, {
          ...source,
          ...selectionOf(work.selection),
          rollForward: rollForwardOf(opened, work.selection),
          id: engineId(work.claimant),
          replace: work.replace,
          usersAndRoles: work.selection.users,
          signal,
          onProgress: (progress) => report(progressOf(progress, opened.bytes)),
        });
        return {
          archive: name,
          namespaces: restored.length,
          documents,
          bytes,
          ms: Math.round(performance.now() - started),
        };
      },
      connectForRestore,
    );
  return await withArchive(work.origin, work.archive, from, restoreFrom, work.claimed);
}

const STAGES = {
  verify: 'checking',
  load: 'restoring',
  compare: 'comparing',
  replay: 'restoring',
  indexes: 'indexing',
  swap: 'swapping',
  users: 'swapping',
  done: 'swapping',
} as const;

/** `archiveBytes`: what is known of the archive before it has been read. */
export function progressOf(
  { phase, bytes, totalBytes, documents, namespace, namespacesDone, namespacesTotal }: RestoreProgress,
  archiveBytes = 0,
) {
  return {
    stage: STAGES[phase],
    bytes,
    totalBytes: phase === 'verify' && totalBytes === 0 ? archiveBytes : totalBytes,
    documents,
    namespace,
    namespaces: namespacesDone,
    totalNamespaces: namespacesTotal,
  };
}

/** Drops staging collections of a restore that was given up; one that had begun to swap is left for a person. */
export async function discard(work: RestoreWork, from: SettingsSource): Promise<void> {
  const prefix = `${stagingPrefix}${engineId(work.claimant)}`;
  await withMongo(work.target.uriFrom, from, async (client) => {
    const { databases } = await client.db('admin').command({ listDatabases: 1, nameOnly: true });
    for (const { name } of databases as { name: string }[]) {
      const db = client.db(name);
      const journal = await db.collection<{ _id: string; phase: string }>(prefix).findOne({ _id: 'state' });
      if (journal?.phase === 'swapping') {
        throw ApplicationFailure.nonRetryable(
          `the restore was swapping names in when it was given up: some collections are restored, the others lie in ${prefix}_*; restore again`,
          BACKUP_FAILURE.restoreFailed,
        );
      }
    }
    for (const { name } of databases as { name: string }[]) {
      for (const collection of (await namesIn(client.db(name), prefix)).keys()) {
        // The buckets of a time-series go with it.
        await client.db(name).command({ drop: collection });
      }
    }
  });
}
