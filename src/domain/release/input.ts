/**
 * Whether a workflow was given what a client of ours gives. Anybody may start one or send to it from the Temporal UI, and an
 * error in workflow code makes its task repeat for ever; so what is no release is told from one before it is used.
 */
import { parseDuration } from '../../specs/duration.ts';
import type { ReleaseInput } from './types.ts';

export const NO_RELEASE = 'the input is not a release; start it with `slipway release start -f release.yaml`';

export function isReleaseInput(input: unknown): input is ReleaseInput {
  const { release, starter, key, dryRun } = fieldsOf(input);
  const { metadata, spec } = fieldsOf(release);
  const { namespace, name } = fieldsOf(metadata);
  return (
    [namespace, name, starter].every(isText) &&
    (key === null || isText(key)) &&
    typeof dryRun === 'boolean' &&
    isBody(fieldsOf(spec))
  );
}

function isBody({ image, images, reason, strategy, guards, after }: Fields): boolean {
  const { canary, rolling } = fieldsOf(strategy);
  const { alerts, pods, deadline } = fieldsOf(guards);
  return (
    isText(reason) &&
    (isText(image) || Object.values(fieldsOf(images)).some(isText)) &&
    (Array.isArray(fieldsOf(canary)['steps']) || Array.isArray(fieldsOf(rolling)['pauseAt'])) &&
    (alerts === null || isObject(fieldsOf(alerts)['match'])) &&
    (pods === null || isDuration(fieldsOf(pods)['readyWithin'])) &&
    isDuration(deadline) &&
    isDuration(fieldsOf(after)['guard'])
  );
}

type Fields = Record<string, unknown>;

function fieldsOf(value: unknown): Fields {
  return isObject(value) ? value : {};
}

function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null;
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}

function isDuration(value: unknown): boolean {
  return typeof value === 'string' && parseDuration(value) !== undefined;
}
