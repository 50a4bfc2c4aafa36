/** What release.yaml promises to whoever writes one. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { SpecError } from '../../src/specs/errors.ts';
import { type Overrides, parseRelease, releaseJsonSchema } from '../../src/specs/release.ts';

const WHOLE = `apiVersion: slipway/v1
kind: Release
metadata: { namespace: ecommerce, name: product-service }
spec:
  image: ecommerce/product-service:v1.1.0      # or images: { container: image }
  reason: cheaper search
  strategy:
    canary:                                    # or rolling: { maxSurge, maxUnavailable, pauseAt: [25%, 50%] }
      steps:
        - weight: 25
        - bake: 30s
        - gate: { name: half, approvals: 1, expires: 1h }
        - weight: 50
        - bake: 30s
  guards:
    alerts: { match: { severity: [warning, critical] } }
    pods: true
    deadline: 15m
  after: { guard: 5m }
`;

const ROLLING = WHOLE.replace(/canary:[^]*?(?=\n {2}guards)/, 'rolling: {}');

/** What the parser says to a text; fails the test when it accepts it. */
function complaint(text: string, overrides: Overrides = {}): string {
  try {
    parseRelease(text, { source: 'release.yaml', overrides });
  } catch (error) {
    if (error instanceof SpecError) return error.message;
    throw error;
  }
  throw new Error('accepted, though it should be refused');
}

const swap = (from: string, to: string, text = WHOLE): string => {
  if (!text.includes(from)) throw new Error(`the text has no "${from}"`);
  return text.replace(from, to);
};

describe('a good file', () => {
  test('the whole release is accepted as it is written', () => {
    expect(parseRelease(WHOLE)).toEqual({
      apiVersion: 'slipway/v1',
      kind: 'Release',
      metadata: { namespace: 'ecommerce', name: 'product-service' },
      spec: {
        image: 'ecommerce/product-service:v1.1.0',
        reason: 'cheaper search',
        strategy: {
          canary: {
            steps: [
              { weight: 25 },
              { bake: '30s' },
              { gate: { name: 'half', approvals: 1, expires: '1h', fourEyes: false } },
              { weight: 50 },
              { bake: '30s' },
            ],
          },
        },
        guards: {
          alerts: { match: { severity: ['warning', 'critical'] } },
          pods: { readyWithin: '10m', restarts: 0 },
          deadline: '15m',
        },
        after: { guard: '5m' },
      },
    });
  });

  test('a release without guards still watches its pods and critical alerts', () => {
    const { guards, after } = parseRelease(ROLLING.replace(/ {2}guards:[^]*/, '')).spec;
    expect(guards).toEqual({
      alerts: { match: { severity: ['critical'] } },
      pods: { readyWithin: '10m', restarts: 0 },
      deadline: '1h',
    });
    expect(after).toEqual({ guard: '5m' });
  });

  test('false switches alerts and pods off', () => {
    const off = swap(
      'pods: true',
      'pods: false',
      swap('alerts: { match: { severity: [warning, critical] } }', 'alerts: false'),
    );
    expect(parseRelease(off).spec.guards).toMatchObject({ alerts: null, pods: null });
  });

  test('a single alert label value may stand without a list', () => {
    const { guards } = parseRelease(swap('[warning, critical]', 'page')).spec;
    expect(guards.alerts).toEqual({ match: { severity: ['page'] } });
  });

  test('a rolling release has no pauses unless they are asked for', () => {
    expect(parseRelease(ROLLING).spec.strategy).toEqual({ rolling: { pauseAt: [] } });
  });

  test('JSON is accepted, also when it is indented with tabs', () => {
    const json = JSON.stringify(parseRelease(WHOLE), null, '\t');
    expect(parseRelease(json)).toEqual(parseRelease(WHOLE));
  });

  test('what was parsed is accepted again and means the same', () => {
    const once = parseRelease(WHOLE);
    expect(parseRelease(JSON.stringify(once))).toEqual(once);
  });

  test.each([
    ['separators around it', `---\n${WHOLE}---\n`],
    ['an end marker', `${WHOLE}...\n`],
    ['a byte order mark', `\uFEFF${WHOLE}`],
    ['the line ends of Windows', WHOLE.replaceAll('\n', '\r\n')],
  ])('%s changes nothing', (_, text) => {
    expect(parseRelease(text)).toEqual(parseRelease(WHOLE));
  });

  test('anchors and aliases work', () => {
    const text = swap('- bake: 30s\n        - gate', '- bake: &bake 30s\n        - gate').replace(
      /bake: 30s(?=\n {2}guards)/,
      'bake: *bake',
    );
    expect(parseRelease(text)).toEqual(parseRelease(WHOLE));
  });

  test.each(readdirSync(fileURLToPath(new URL('../../examples/releases', import.meta.url))))(
    'the example %s is accepted',
    (file) => {
      const path = fileURLToPath(new URL(`../../examples/releases/${file}`, import.meta.url));
      expect(parseRelease(readFileSync(path, 'utf8'), { source: file }).kind).toBe('Release');
    },
  );
});

