/** The writes that end a release: the way back, and taking the record off. */
import { RECORD_ANNOTATION } from '../names.ts';
import type { Deployment } from './objects.types.ts';
import {
  another,
  type Decision,
  type DeploymentPatch,
  specPatch,
  templatePatch,
  type UndoOrder,
} from './patch.ts';
import {
  CHANGE_CAUSE_ANNOTATION,
  isHeld,
  isOurs,
  RECORD_LABEL,
  type ReleaseRecord,
  recordState,
  recordToken,
} from './record.ts';
import { imagesOf } from './template.ts';
import type { Actor } from './types.ts';

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

/** Images to put back when the record is gone: those of containers that still run what the release launched. */
function stillOurs(deployment: Deployment, order: UndoOrder): Record<string, string> {
  const live = imagesOf(deployment.spec.template);
  return Object.fromEntries(
    Object.entries(order.undo.images).filter(([container]) => live[container] === order.images[container]),
  );
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
