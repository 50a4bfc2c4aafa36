/**
 * The writes of a release as pure decisions: from the workload as it is now to one strategic merge patch, to nothing at
 * all, or to a refusal. Whoever sends the patch adds the resourceVersion of the very object that was looked at.
 */
import type { RollingStrategy } from './canary.ts';
import { HELD_MIN_READY_SECONDS, HELD_PROGRESS_DEADLINE_SECONDS, RECORD_ANNOTATION } from '../names.ts';
import type { Deployment } from './objects.types.ts';
import {
  CHANGE_CAUSE_ANNOTATION,
  formatRecord,
  isHeld,
  isOurs,
  RECORD_LABEL,
  type ReleaseRecord,
  recordState,
  recordToken,
  sameStrategy,
  strategyOf,
} from './record.ts';
import { imagesOf, templateDigest, withImages } from './template.ts';
import type { Undo } from './types.ts';

export interface Actor {
  id: string;
  run: string;
}

export interface Begin {
  actor: Actor;
  undo: Undo;
  images: Record<string, string>;
  /** The hold as it is to be written, `null` to let the rollout run. */
  hold: RollingStrategy | null;
  /** spec.replicas for which the hold was computed. */
  replicas: number;
  rolling: RollingStrategy | null;
  changeCause: string;
}

export interface Adjust {
  actor: Actor;
  hold: RollingStrategy;
  /** spec.replicas for which the hold was computed. */
  replicas: number;
}

export interface UndoOrder {
  actor: Actor;
  undo: Undo;
  images: Record<string, string>;
}

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

export type Decision =
  | { do: 'patch'; patch: DeploymentPatch }
  /** The workload is already as it should be. */
  | { do: 'nothing' }
  /** The replica count is no longer the one the order was made for. */
  | { do: 'stale' }
  /** The workload carries the record of another release, or lost ours. */
  | { do: 'refuse'; why: 'RecordOfAnother' | 'WorkloadChanged'; message: string };

/** First write of a release: images, hold (or rolling override), record, change cause. `now` is an ISO time. */
export function beginPatch(deployment: Deployment, order: Begin, now: string): Decision {
  const found = recordState(deployment);
  if (found.state === 'live') {
    if (isOurs(found.record, order.actor)) return { do: 'nothing' };
    // What a release that is over leaves in phase guarding is complete: nothing would be lost by writing over it.
    if (found.record.phase !== 'guarding' || found.record.id !== order.actor.id) return another(found.record);
  }
  const changed = changedSince(deployment, order.undo, order.images);
  if (changed) return { do: 'refuse', why: 'WorkloadChanged', message: changed };
  if (order.hold && deployment.spec.replicas !== order.replicas) return { do: 'stale' };
  const strategy = order.hold ?? order.rolling;
  const record: ReleaseRecord = {
    v: 1,
    ...order.actor,
    uid: deployment.metadata.uid,
    phase: order.hold ? 'held' : 'rolling',
    undo: order.undo,
    images: order.images,
    strategy,
    cause: deployment.metadata.annotations?.[CHANGE_CAUSE_ANNOTATION] ?? null,
    template: templateDigest(withImages(deployment.spec.template, order.images)),
    at: now,
  };
  const template = templatePatch(deployment, order.images);
  return {
    do: 'patch',
    patch: {
      metadata: {
        annotations: {
          [RECORD_ANNOTATION]: formatRecord(record),
          [CHANGE_CAUSE_ANNOTATION]: order.changeCause,
        },
        labels: { [RECORD_LABEL]: recordToken(order.actor) },
      },
      spec: {
        ...(order.hold && {
          minReadySeconds: HELD_MIN_READY_SECONDS,
          progressDeadlineSeconds: HELD_PROGRESS_DEADLINE_SECONDS,
        }),
        ...(strategy && { strategy: { rollingUpdate: strategy } }),
        ...(template && { template }),
      },
    },
  };
}

