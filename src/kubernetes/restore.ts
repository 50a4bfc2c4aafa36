/** The way back when Temporal is down: undoes a release from the record on the object itself. */
import { RESTORE_MANAGER } from '../domain/names.ts';
import type { Deployment } from '../domain/workload/objects.types.ts';
import { type ReleaseRecord, recordState } from '../domain/workload/record.ts';
import type { Decision } from '../domain/workload/patch.ts';
import { rollBackPatch } from '../domain/workload/patch-back.ts';
import { imagesOf } from '../domain/workload/template.ts';
import type { Target } from '../domain/workload/types.ts';
import type { KubeClient } from './client.ts';
import { decideAndPatch } from './workload.ts';

/** What was put back, or with `dryRun` would be. */
export interface Restored {
  target: Target;
  /** The release that was undone. */
  release: { id: string; run: string; phase: ReleaseRecord['phase']; since: string };
  /** Images put back, by container. */
  images: { container: string; from: string; to: string }[];
  /** Settings put back, `path: from -> to`. */
  settings: string[];
  dryRun: boolean;
}

/** There is nothing on the object that says how to undo a release. */
export class NothingToRestore extends Error {
  override readonly name = 'NothingToRestore';
}

/**
 * Puts a Deployment back to what it was before the release whose record it carries. With `dryRun` the API server checks
 * the write and keeps nothing. A release that still runs takes this for drift and stops.
 * Throws NothingToRestore, and KubeError (`Gone` when there is no such Deployment).
 */
export async function restoreDeployment(
  client: KubeClient,
  target: Target,
  { dryRun = false, signal }: { dryRun?: boolean; signal?: AbortSignal } = {},
): Promise<Restored> {
  let before: { deployment: Deployment; record: ReleaseRecord } | undefined;
  const decide = (deployment: Deployment): Decision => {
    const record = believable(deployment, target);
    before = { deployment, record };
    return rollBackPatch(deployment, { actor: record, undo: record.undo, images: record.images });
  };
  const { deployment: after } = await decideAndPatch(client, target, null, decide, {
    dryRun,
    signal,
    manager: RESTORE_MANAGER,
  });
  if (!before) throw new NothingToRestore('nothing was decided');
  const { deployment, record } = before;
  return {
    target,
    release: { id: record.id, run: record.run, phase: record.phase, since: record.at },
    images: changedImages(deployment, after),
    settings: changedSettings(deployment, after),
    dryRun,
  };
}

function believable(deployment: Deployment, { namespace, name }: Target): ReleaseRecord {
  const found = recordState(deployment);
  if (found.state === 'live') return found.record;
  const why =
    found.state === 'none'
      ? 'it carries no release record: no release is under way, or its record was removed'
      : `its release record cannot be believed: ${found.why}`;
  throw new NothingToRestore(`Deployment ${namespace}/${name} has nothing to restore from: ${why}`);
}

function changedImages(before: Deployment, after: Deployment): Restored['images'] {
  const now = imagesOf(after.spec.template);
  return Object.entries(imagesOf(before.spec.template)).flatMap(([container, from]) => {
    const to = now[container];
    return to !== undefined && to !== from ? [{ container, from, to }] : [];
  });
}

function changedSettings(before: Deployment, after: Deployment): string[] {
  const settings = ({ spec }: Deployment): Record<string, unknown> => ({
    'spec.minReadySeconds': spec.minReadySeconds ?? 0,
    'spec.progressDeadlineSeconds': spec.progressDeadlineSeconds,
    'spec.strategy.rollingUpdate.maxSurge': spec.strategy.rollingUpdate?.maxSurge,
    'spec.strategy.rollingUpdate.maxUnavailable': spec.strategy.rollingUpdate?.maxUnavailable,
  });
  const now = settings(after);
  return Object.entries(settings(before)).flatMap(([path, from]) =>
    from === now[path] ? [] : [`${path}: ${String(from)} -> ${String(now[path])}`],
  );
}