describe('flags go over the file', () => {
  test('image and reason replace those of the file', () => {
    const { image, reason } = parseRelease(WHOLE, {
      overrides: { image: 'shop/app:v2', reason: 'hotfix' },
    }).spec;
    expect({ image, reason }).toEqual({ image: 'shop/app:v2', reason: 'hotfix' });
  });

  test('a file without image and reason is completed by flags', () => {
    const text = swap(
      '  image: ecommerce/product-service:v1.1.0      # or images: { container: image }\n',
      '',
      swap('  reason: cheaper search\n', ''),
    );
    expect(
      parseRelease(text, { overrides: { images: { web: 'shop/app:v2' }, reason: 'hotfix' } }).spec.images,
    ).toEqual({ web: 'shop/app:v2' });
  });

  test('images are merged container by container', () => {
    const text = swap('image: ecommerce/product-service:v1.1.0', 'images: { web: "a:1", job: "b:1" }');
    expect(parseRelease(text, { overrides: { images: { job: 'b:2' } } }).spec.images).toEqual({
      web: 'a:1',
      job: 'b:2',
    });
  });

  test.each([
    ['--image', { image: 'Shop/App:v2' }, WHOLE, '--image: found "Shop/App:v2"; allowed: an image reference'],
    ['--reason', { reason: 'x'.repeat(501) }, WHOLE, 'this one has 501 characters'],
    [
      '--images beside spec.image',
      { images: { web: 'a:1' } },
      WHOLE,
      '--images: does not go with spec.image of release.yaml; use --image IMAGE',
    ],
    [
      '--image beside spec.images',
      { image: 'a:1' },
      swap('image: ecommerce/product-service:v1.1.0', 'images: { web: "a:1" }'),
      '--image: does not go with spec.images',
    ],
  ])('a problem of %s is told under its flag', (_, overrides, text, message) => {
    const said = complaint(text, overrides);
    expect(said).toContain(message);
    expect(said).not.toContain('spec.image:');
  });
});