/** Makes the record say of the template what the API server made of it. */
export function amendPatch(deployment: Deployment): Decision {
  const found = recordState(deployment);
  const template = templateDigest(deployment.spec.template);
  if (found.state !== 'live' || found.record.template === template) return { do: 'nothing' };
  const record = formatRecord({ ...found.record, template });
  return { do: 'patch', patch: { metadata: { annotations: { [RECORD_ANNOTATION]: record } } } };
}

/** Moves the hold of a held workload. */
export function adjustPatch(deployment: Deployment, order: Adjust): Decision {
  const own = ownRecord(deployment, order.actor);
  if ('do' in own) return own;
  if (own.phase !== 'held') {
    return {
      do: 'refuse',
      why: 'RecordOfAnother',
      message: `the release is no longer held, it is ${own.phase}`,
    };
  }
  if (deployment.spec.replicas !== order.replicas) return { do: 'stale' };
  const strategy = order.hold;
  const recorded = own.strategy !== null && sameStrategy(own.strategy, strategy);
  if (recorded && isHeld(deployment) && sameStrategy(strategy, strategyOf(deployment)))
    return { do: 'nothing' };
  return {
    do: 'patch',
    patch: {
      metadata: { annotations: { [RECORD_ANNOTATION]: formatRecord({ ...own, strategy }) } },
      spec: {
        minReadySeconds: HELD_MIN_READY_SECONDS,
        progressDeadlineSeconds: HELD_PROGRESS_DEADLINE_SECONDS,
        strategy: { rollingUpdate: strategy },
      },
    },
  };
}

/** Gives the workload its own strategy back; the record stays, in phase guarding. */
export function promotePatch(deployment: Deployment, order: UndoOrder): Decision {
  const own = ownRecord(deployment, order.actor);
  if ('do' in own) return own;
  if (own.phase === 'guarding') return { do: 'nothing' };
  const record: ReleaseRecord = { ...own, phase: 'guarding', strategy: null };
  return {
    do: 'patch',
    patch: {
      metadata: { annotations: { [RECORD_ANNOTATION]: formatRecord(record) } },
      spec: specPatch(deployment, order.undo),
    },
  };
}

/**
 * Puts images, strategy and deadlines back and takes the record away. Only what the release wrote is put back, so that
 * what others changed meanwhile stays. Without a record, only what still has the very value that the release gave it.
 */
export function rollBackPatch(deployment: Deployment, order: UndoOrder): Decision {
  const found = recordState(deployment);
  const own = found.state === 'live' && isOurs(found.record, order.actor) ? found.record : null;
  if (found.state === 'live' && !own) return another(found.record);
  const images = own ? order.undo.images : stillOurs(deployment, order);
  const template = templatePatch(deployment, images);
  // After promotion strategy and deadlines are the workload's own again, and others may have changed them.
  const overridden =
    isHeld(deployment) || (own ? own.phase !== 'guarding' : isLabelled(deployment, order.actor));
  const spec = { ...(overridden && specPatch(deployment, order.undo)), ...(template && { template }) };
  const metadata = metadataPatch(deployment, order.actor, own, Object.keys(spec).length > 0);
  if (Object.keys(spec).length === 0 && !metadata) return { do: 'nothing' };
  return {
    do: 'patch',
    patch: { ...(metadata && { metadata }), ...(Object.keys(spec).length > 0 && { spec }) },
  };
}

/** Takes the record away and leaves everything else. */
export function finishPatch(deployment: Deployment, order: UndoOrder): Decision {
  const found = recordState(deployment);
  if (found.state === 'live' && !isOurs(found.record, order.actor)) return { do: 'nothing' };
  if (found.state !== 'live') {
    const metadata = metadataPatch(deployment, order.actor, null, false);
    return metadata ? { do: 'patch', patch: { metadata } } : { do: 'nothing' };
  }
  if (found.record.phase !== 'guarding') {
    return {
      do: 'refuse',
      why: 'RecordOfAnother',
      message: `the release is ${found.record.phase}, not promoted`,
    };
  }
  return {
    do: 'patch',
    patch: { metadata: { annotations: { [RECORD_ANNOTATION]: null }, labels: { [RECORD_LABEL]: null } } },
  };
}

