/** The schema of `release.yaml`, and the way from its text to a {@link Release}. */
import * as z from 'zod';
import { check } from './check.ts';
import { describeValue } from './errors.ts';
import {
  allowed,
  dnsLabel,
  dnsSubdomain,
  duration,
  fields,
  flag,
  imageReference,
  percentage,
  podsOrShare,
  text,
  wholeNumber,
  yesNo,
} from './fields.ts';
import type { Release, ReleaseBody, Step } from './release.types.ts';
import { type Overrides, override } from './overrides.ts';
import { readDocument } from './yaml.ts';

export type { Overrides } from './overrides.ts';

/** Pods of a release are watched like this when `guards.pods` is `true` or absent. */
const POD_GUARD = { readyWithin: '10m', restarts: 0 };
/** Alerts that haul a release back when `guards.alerts` is absent. */
const ALERT_GUARD = { match: { severity: ['critical'] } };

/** A problem that takes a whole sentence, instead of "found ...; allowed: ...". */
function sentence(context: z.core.$RefinementCtx, path: PropertyKey[], message: string): void {
  context.addIssue({ code: 'custom', path, message, params: { sentence: true } });
}

const gate = fields({
  name: dnsLabel('a name for the gate').describe(
    'Name of the gate; unique in the release. Approvals name it.',
  ),
  approvals: wholeNumber(1, 20).default(1).describe('Approvals by different people that open the gate.'),
  expires: duration(1_000)
    .default('24h')
    .describe('Without enough approvals by then the release is rolled back.'),
  fourEyes: flag()
    .default(false)
    .describe('At least one approval must come from somebody other than the starter.'),
});

const STEP_KINDS = ['weight', 'bake', 'gate'] as const;

const step = fields(
  {
    weight: wholeNumber(1, 100)
      .exactOptional()
      .describe('Percent of the pods that run the new version from here on.'),
    bake: duration(1_000).exactOptional().describe('Watch this long before going on.'),
    gate: gate.exactOptional().describe('Wait for people to approve.'),
  },
  'a mapping with one of weight, bake and gate',
)
  .meta({ minProperties: 1, maxProperties: 1 })
  .transform((value, context): Step => {
    const given = STEP_KINDS.filter((kind) => value[kind] !== undefined);
    if (given.length === 1) return value as Step;
    const found = given.length === 0 ? 'an empty step' : `${given.join(' and ')} in one step`;
    sentence(
      context,
      [],
      `found ${found}; allowed: exactly one of weight, bake and gate. Each begins its own "- "`,
    );
    return z.NEVER;
  });

const canary = fields({
  steps: z
    .array(step, allowed('a list of 1 to 50 steps, each weight, bake or gate'))
    .min(1, allowed('a list of 1 to 50 steps, each weight, bake or gate'))
    .max(50, allowed('a list of 1 to 50 steps, each weight, bake or gate'))
    .superRefine(checkSteps)
    .describe('What happens on the way to 100 %, in order. After the last step the release is promoted.'),
});

function checkSteps(steps: Step[], context: z.core.$RefinementCtx): void {
  let highest: { weight: number; at: number } | undefined;
  const gates = new Map<string, number>();
  for (const [index, one] of steps.entries()) {
    if (!one || typeof one !== 'object') continue;
    if ('weight' in one && one.weight !== undefined) {
      if (highest && one.weight <= highest.weight) {
        const before = `more than the ${highest.weight} of steps[${highest.at}]`;
        sentence(
          context,
          [index, 'weight'],
          `found ${one.weight}; allowed: ${before}, for weights rise from step to step`,
        );
      } else highest = { weight: one.weight, at: index };
    }
    if ('gate' in one && one.gate !== undefined) {
      const earlier = gates.get(one.gate.name);
      if (earlier === undefined) gates.set(one.gate.name, index);
      else
        sentence(
          context,
          [index, 'gate', 'name'],
          `found ${describeValue(one.gate.name)}, as in steps[${earlier}]; each gate needs a name of its own`,
        );
    }
  }
}

