/** What a release may write on a workload, as pure decisions: one strategic merge patch, nothing at all, or a refusal. */
import type { Deployment } from './objects.types.ts';
import { type ReleaseRecord, sameStrategy, strategyOf } from './record.ts';
import type { Actor, Undo } from './types.ts';

/** A strategic merge patch. Whoever sends it adds the resourceVersion of the very object that was looked at. */
export interface DeploymentPatch {
  metadata?: { annotations?: Record<string, string | null>; labels?: Record<string, string | null> };
  spec?: {
    minReadySeconds?: number;
    progressDeadlineSeconds?: number;
    strategy?: { rollingUpdate: { maxSurge: number | string; maxUnavailable: number | string } };
    template?: { spec: { containers?: Image[]; initContainers?: Image[] } };
  };
}

interface Image {
  name: string;
  image: string;
}

/** What to do with a Deployment as it is now. */
export type Decision =
  | { do: 'patch'; patch: DeploymentPatch }
  /** The workload is already as it should be. */
  | { do: 'nothing' }
  /** The replica count is no longer the one the order was made for. */
  | { do: 'stale' }
  /** The workload carries the record of another release, or lost ours. */
  | { do: 'refuse'; why: 'RecordOfAnother' | 'WorkloadChanged'; message: string };

/** What ends a release, either way: what it wrote and what was there before. */
export interface UndoOrder {
  actor: Actor;
  undo: Undo;
  /** Images that the release launched, by container. */
  images: Record<string, string>;
}

/** The workload belongs to another release: nothing is written. */
export function another(record: ReleaseRecord): Decision {
  return {
    do: 'refuse',
    why: 'RecordOfAnother',
    message: `the workload carries the record of release ${record.id} (run ${record.run}, ${record.phase} since ${record.at})`,
  };
}

/** The patch that gives existing containers these images, `undefined` when they have them. */
export function templatePatch(
  deployment: Deployment,
  images: Record<string, string>,
): NonNullable<DeploymentPatch['spec']>['template'] | undefined {
  const { containers, initContainers } = deployment.spec.template.spec;
  // Only containers that exist: a strategic merge would add a container for a name it does not know.
  const changes = (list: { name: string; image?: string }[] = []): Image[] =>
    list.flatMap(({ name, image }) => {
      const wanted = images[name];
      return wanted !== undefined && wanted !== image ? [{ name, image: wanted }] : [];
    });
  const main = changes(containers);
  const init = changes(initContainers);
  if (main.length + init.length === 0) return undefined;
  return {
    spec: { ...(main.length > 0 && { containers: main }), ...(init.length > 0 && { initContainers: init }) },
  };
}

/** What gives the workload its own strategy and deadlines back; empty when it has them. */
export function specPatch(deployment: Deployment, undo: Undo): NonNullable<DeploymentPatch['spec']> {
  const { spec } = deployment;
  return {
    ...((spec.minReadySeconds ?? 0) !== undo.minReadySeconds && { minReadySeconds: undo.minReadySeconds }),
    ...(spec.progressDeadlineSeconds !== undo.progressDeadlineSeconds && {
      progressDeadlineSeconds: undo.progressDeadlineSeconds,
    }),
    ...(!sameStrategy(strategyOf(deployment), undo.strategy) && {
      strategy: { rollingUpdate: undo.strategy },
    }),
  };
}
