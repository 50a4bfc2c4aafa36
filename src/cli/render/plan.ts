/** What a dry run found: the plan with real numbers, and everything preflight has to say. */
import type { Colors } from 'picocolors/types.js';
import { describeStep } from '../../domain/release/plan.ts';
import type { ReleaseStatus } from '../../domain/release/types.ts';
import { renderFinding } from './status.ts';
import { count, plain, shortImage, table } from './text.ts';

export function renderPlan(status: ReleaseStatus, colors: Colors): string[] {
  const { plan, findings, namespace, workload, stable, image } = status;
  const from = stable.image === '' ? '' : `${shortImage(stable.image)} -> `;
  const replicas = plan ? `, ${count(plan.replicas, 'replica')}` : '';
  const lines = [
    `Dry run: ${colors.bold(`${namespace}/${workload}`)} ${from}${shortImage(image)}${replicas}`,
  ];
  if (plan) {
    lines.push('', ...table(plan.steps.map((step, i) => [`  ${i + 1}`, describeStep(step)])));
    lines.push(...plan.notes.map((note) => colors.dim(`  ${plain(note)}`)));
  }
  const order = { error: 0, warning: 1, info: 2 };
  const sorted = findings.toSorted((a, b) => order[a.level] - order[b.level]);
  if (sorted.length > 0) lines.push('', ...sorted.map((finding) => renderFinding(finding, colors)));
  const errors = findings.filter(({ level }) => level === 'error').length;
  if (errors > 0)
    lines.push('', colors.red(`Preflight would refuse this release: ${count(errors, 'error')}.`));
  else if (status.outcome === 'failed')
    lines.push('', colors.red(`Preflight failed: ${plain(status.reason ?? 'no reason given')}`));
  else lines.push('', colors.green('Preflight would let this release start. Nothing was touched.'));
  return lines;
}
