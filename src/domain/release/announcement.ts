/** How a release introduces itself to Temporal: the sentence, the page and the index entries that people find it by. */
import type { Release, Step } from '../../specs/release.types.ts';
import { imageText } from '../image.ts';
import type { SEARCH_ATTRIBUTES } from '../names.ts';
import { escapeMarkdown, oneLine } from '../page.ts';
import type { ReleaseInput } from './types.ts';

/** Longest text of a Keyword search attribute that every visibility store keeps whole. */
const KEYWORD_LIMIT = 255;
/** Temporal documents 200 bytes for a summary; the cut keeps a list of workflows readable. */
const SUMMARY_LIMIT = 200;

/** Facts that never change during a release; listed without asking a worker. */
export interface ReleaseMemo {
  [name: string]: unknown;
  key: string | null;
  starter: string;
  image: string;
  reason: string;
}

/** What Temporal keeps of a release from its start. */
export interface Announcement {
  /** One line for lists: `ecommerce/product-service to v1.1.0: cheaper search`. */
  summary: string;
  /** Markdown for the workflow's page. */
  details: string;
  memo: ReleaseMemo;
  /** Values of {@link SEARCH_ATTRIBUTES} at the start; one without a value is left out. */
  searchAttributes: Partial<Record<(typeof SEARCH_ATTRIBUTES)[number], string>>;
}

/** What whoever starts the `release` workflow (a client, or the release queue) gives to Temporal along with the input. */
export function announcement(input: ReleaseInput): Announcement {
  const { release, starter, key, dryRun } = input;
  const { namespace, name } = release.metadata;
  const image = release.spec.image ?? imageText(release.spec.images ?? {});
  const keywords = {
    SlipwayPhase: 'preflight',
    SlipwayNamespace: namespace,
    SlipwayWorkload: name,
    SlipwayImage: image,
    SlipwayStarter: starter,
    ...(key === null ? {} : { SlipwayKey: key }),
  };
  const prefix = dryRun ? 'Dry run: ' : '';
  return {
    summary: cut(
      `${prefix}${namespace}/${name} to ${versionText(release)}: ${oneLine(release.spec.reason)}`,
      SUMMARY_LIMIT,
    ),
    details: detailsOf(input, image),
    memo: { key, starter, image, reason: release.spec.reason },
    searchAttributes: Object.fromEntries(
      Object.entries(keywords).map(([attribute, value]) => [attribute, cut(value, KEYWORD_LIMIT)]),
    ),
  };
}

/** Tag of an image reference, else the start of its digest, else the reference itself. */
export function versionOf(image: string): string {
  const [reference = image, digest] = image.split('@');
  const tag = /:([^/:]+)$/.exec(reference)?.[1];
  if (tag !== undefined) return tag;
  return digest === undefined ? image : digest.slice(0, 'sha256:'.length + 12);
}

function versionText(release: Release): string {
  const { image, images } = release.spec;
  if (image !== undefined) return versionOf(image);
  const entries = Object.entries(images ?? {});
  if (entries.length === 1) return versionOf(entries[0]?.[1] ?? '');
  return entries.map(([container, each]) => `${versionOf(each)} (${container})`).join(', ');
}

function detailsOf({ release, starter, key, dryRun }: ReleaseInput, image: string): string {
  const { namespace, name } = release.metadata;
  const { guards, after, reason } = release.spec;
  const rows: [string, string][] = [
    ['Workload', `${namespace}/${name}`],
    ['Image', image.replaceAll(',', ', ')],
    ['Why', reason],
    ['Started by', starter],
    ...(key === null ? [] : ([['Key', key]] satisfies [string, string][])),
    ['Strategy', strategyText(release)],
    ['Guards', guardsText(guards, after.guard)],
  ];
  const lines = rows.map(([what, value]) => `- **${what}:** ${escapeMarkdown(value)}`);
  const lead = dryRun ? 'A dry run: preflight and plan only, nothing is touched.\n\n' : '';
  return `${lead}${lines.join('\n')}\n`;
}

function strategyText(release: Release): string {
  const { strategy } = release.spec;
  if ('canary' in strategy)
    return ['canary:', [...strategy.canary.steps.map(stepText), '100 %'].join(', ')].join(' ');
  const { maxSurge, maxUnavailable, pauseAt } = strategy.rolling;
  const parts = [
    ...(maxSurge === undefined ? [] : [`maxSurge ${maxSurge}`]),
    ...(maxUnavailable === undefined ? [] : [`maxUnavailable ${maxUnavailable}`]),
    ...(pauseAt.length === 0 ? [] : [`pauses at ${pauseAt.join(', ')}`]),
  ];
  return parts.length === 0 ? 'rolling' : `rolling: ${parts.join(', ')}`;
}

function stepText(step: Step): string {
  if ('weight' in step) return `${step.weight} %`;
  if ('bake' in step) return `bake ${step.bake}`;
  const { name, approvals, expires, fourEyes } = step.gate;
  const people = approvals === 1 ? '1 approval' : `${approvals} approvals`;
  return `gate ${name} (${people}${fourEyes ? ', four eyes' : ''}, expires after ${expires})`;
}

function guardsText(guards: Release['spec']['guards'], guard: string): string {
  const parts = [];
  if (guards.alerts) {
    const match = Object.entries(guards.alerts.match).map(
      ([label, values]) => `${label}=${values.join(' or ')}`,
    );
    parts.push(match.length === 0 ? 'any alert' : `alerts with ${match.join(' and ')}`);
  }
  if (guards.pods) parts.push(`pods ready within ${guards.pods.readyWithin}`);
  parts.push(`deadline ${guards.deadline}`);
  if (guard !== '0s') parts.push(`watched ${guard} after 100 %`);
  return parts.join(', ');
}

function cut(text: string, limit: number): string {
  return text.length <= limit ? text : `${text.slice(0, limit - 1)}…`;
}