describe('an error says where, what was found, and what is allowed', () => {
  test.each<[string, string, string]>([
    [
      'a word for a duration',
      swap('1h }', 'soon }'),
      'release.yaml:12:54: spec.strategy.canary.steps[2].gate.expires: found "soon"; allowed: a duration such as 30s, 5m, 1h30m, from 1s to 30d',
    ],
    [
      'a duration without a unit',
      swap('bake: 30s', 'bake: 30'),
      'steps[1].bake: found 30; allowed: a duration such as 30s, 5m, 1h30m, from 1s to 30d; give the unit: 30s or 30m',
    ],
    ['a quoted duration without a unit', swap('bake: 30s', 'bake: "30"'), 'give the unit: 30s or 30m'],
    ['a unit in words', swap('bake: 30s', 'bake: 30 sec'), 'found "30 sec"; allowed: a duration such as'],
    ['minutes in words', swap('bake: 30s', 'bake: 5min'), 'from 1s to 30d; write 5m'],
    ['a guard of 0', swap('guard: 5m', 'guard: 0'), 'spec.after.guard: found 0; allowed: a duration'],
    ['a bake of no time', swap('bake: 30s', 'bake: 0s'), 'steps[1].bake: found "0s"'],
    ['a bake of a year', swap('bake: 30s', 'bake: 365d'), 'steps[1].bake: found "365d"'],
    [
      'a quoted weight',
      swap('weight: 25', 'weight: "25"'),
      'release.yaml:10:19: spec.strategy.canary.steps[0].weight: found "25"; allowed: a whole number from 1 to 100; write 25, without quotes or %',
    ],
    ['a weight in percent', swap('weight: 25', 'weight: 25%'), 'write 25, without quotes or %'],
    [
      'a weight above 100',
      swap('weight: 50', 'weight: 101'),
      'found 101; allowed: a whole number from 1 to 100',
    ],
    [
      'a weight above 100 before others',
      swap('weight: 25', 'weight: 250'),
      'steps[0].weight: found 250; allowed: a whole number from 1 to 100',
    ],
    ['half a percent', swap('weight: 25', 'weight: 25.5'), 'found 25.5; allowed: a whole number'],
    [
      'a weight that falls',
      swap('weight: 50', 'weight: 20'),
      'steps[3].weight: found 20; allowed: more than the 25 of steps[0]',
    ],
    [
      'a weight that stays',
      swap('weight: 50', 'weight: 25'),
      'steps[3].weight: found 25; allowed: more than the 25 of steps[0]',
    ],
    [
      'two things in one step',
      swap('- weight: 50', '  weight: 50'),
      'steps[2]: found weight and gate in one step; allowed: exactly one of weight, bake and gate',
    ],
    ['an empty step', swap('- weight: 50', '- {}'), 'steps[3]: found an empty step'],
    [
      'no steps',
      swap(WHOLE.slice(WHOLE.indexOf('steps:'), WHOLE.indexOf('  guards')), 'steps: []\n'),
      'steps: found an empty list; allowed: a list of 1 to 50 steps',
    ],
    [
      'a gate name twice',
      swap('- weight: 50', '- gate: { name: half }\n        - weight: 50'),
      'steps[3].gate.name: found "half", as in steps[2]; each gate needs a name of its own',
    ],
    [
      'a gate name with a blank',
      swap('name: half', 'name: half way'),
      'gate.name: found "half way"; allowed: a name for the gate',
    ],
    [
      'a gate without a name',
      swap('name: half, ', ''),
      'release.yaml:12:17: spec.strategy.canary.steps[2].gate.name: missing; needed: a name for the gate',
    ],
    [
      'no approvals',
      swap('approvals: 1', 'approvals: 0'),
      'gate.approvals: found 0; allowed: a whole number from 1 to 20',
    ],
    [
      'two strategies',
      swap('    canary:', '    rolling: {}\n    canary:'),
      'spec.strategy: found canary and rolling; allowed: exactly one of canary and rolling',
    ],
    ['no strategy', swap('rolling: {}', '{}', ROLLING), 'spec.strategy: found no strategy'],
    [
      'surge and unavailable both 0',
      swap('rolling: {}', 'rolling: { maxSurge: 0, maxUnavailable: 0% }', ROLLING),
      'maxUnavailable: is 0, as is maxSurge, so no pod could ever be replaced',
    ],
    [
      'a quoted surge',
      swap('rolling: {}', 'rolling: { maxSurge: "1" }', ROLLING),
      'maxSurge: found "1"; allowed: a number of pods such as 1, or a share from 0% to 100% such as 25%; write 1 without quotes, or 1%',
    ],
    ['a negative surge', swap('rolling: {}', 'rolling: { maxSurge: -1 }', ROLLING), 'maxSurge: found -1'],
    [
      'shares that fall',
      swap('rolling: {}', 'rolling: { pauseAt: [50%, 25%] }', ROLLING),
      'pauseAt[1]: found 25%; allowed: more than the 50% before it',
    ],
    [
      'a share of 100 %',
      swap('rolling: {}', 'rolling: { pauseAt: [100%] }', ROLLING),
      'pauseAt[0]: found "100%"; allowed: a share from 1% to 99%',
    ],
    [
      'a share without %',
      swap('rolling: {}', 'rolling: { pauseAt: [25] }', ROLLING),
      'pauseAt[0]: found 25; allowed: a share from 1% to 99%, such as 25%; write 25%',
    ],
    [
      'yes for true',
      swap('pods: true', 'pods: yes'),
      'spec.guards.pods: found "yes"; allowed: true, false, or a mapping with readyWithin and restarts; write true, without quotes',
    ],
    [
      'a wrong field inside pods',
      swap('pods: true', 'pods: { readyWithn: 5m }'),
      'spec.guards.pods.readyWithn: unknown field; did you mean readyWithin?',
    ],
    [
      'alerts: true',
      swap('alerts: { match: { severity: [warning, critical] } }', 'alerts: true'),
      'spec.guards.alerts: found true; allowed: a mapping with match, or false for no alerts',
    ],
    [
      'alerts left blank',
      swap('alerts: { match: { severity: [warning, critical] } }', 'alerts:'),
      'spec.guards.alerts: found nothing (null)',
    ],
    [
      'a number as a label value',
      swap('[warning, critical]', '[warning, 1]'),
      'match.severity[1]: found 1; allowed: a label value in text, up to 256 characters; put it in quotes: "1"',
    ],
    [
      'an impossible label name',
      swap('{ severity:', '{ 0severity:'),
      'spec.guards.alerts.match: "0severity" is not allowed as a name here',
    ],
    [
      'an unknown field',
      swap('strategy:', 'stratgy:'),
      'release.yaml:7:3: spec.stratgy: unknown field; did you mean strategy?',
    ],
    [
      'a field like nothing known',
      swap('  after:', '  colour: red\n  after:'),
      'spec.colour: unknown field; known here: image, images, reason, strategy, guards, after',
    ],
    [
      'no image',
      swap('  image: ecommerce/product-service:v1.1.0      # or images: { container: image }\n', ''),
      'spec: found neither image nor images; needed: exactly one of them',
    ],
    [
      'image and images',
      swap('  reason:', '  images: { web: "a:1" }\n  reason:'),
      'spec.images: found image and images; needed: exactly one of them',
    ],
    [
      'an image with a scheme',
      swap('ecommerce/product-service:v1.1.0', 'https://shop/app:v1'),
      'spec.image: found "https://shop/app:v1"; allowed: an image reference such as ecommerce/product-service:v1.1.0 or app@sha256:...; leave out the scheme',
    ],
    [
      'an image in capitals',
      swap('ecommerce/product-service:v1.1.0', 'Shop/App:v1'),
      'repository names are lower case',
    ],
    [
      'no reason',
      swap('  reason: cheaper search\n', ''),
      'spec.reason: missing; needed: a sentence of up to 500 characters that says why',
    ],
    [
      'a reason that is a number',
      swap('cheaper search', '12'),
      'spec.reason: found 12; allowed: a sentence of up to 500 characters that says why; put it in quotes: "12"',
    ],
    [
      'a namespace in capitals',
      swap('namespace: ecommerce', 'namespace: Ecommerce'),
      'metadata.namespace: found "Ecommerce"; allowed: a namespace: up to 63 lower-case letters',
    ],
    ['another kind', swap('kind: Release', 'kind: Deployment'), 'kind: found "Deployment"; allowed: Release'],
    [
      'another version',
      swap('slipway/v1', 'slipway/v2'),
      'apiVersion: found "slipway/v2"; allowed: slipway/v1',
    ],
  ])('%s', (_, text, message) => {
    const said = complaint(text);
    expect(said).toContain(message);
    expect(said.split('\n')).toHaveLength(1);
  });

  test('every problem is told at once, in the order of the file, each with its line', () => {
    const text = swap(
      'pods: true',
      'pods: maybe',
      swap('bake: 30s', 'bake: 30', swap('weight: 25', 'weight: "25"')),
    );
    const [first, ...problems] = complaint(text).split('\n');
    expect(first).toBe('release.yaml has 3 problems:');
    expect(problems.map((line) => /^ {2}release\.yaml:(\d+):/.exec(line)?.[1])).toEqual(['10', '11', '17']);
  });

  test('a text of any length never makes an error of any length', () => {
    expect(complaint(swap('name: half', `name: ${'x'.repeat(10_000)}`)).length).toBeLessThan(400);
    const many = swap('        - weight: 25\n', '        - weight: no\n'.repeat(45));
    expect(complaint(many).split('\n').length).toBeLessThan(25);
  });
});

