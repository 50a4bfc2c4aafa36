/** Changes by another hand of what a release owns: the pod template, the hold, the record. The replica count is nobody's. */
import { canonicalJson, fingerprint } from '../digest.ts';
import {
  FIELD_MANAGER,
  HELD_MIN_READY_SECONDS,
  HELD_PROGRESS_DEADLINE_SECONDS,
  RECORD_ANNOTATION,
} from '../names.ts';
import type { Deployment, ManagedFields, PodTemplate } from './objects.types.ts';
import { isOurs, type ReleaseRecord, recordState, sameStrategy, strategyOf } from './record.ts';
import { ownTemplate, sameTemplate, templateDigest, withImages } from './template.ts';
import type { Drift, Undo } from './types.ts';

/** What the object should look like; see the activity `watch`. */
export interface Expected {
  actor: { id: string; run: string };
  undo: Undo;
  images: Record<string, string>;
  rolling: Undo['strategy'] | null;
  expect: 'held' | 'rolling' | 'promoted' | 'restored';
  accepted: string[];
}

const UNKNOWN_MANAGER = 'unknown';
const HIDDEN = new Set(['present', 'changed']);

/** Drift in one sentence without a full stop. Values that may be secret are not in it, nor what stands in for them. */
export function describeDrift({ manager, field, found, expected }: Drift): string {
  // Kubernetes keeps no owner of a field that was removed.
  const who = manager === UNKNOWN_MANAGER ? 'somebody' : manager;
  if (expected === 'absent' && found === 'present') return `${who} added ${field}`;
  if (expected === 'as launched') return `${who} ${found === 'absent' ? 'removed' : 'changed'} ${field}`;
  return `${who} changed ${field} from ${expected} to ${found}`;
}

interface Difference {
  field: string;
  found: string;
  expected: string;
}

/**
 * Drift of a workload from what its release made of it, accepted drift left out.
 * `stable` is the template of the stable ReplicaSet, `null` when that is gone; with it, fields can be named.
 */
export function driftOf(deployment: Deployment, order: Expected, stable: PodTemplate | null): Drift[] {
  const found = recordState(deployment);
  const record = found.state === 'live' && isOurs(found.record, order.actor) ? found.record : null;
  const differences = [
    ...templateDifferences(deployment.spec.template, order, record, stable),
    ...(order.expect === 'held' || order.expect === 'rolling'
      ? specDifferences(deployment, order, record)
      : []),
    ...(order.expect === 'restored' || record ? [] : [recordDifference(deployment)]),
  ];
  const live = templateDigest(deployment.spec.template);
  return differences
    .map((difference) => ({
      // What is found may be redacted, so two changes of one secret are told apart by the template they made.
      id: fingerprint([difference.field, difference.found, HIDDEN.has(difference.found) ? live : null]),
      ...difference,
      manager: managerOf(deployment.metadata.managedFields ?? [], difference.field, record?.at),
    }))
    .filter((drift) => !order.accepted.includes(drift.id));
}

function templateDifferences(
  live: PodTemplate,
  order: Expected,
  record: ReleaseRecord | null,
  stable: PodTemplate | null,
): Difference[] {
  if (order.expect !== 'restored' && record?.template === templateDigest(live)) return [];
  const images = order.expect === 'restored' ? order.undo.images : order.images;
  if (!stable) return record ? [unnamed(live, record)] : imageDifferences(live, images);
  const expected = withImages(ownTemplate(stable), images);
  if (sameTemplate(live, expected)) return [];
  const fields = differences(ownTemplate(live), expected, 'spec.template');
  return fields.length > 0 ? fields : record ? [unnamed(live, record)] : [];
}

function unnamed(live: PodTemplate, record: ReleaseRecord): Difference {
  const found = `fingerprint ${templateDigest(live)}`;
  return { field: 'spec.template', found, expected: `fingerprint ${record.template}` };
}

function imageDifferences(live: PodTemplate, images: Record<string, string>): Difference[] {
  return differences(live, withImages(live, images), 'spec.template');
}

function specDifferences(
  deployment: Deployment,
  order: Expected,
  record: ReleaseRecord | null,
): Difference[] {
  const { spec } = deployment;
  const held = order.expect === 'held';
  const wanted = {
    minReadySeconds: held ? HELD_MIN_READY_SECONDS : order.undo.minReadySeconds,
    progressDeadlineSeconds: held ? HELD_PROGRESS_DEADLINE_SECONDS : order.undo.progressDeadlineSeconds,
  };
  // How the hold was written last is known from the record alone.
  const strategy = held ? record?.strategy : (order.rolling ?? order.undo.strategy);
  const list: Difference[] = [];
  const compare = (field: string, found: unknown, expected: unknown): void => {
    if (found !== expected) list.push({ field, found: String(found), expected: String(expected) });
  };
  compare('spec.minReadySeconds', spec.minReadySeconds ?? 0, wanted.minReadySeconds);
  compare(
    'spec.progressDeadlineSeconds',
    spec.progressDeadlineSeconds ?? 600,
    wanted.progressDeadlineSeconds,
  );
  compare('spec.strategy.type', spec.strategy.type, 'RollingUpdate');
  compare('spec.paused', spec.paused ?? false, false);
  const live = strategyOf(deployment);
  if (strategy && !sameStrategy(strategy, live)) {
    list.push({
      field: 'spec.strategy.rollingUpdate',
      found: canonicalJson(live),
      expected: canonicalJson(strategy),
    });
  }
  return list;
}

