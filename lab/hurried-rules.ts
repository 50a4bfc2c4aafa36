// The alert rules of deploy/alerting in the lab's time. `node lab/hurried-rules.ts` writes them to lab/rules/release-demo.yaml.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { REPOSITORY } from './paths.ts';
import { writeWhole } from './state.ts';

export const PRODUCTION_RULES = join(REPOSITORY, 'deploy/alerting/rules/ecommerce.yaml');
export const HURRIED_RULES = join(REPOSITORY, 'lab/rules/release-demo.yaml');

export interface Rule {
  alert?: string;
  record?: string;
  expr: string;
  for?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
}

export interface RuleFile {
  groups: { name: string; interval?: string; rules: Rule[] }[];
}

/** The alerts that need nothing but the requests' own metrics; the lab has no kube-state-metrics. */
const ALERTS = new Set(['HighErrorRate', 'HighPodErrorRate']);
/** Seconds instead of minutes: how far an expression looks back, and the same in the words for people. */
const WINDOWS = { '5m': '15s', '2m': '10s' } as const;
const WORDS = { 'Over 5 minutes': 'Over 15 seconds', 'Over 2 minutes': 'Over 10 seconds' } as const;
/** How long an expression must hold before the alert fires. */
const PATIENCE: Record<string, string> = { '5m': '3s', '30s': '2s' };

const HEAD = `# Made from deploy/alerting/rules/ecommerce.yaml by "node lab/hurried-rules.ts": the same expressions over seconds instead of minutes and
# for every namespace, so that a bad version is caught within about ten seconds. Too nervous for production.
`;

/** @throws RangeError when a rule has a time for which the lab has none. */
export function hurried(production: RuleFile): RuleFile {
  const rules = production.groups
    .flatMap((group) => group.rules)
    .filter((rule) => ALERTS.has(rule.alert ?? ''));
  return { groups: [{ name: 'release-demo', interval: '1s', rules: rules.map(hurry) }] };
}

function hurry(rule: Rule): Rule {
  const { runbook_url: _, ...annotations } = rule.annotations ?? {};
  const patience = PATIENCE[rule.for ?? ''];
  if (patience === undefined)
    throw new RangeError(`${rule.alert}: no time of the lab's for "for: ${rule.for}"`);
  return {
    ...rule,
    expr: everywhere(swap(rule.expr, WINDOWS, (time) => `[${time}]`)),
    for: patience,
    annotations: Object.fromEntries(
      Object.entries(annotations).map(([name, text]) => [name, swap(text, WORDS, (words) => words)]),
    ),
  };
}

function swap(text: string, pairs: Record<string, string>, quote: (part: string) => string): string {
  return Object.entries(pairs).reduce((so, [from, to]) => so.replaceAll(quote(from), quote(to)), text);
}

/** Tests and demos have namespaces of their own. */
function everywhere(expression: string): string {
  return expression.replaceAll('{namespace="ecommerce"}', '').replaceAll('{namespace="ecommerce", ', '{');
}

if (import.meta.main) {
  const rules = hurried(parse(readFileSync(PRODUCTION_RULES, 'utf8')) as RuleFile);
  writeWhole(HURRIED_RULES, `${HEAD}${stringify(rules, { lineWidth: 0 })}`);
}