describe('a text that is no release at all', () => {
  test.each<[string, string, string]>([
    ['nothing', '', 'release.yaml: is empty'],
    ['a comment', '# later\n', 'release.yaml: is empty'],
    ['an empty document', '---\n', 'release.yaml: is empty'],
    [
      'a word',
      'hello',
      'release.yaml:1:1: found "hello"; allowed: a mapping with apiVersion, kind, metadata and spec',
    ],
    ['a list', '[1]', 'release.yaml:1:1: found a list; allowed: a mapping'],
    ['two documents', `${WHOLE}---\n${WHOLE}`, 'release.yaml:20:1: found 2 documents; allowed: one'],
    [
      'a field given twice',
      swap('kind: Release', 'kind: Release\nkind: Release'),
      'release.yaml:3:1: kind is given twice',
    ],
    [
      'a tab',
      swap('  reason', '\treason'),
      'release.yaml:6:1: not valid YAML: a tab is used for indentation; use spaces',
    ],
    ['an open quote', swap('cheaper search', '"cheaper search'), 'not valid YAML: Missing closing "quote'],
    [
      'a tag of a programming language',
      swap('reason: cheaper', 'reason: !!js/function cheaper'),
      'release.yaml:6:11: not valid YAML: Unresolved tag',
    ],
    [
      'a poisoned name',
      swap('spec:', '__proto__: { spec: 1 }\nspec:'),
      'release.yaml:4:1: __proto__ is not allowed as a field name',
    ],
    [
      'an alias of nothing',
      swap('cheaper search', '*why'),
      'release.yaml:6:11: no anchor &why stands before the alias *why',
    ],
    ['only separators', '---\n---\n', 'release.yaml: is empty'],
    ['an alias of itself', 'a: &a [*a]', 'the alias *a contains itself'],
    ['a billion laughs', laughs(), 'its aliases expand too often; allowed: 100 times'],
    ['a novel', `# ${'x'.repeat(300_000)}`, 'release.yaml: is longer than 256 KiB'],
  ])('%s is refused in one line', (_, text, message) => {
    const said = complaint(text);
    expect(said).toContain(message);
    expect(said.split('\n')).toHaveLength(1);
  });

  function laughs(): string {
    const nine = (name: string) => `[${Array.from({ length: 9 }, () => `*${name}`).join(',')}]`;
    return `a: &a [lol]\nb: &b ${nine('a')}\nc: &c ${nine('b')}\nd: &d ${nine('c')}\ne: ${nine('d')}\n`;
  }
});

describe('the JSON Schema', () => {
  test('names every field, says what it is for, and allows no other', () => {
    const schema = releaseJsonSchema();
    const objects = objectsOf(schema).filter(({ properties }) => properties !== undefined);
    expect(objects.length).toBeGreaterThan(8);
    for (const each of objects) expect(each).toMatchObject({ additionalProperties: false });
    expect(schema).toMatchObject({ required: ['apiVersion', 'kind', 'metadata', 'spec'] });
    const spec = (
      schema['properties'] as Record<string, { properties: Record<string, { description?: string }> }>
    )['spec'];
    for (const [name, field] of Object.entries(spec?.properties ?? {}))
      expect(field.description, name).toBeTruthy();
  });

  test('does not require what has a default', () => {
    const spec = (releaseJsonSchema()['properties'] as Record<string, { required: string[] }>)['spec'];
    expect(spec?.required).toEqual(['reason', 'strategy']);
  });

  function objectsOf(value: unknown): Record<string, unknown>[] {
    if (typeof value !== 'object' || value === null) return [];
    const own = 'type' in value && value.type === 'object' ? [value as Record<string, unknown>] : [];
    return [...own, ...Object.values(value).flatMap(objectsOf)];
  }
});
