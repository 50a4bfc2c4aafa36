/** The activities of drills: a restore into scratch databases, compared with the manifest, and cleaned up. */
import { createHash } from 'node:crypto';
import { DRILL_PREFIX } from '../../domain/backup/names.ts';
import type { DrillInput, DrillResult } from '../../domain/backup/drill.types.ts';
import { connectForRestore } from '../../mongodb/connect.ts';
import { restore } from '../../mongodb/restore.ts';
import type { UriFrom } from '../../specs/backup.types.ts';
import type { BackupManifest } from '../../specs/manifest.ts';
import type { Report } from './context.ts';
import { type FromClaim, type OpenArchive, withArchive } from './origin.ts';
import { engineId, progressOf } from './restore.ts';
import type { SettingsSource } from '../../backups/settings.ts';
import { withMongo } from './source.ts';

/** Scratch databases of one drill: `slipway_drill_ab12_shop` for `shop`. */
function scratchPrefix({ policy, backup }: DrillInput): string {
  const digest = createHash('sha256').update(`${policy.metadata.name}/${backup}`).digest('hex').slice(0, 8);
  return `${DRILL_PREFIX}${digest}_`;
}

/** Where a drill restores to. */
export function drillServer({ policy }: DrillInput): UriFrom {
  return policy.spec.drill?.into?.uriFrom ?? policy.spec.source.uriFrom;
}

/** Restores a backup into scratch databases and compares it with its manifest. The time is that of a real restore. */
export async function restoreDrill(
  input: DrillInput & FromClaim,
  from: SettingsSource,
  signal: AbortSignal,
  report: Report,
): Promise<DrillResult> {
  const { policy, backup, claimed } = input;
  const prefix = scratchPrefix(input);
  const started = performance.now();
  const drillFrom = ({ source, manifest }: OpenArchive) =>
    withMongo(
      drillServer(input),
      from,
      async (client) => {
        const { restored, documents, bytes } = await restore(client, {
          ...source,
          id: engineId(prefix),
          nsFrom: ['*'],
          nsTo: [`${prefix}*`],
          // What an earlier attempt had finished is made anew.
          replace: true,
          usersAndRoles: false,
          signal,
          onProgress: (progress) => report(progressOf(progress)),
        });
        const restoreMs = Math.round(performance.now() - started);
        const differences = manifest ? differencesOf(manifest, restored) : countsDiffer(input, documents);
        const place = policy.spec.drill?.into ? 'the scratch server' : 'the source server';
        return {
          into: `databases ${prefix}* of ${place}`,
          restoreMs,
          namespaces: restored.length,
          documents,
          bytes,
          differences,
        };
      },
      connectForRestore,
    );
  return await withArchive({ policy, backup: { id: backup } }, backup, from, drillFrom, claimed);
}

/** All that mongodump's own manifest tells of the content; of a whole server it counts what is never restored, too. */
function countsDiffer({ policy, claimed }: DrillInput & FromClaim, documents: number): string[] {
  if (!claimed || policy.spec.source.databases === null) return [];
  const { documents: dumped } = claimed.backup;
  return documents === dumped ? [] : [`${documents} documents instead of ${dumped}`];
}

/** The engine has compared counts and contents of what it restored; here: that nothing of the manifest is missing. */
function differencesOf(
  manifest: BackupManifest,
  restored: { source: string; documents: number }[],
): string[] {
  const found = new Map(restored.map(({ source, documents }) => [source, documents]));
  return manifest.namespaces
    .filter(({ db, name }) => db !== '' && db !== 'config' && !(db === 'admin' && name.startsWith('system.')))
    .flatMap(({ db, name, documents, type }) => {
      const there = found.get(`${db}.${name}`);
      if (there === undefined) return [`${db}.${name} is missing`];
      return type !== 'view' && there !== documents
        ? [`${db}.${name}: ${there} documents instead of ${documents}`]
        : [];
    })
    .slice(0, 100);
}

/** Drops the scratch databases of a drill, and nothing else. */
export async function cleanDrill(input: DrillInput, from: SettingsSource): Promise<void> {
  const prefix = scratchPrefix(input);
  await withMongo(drillServer(input), from, async (client) => {
    const { databases } = await client.db('admin').command({ listDatabases: 1, nameOnly: true });
    for (const { name } of databases as { name: string }[]) {
      if (name.startsWith(prefix)) await client.db(name).dropDatabase({ writeConcern: { w: 'majority' } });
    }
  });
}
