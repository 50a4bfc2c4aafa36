import type { MongoClient } from 'mongodb';
import { type ArchiveProof, proveArchive } from '../backup/archive-file.ts';
import { BackupDamagedError, compareWithManifest } from '../backup/catalog.ts';
import { planRestore, type RestorePlan } from './plan.ts';
import type { RestoreSource } from './run.types.ts';

/**
 * What a restore would do. Proves the archive, reads the target's names, changes nothing.
 * @throws ArchiveCorruptError, EncryptionError, BackupDamagedError, RestorePlanError
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
  const difference = manifest && compareWithManifest(proof, manifest);
  if (difference) throw new BackupDamagedError(`backup ${manifest.id}: ${difference}`);
  const { prelude, namespaces } = proof;
  const plan = await planRestore(client, {
    id: source.id ?? 'preview',
    prelude,
    namespaces,
    selection: source,
  });
  return { proof, plan };
}
