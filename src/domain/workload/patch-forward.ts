/** The writes of a release on the way to 100 %: begin, amend, adjust, promote. */
import { HELD_MIN_READY_SECONDS, HELD_PROGRESS_DEADLINE_SECONDS, RECORD_ANNOTATION } from '../names.ts';
import type { RollingStrategy } from './canary.ts';
import type { Deployment } from './objects.types.ts';
import { another, type Decision, specPatch, templatePatch, type UndoOrder } from './patch.ts';
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
import type { Actor, Undo } from './types.ts';

/** The first write as it is ordered. */
export interface Begin {
  actor: Actor;
  undo: Undo;
  /** Images to launch, by container. */
  images: Record<string, string>;
  /**
   * The first hold, ready to be written as strategy.rollingUpdate (in per cent where that keeps the weight under
   * scaling: holdFields in canary.ts), or `null` to let the workload's rollout run (rolling without pauses).
   */
  hold: RollingStrategy | null;
  /** spec.replicas for which the hold was computed. When the live count differs, nothing is written: `stale`. */
  replicas: number;
  /** Overrides of the rolling strategy while the release runs; only with `hold: null`. */
  rolling: RollingStrategy | null;
  /** Written as kubernetes.io/change-cause, e.g. `cheaper search (ci@x, release.ecommerce.product-service)`. */
  changeCause: string;
}

/** A move of the hold as it is ordered. */
export interface Adjust {
  actor: Actor;
  hold: RollingStrategy;
  /** spec.replicas for which the hold was computed. */
  replicas: number;
}

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

function ownRecord(deployment: Deployment, actor: Actor): ReleaseRecord | Decision {
  const found = recordState(deployment);
  if (found.state === 'live') return isOurs(found.record, actor) ? found.record : another(found.record);
  const message =
    found.state === 'none'
      ? 'the record of this release is gone from the workload: somebody rolled it back or removed it'
      : `the record on the workload cannot be believed: ${found.why}`;
  return { do: 'refuse', why: 'RecordOfAnother', message };
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
