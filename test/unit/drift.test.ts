/** How a change by another hand reads to whoever has to decide about it. */
import { expect, test } from 'vitest';
import { describeDrift } from '../../src/domain/workload/drift.ts';

const IMAGE = 'spec.template.spec.containers[app].image';
const NOTE = 'spec.template.metadata.annotations[note]';

test.each([
  [IMAGE, 'kubectl-set', 'app:v3', 'app:v2', `kubectl-set changed ${IMAGE} from app:v2 to app:v3`],
  [NOTE, 'kubectl-edit', 'changed', 'as launched', `kubectl-edit changed ${NOTE}`],
  [NOTE, 'kubectl-edit', 'present', 'absent', `kubectl-edit added ${NOTE}`],
  [NOTE, 'unknown', 'absent', 'as launched', `somebody removed ${NOTE}`],
  [
    'spec.minReadySeconds',
    'unknown',
    '0',
    '31536000',
    'somebody changed spec.minReadySeconds from 31536000 to 0',
  ],
])('%s by %s: found %s, expected %s', (field, manager, found, expected, sentence) => {
  expect(describeDrift({ id: 'd', field, manager, found, expected })).toBe(sentence);
});