function recordDifference(deployment: Deployment): Difference {
  const found = recordState(deployment);
  return {
    field: `metadata.annotations[${RECORD_ANNOTATION}]`,
    found:
      found.state === 'none'
        ? 'nothing'
        : found.state === 'stale'
          ? `a record that cannot be believed: ${found.why}`
          : `the record of ${found.record.id}, run ${found.record.run}`,
    expected: 'the record of this release',
  };
}

const MAX_FIELDS = 20;
/** Fields whose values are shown. Everything else may hold a secret: that it changed is told, its value is not. */
const SHOWN = /\.(image|name|containerPort|cpu|memory|terminationGracePeriodSeconds|imagePullPolicy)$/;

/** Paths at which two templates differ; lists of named things are matched by name. */
function differences(found: unknown, expected: unknown, path: string): Difference[] {
  if (canonicalJson(found ?? null) === canonicalJson(expected ?? null)) return [];
  const deeper = pairs(found, expected);
  if (deeper) {
    return deeper.flatMap(([step, a, b]) => differences(a, b, `${path}${step}`)).slice(0, MAX_FIELDS);
  }
  const shown = SHOWN.test(path);
  return [
    {
      field: path,
      found:
        found === undefined ? 'absent' : shown ? text(found) : expected === undefined ? 'present' : 'changed',
      expected: expected === undefined ? 'absent' : shown ? text(expected) : 'as launched',
    },
  ];
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : canonicalJson(value);
}

/** Members of two objects, or of two lists of named objects, side by side; `null` for anything else. */
function pairs(found: unknown, expected: unknown): [string, unknown, unknown][] | null {
  const a = members(found);
  const b = members(expected);
  if (!a || !b || a.kind !== b.kind) return null;
  const keys = [...new Set([...Object.keys(a.entries), ...Object.keys(b.entries)])];
  return keys.map((key) => [
    a.kind === 'list' || /[./]/.test(key) ? `[${key}]` : `.${key}`,
    a.entries[key],
    b.entries[key],
  ]);
}

function members(value: unknown): { kind: 'object' | 'list'; entries: Record<string, unknown> } | null {
  if (Array.isArray(value)) {
    const names = value.map((item: unknown) =>
      typeof item === 'object' && item !== null && 'name' in item ? String(item.name) : undefined,
    );
    if (names.includes(undefined) || new Set(names).size !== names.length) return null;
    return { kind: 'list', entries: Object.fromEntries(value.map((item, index) => [names[index], item])) };
  }
  if (typeof value !== 'object' || value === null) return null;
  return { kind: 'object', entries: value as Record<string, unknown> };
}

/**
 * The latest manager beside Slipway that owns the field. Nobody owns a field that was removed: then the latest that
 * wrote anything after `since` (ISO time), or `unknown`.
 */
export function managerOf(managedFields: ManagedFields[], field: string, since?: string): string {
  const others = managedFields
    .filter((entry) => entry.manager !== FIELD_MANAGER && entry.subresource === undefined)
    .sort((a, b) => ((a.time ?? '') < (b.time ?? '') ? 1 : -1));
  const steps = pathSteps(field);
  const owner = others.find((entry) => owns(entry.fieldsV1 ?? {}, steps));
  // Times in managedFields are whole seconds.
  const late = others.find((entry) => since && Date.parse(entry.time ?? '') + 1_000 > Date.parse(since));
  return (owner ?? late)?.manager ?? UNKNOWN_MANAGER;
}

/** `spec.template.spec.containers[app].image` as the steps of fieldsV1: `f:spec` … `k:{"name":"app"}` `f:image`. */
function pathSteps(field: string): string[] {
  return [...field.matchAll(/\[([^\]]+)\]|([^.[\]]+)/g)].map(([, bracket, plain]) => bracket ?? plain ?? '');
}

function owns(fields: Record<string, unknown>, steps: string[]): boolean {
  let node: Record<string, unknown> = fields;
  for (const step of steps) {
    const next =
      node[`f:${step}`] ??
      Object.entries(node).find(
        ([key]) => key.startsWith('k:') && key.includes(`"name":${JSON.stringify(step)}`),
      )?.[1];
    if (typeof next !== 'object' || next === null) return false;
    node = next as Record<string, unknown>;
  }
  return true;
}