function ownRecord(deployment: Deployment, actor: Actor): ReleaseRecord | Decision {
  const found = recordState(deployment);
  if (found.state === 'live') return isOurs(found.record, actor) ? found.record : another(found.record);
  const message =
    found.state === 'none'
      ? 'the record of this release is gone from the workload: somebody rolled it back or removed it'
      : `the record on the workload cannot be believed: ${found.why}`;
  return { do: 'refuse', why: 'RecordOfAnother', message };
}

function another(record: ReleaseRecord): Decision {
  return {
    do: 'refuse',
    why: 'RecordOfAnother',
    message: `the workload carries the record of release ${record.id} (run ${record.run}, ${record.phase} since ${record.at})`,
  };
}

/** What differs from the facts that the release was planned with, in one sentence. */
function changedSince(deployment: Deployment, undo: Undo, images: Record<string, string>): string | null {
  const { spec } = deployment;
  const live = imagesOf(spec.template);
  for (const container of Object.keys(images)) {
    if (!(container in live)) return `container "${container}" is no longer in the pod template`;
  }
  for (const [container, image] of Object.entries(undo.images)) {
    if (live[container] !== image) {
      return `the image of container "${container}" was ${image} when the release was planned and is ${live[container] ?? 'gone'} now`;
    }
  }
  if (spec.paused) return 'the rollout was paused after the release was planned';
  if (spec.strategy.type !== 'RollingUpdate') return `the strategy is ${spec.strategy.type} now`;
  if (!sameStrategy(strategyOf(deployment), undo.strategy)) return 'the rolling strategy was changed since';
  if ((spec.minReadySeconds ?? 0) !== undo.minReadySeconds) return 'minReadySeconds was changed since';
  if ((spec.progressDeadlineSeconds ?? 600) !== undo.progressDeadlineSeconds) {
    return 'progressDeadlineSeconds was changed since';
  }
  return null;
}

/** Images to put back when the record is gone: those of containers that still run what the release launched. */
function stillOurs(deployment: Deployment, order: UndoOrder): Record<string, string> {
  const live = imagesOf(deployment.spec.template);
  return Object.fromEntries(
    Object.entries(order.undo.images).filter(([container]) => live[container] === order.images[container]),
  );
}

/** The patch that gives existing containers these images, `undefined` when they have them. */
function templatePatch(
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
function specPatch(deployment: Deployment, undo: Undo): NonNullable<DeploymentPatch['spec']> {
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

/** Removes record, ghost and label of this release; puts the change cause back to what it was. */
function metadataPatch(
  deployment: Deployment,
  actor: Actor,
  own: ReleaseRecord | null,
  touched: boolean,
): DeploymentPatch['metadata'] {
  const annotations = deployment.metadata.annotations ?? {};
  const labelled = isLabelled(deployment, actor);
  const cleared: Record<string, string | null> = {};
  if (carriesRecordOf(deployment, actor)) cleared[RECORD_ANNOTATION] = null;
  const cause = annotations[CHANGE_CAUSE_ANNOTATION];
  if (own) {
    if (cause !== (own.cause ?? undefined)) cleared[CHANGE_CAUSE_ANNOTATION] = own.cause;
  } else if (touched && cause?.includes(actor.id)) {
    cleared[CHANGE_CAUSE_ANNOTATION] = null;
  }
  const some = Object.keys(cleared).length > 0;
  if (!some && !labelled) return undefined;
  return { ...(some && { annotations: cleared }), ...(labelled && { labels: { [RECORD_LABEL]: null } }) };
}

function isLabelled(deployment: Deployment, actor: Actor): boolean {
  return deployment.metadata.labels?.[RECORD_LABEL] === recordToken(actor);
}

function carriesRecordOf(deployment: Deployment, actor: Actor): boolean {
  const found = recordState(deployment);
  return found.state !== 'none' && found.record !== null && isOurs(found.record, actor);
}
