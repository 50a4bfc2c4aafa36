/** The schema of `release.yaml`, and the way from its text to a {@link Release}. */
import * as z from 'zod';
import { check } from './check.ts';
import { allowed, dnsLabel, dnsSubdomain, duration, fields, imageReference, text } from './fields.ts';
import { type Overrides, override } from './overrides.ts';
import { guards } from './release-guards.ts';
import { strategy } from './release-strategy.ts';
import type { Release } from './release.types.ts';
import { sentence } from './rules.ts';
import { readDocument } from './yaml.ts';

export type { Overrides } from './overrides.ts';

const body = fields({
  image: imageReference()
    .exactOptional()
    .describe("Image of the only container, or of the container that has the workload's name."),
  images: z
    .record(
      dnsLabel('a container name'),
      imageReference(),
      allowed('container names with an image each, such as { web: "app:v2" }'),
    )
    .refine((images) => Object.keys(images).length > 0, allowed('at least one container'))
    .refine((images) => Object.keys(images).length <= 50, allowed('at most 50 containers'))
    .exactOptional()
    .describe('Images by container name, when more than one changes. Either this or image.'),
  reason: text('a sentence of up to 500 characters that says why', 500).describe(
    'Why this release is made; approvers and history show it. The flag --reason overrides it.',
  ),
  strategy: strategy.describe('How the new version is brought in.'),
  guards,
  after: fields({
    guard: duration(0)
      .default('5m')
      .describe('How long to watch after 100 %, ready to haul back; 0s: not at all.'),
  })
    .prefault({})
    .describe('What happens after 100 %.'),
}).superRefine((value, context) => {
  if ((value.image === undefined) === (value.images === undefined)) {
    const found = value.image === undefined ? 'neither image nor images' : 'image and images';
    sentence(
      context,
      value.image === undefined ? [] : ['images'],
      `found ${found}; needed: exactly one of them`,
    );
  }
});

const releaseSchema = fields({
  apiVersion: z.literal('slipway/v1', allowed('slipway/v1')),
  kind: z.literal('Release', allowed('Release')),
  metadata: fields({
    namespace: dnsLabel('a namespace').describe('Namespace of the workload.'),
    name: dnsSubdomain('the name of a Deployment').describe('Name of the apps/v1 Deployment.'),
  }),
  spec: body,
});

interface ParseReleaseOptions {
  /** What the text is called in errors, e.g. the file name. */
  source?: string;
  overrides?: Overrides;
}

/** A release from YAML or JSON text, checked and with every default filled in. Throws SpecError. */
export function parseRelease(textOfRelease: string, options: ParseReleaseOptions = {}): Release {
  const source = options.source ?? 'release';
  const document = readDocument(textOfRelease, source);
  const { value, flags } = override(document.value, options.overrides ?? {}, source);
  return check(releaseSchema, { source, value, document, flags });
}

/** JSON Schema (draft 2020-12) of what people write, for editors. */
export function releaseJsonSchema(): Record<string, unknown> {
  return {
    ...z.toJSONSchema(releaseSchema, { io: 'input', target: 'draft-2020-12' }),
    title: 'Slipway release',
    description: 'One change of one workload, from preflight to promoted or rolled back.',
  };
}