const rolling = fields({
  maxSurge: podsOrShare()
    .exactOptional()
    .describe("Pods above the replica count; the workload's own when absent."),
  maxUnavailable: podsOrShare()
    .exactOptional()
    .describe("Pods that may be missing; the workload's own when absent."),
  pauseAt: z
    .array(percentage(1, 99), allowed('a list of shares such as [25%, 50%]'))
    .max(20, allowed('at most 20 shares'))
    .default([])
    .describe('Shares of updated pods at which the roll waits for `slipway release resume`; rising.'),
}).superRefine((value, context) => {
  const zero = (pods: unknown) => pods === 0 || (typeof pods === 'string' && Number.parseInt(pods, 10) === 0);
  if (zero(value.maxSurge) && zero(value.maxUnavailable)) {
    sentence(
      context,
      ['maxUnavailable'],
      'is 0, as is maxSurge, so no pod could ever be replaced; allowed: at most one of them 0',
    );
  }
  for (const [index, share] of (value.pauseAt ?? []).entries()) {
    const before = value.pauseAt[index - 1];
    if (before !== undefined && Number.parseInt(share, 10) <= Number.parseInt(before, 10)) {
      sentence(context, ['pauseAt', index], `found ${share}; allowed: more than the ${before} before it`);
    }
  }
});

const strategy = fields(
  {
    canary: canary.exactOptional().describe('Some pods first, then more, then all.'),
    rolling: rolling.exactOptional().describe("Kubernetes' own rolling update, with pauses."),
  },
  'a mapping with either canary or rolling',
)
  .meta({ minProperties: 1, maxProperties: 1 })
  .transform((value, context): ReleaseBody['strategy'] => {
    if ((value.canary === undefined) !== (value.rolling === undefined))
      return value as ReleaseBody['strategy'];
    const found = value.canary ? 'canary and rolling' : 'no strategy';
    sentence(context, [], `found ${found}; allowed: exactly one of canary and rolling`);
    return z.NEVER;
  });

const labelValue = text('a label value in text, up to 256 characters', 256);
const LABEL_VALUES = allowed('a label value, or a list of 1 to 50 of them', (found) =>
  typeof found === 'number' || typeof found === 'boolean' ? `put it in quotes: "${found}"` : undefined,
);
const match = z
  .record(
    text(
      'a label name of letters, digits and _, not beginning with a digit',
      128,
      /^[a-zA-Z_][a-zA-Z0-9_]*$/,
    ),
    z
      .union(
        [labelValue, z.array(labelValue, LABEL_VALUES).min(1, LABEL_VALUES).max(50, LABEL_VALUES)],
        LABEL_VALUES,
      )
      .transform((value) => [value].flat()),
    allowed('label names with a value or a list of values, such as { severity: [warning, critical] }'),
  )
  .refine((labels) => Object.keys(labels).length <= 20, allowed('at most 20 labels'));

const alerts = z
  .union(
    [
      fields({
        match: match.describe('Each label named must have one of its values; {} matches every alert.'),
      }),
      z.literal(false),
    ],
    allowed('a mapping with match, or false for no alerts', (found) =>
      found === true ? 'leave alerts out for the default' : yesNo(found),
    ),
  )
  .default(ALERT_GUARD)
  .transform((value) => (value === false ? null : value))
  .describe(
    'Alerts about the workload that haul the release back. Absent: those with severity critical. false: none.',
  );

const pods = z
  .union(
    [
      flag(),
      fields({
        readyWithin: duration(1_000)
          .default(POD_GUARD.readyWithin)
          .describe('A new pod must be Ready by then.'),
        restarts: wholeNumber(0, 100)
          .default(POD_GUARD.restarts)
          .describe('Container restarts a new pod may have.'),
      }),
    ],
    allowed('true, false, or a mapping with readyWithin and restarts', yesNo),
  )
  .default(true)
  .transform((value) => (value === true ? POD_GUARD : value === false ? null : value))
  .describe(
    'Health of the new pods. Absent or true: each must be Ready within 10m, without a single restart. false: not watched.',
  );

const guards = fields({
  alerts,
  pods,
  deadline: duration(1_000)
    .default('1h')
    .describe('Time the release may take to 100 %, not counting pauses and gates.'),
})
  .prefault({})
  .describe('What is watched the whole way; a guard that fails rolls the release back.');

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

export const releaseSchema = fields({
  apiVersion: z.literal('slipway/v1', allowed('slipway/v1')),
  kind: z.literal('Release', allowed('Release')),
  metadata: fields({
    namespace: dnsLabel('a namespace').describe('Namespace of the workload.'),
    name: dnsSubdomain('the name of a Deployment').describe('Name of the apps/v1 Deployment.'),
  }),
  spec: body,
});

export interface ParseReleaseOptions {
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
