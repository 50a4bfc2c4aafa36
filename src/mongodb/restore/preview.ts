import type { MongoClient } from 'mongodb';
import { type ArchiveProof, proveArchive } from '../backup/archive-file.ts';
import { BackupDamagedError, compareWithManifest } from '../backup/catalog.ts';
import { assertNoClash, findTargets, planRestore, type RestorePlan } from './plan.ts';
import type { RestoreSource } from './run.types.ts';

/**
 * What a restore would do. Proves the archive, reads the target's names, changes nothing.
 * @throws ArchiveCorruptError, EncryptionError, BackupDamagedError, RestorePlanError, OplogReplayError
 */
export async function previewRestore(
  client: MongoClient,
  source: RestoreSource & {
    id?: string;
    signal?: AbortSignal | undefined;
    onProgress?: (bytes: number) => void;
  },
): Promise<{ proof: ArchiveProof; plan: RestorePlan }> {
  const { key, signal, manifest, onProgress } = source;
  const proof = await proveArchive(await source.open(signal), {
    key,
    signal,
    ...(onProgress && { onProgress }),
  });
  let read = proof.bytes;
  const difference = manifest && compareWithManifest(proof, manifest);
  if (difference) throw new BackupDamagedError(`backup ${manifest.id}: ${difference}`);
  const { prelude, namespaces } = proof;
  const { id = 'preview', rollForward } = source;
  await rollForward?.scan({ signal, onProgress: (bytes) => onProgress?.((read += bytes)) });
  const selection = rollForward ? { ...source, ...rollForward.archiveSelection } : source;
  const plan = await planRestore(client, { id, prelude, namespaces, selection });
  if (!rollForward) return { proof, plan };
  const { items, databases } = await rollForward.look(id, plan.items);
  assertNoClash(items);
  await findTargets(client, items);
  return { proof, plan: { ...plan, items, loads: plan.items, databases } };
}
