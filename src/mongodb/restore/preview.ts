import type { MongoClient } from 'mongodb';
import { type ArchiveProof, proveArchive, proveStored } from '../backup/archive-file.ts';
import { assertNoClash, findTargets, planRestore, type RestorePlan } from './plan.ts';
import type { RestoreSource } from './run.types.ts';

/**
 * What a restore would do. Proves the archive (one with a manifest by its hash, any other by reading through all of it),
 * reads the target's names, changes nothing.
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
  const options = { key, signal, ...(onProgress && { onProgress }) };
  const proof = manifest
    ? await proveStored(source.open, manifest, options)
    : await proveArchive(await source.open(signal), options);
  let read = proof.bytes;
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
