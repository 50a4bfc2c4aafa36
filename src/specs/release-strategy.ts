/** How the new version is brought in: canary steps with their gates, or a rolling update with pauses. */
import * as z from 'zod';
import { describeValue } from './errors.ts';
import { allowed, dnsLabel, duration, fields, flag, percentage, podsOrShare, wholeNumber } from './fields.ts';
import type { ReleaseBody, Step } from './release.types.ts';
import { sentence } from './rules.ts';

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

const MOST_WEIGHT = 100;
const STEP_KINDS = ['weight', 'bake', 'gate'] as const;

const step = fields(
  {
    weight: wholeNumber(1, MOST_WEIGHT)
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
      } else if (one.weight <= MOST_WEIGHT) highest = { weight: one.weight, at: index };
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

/** `spec.strategy`: exactly one of canary and rolling. */
export const strategy = fields(
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
