/** The page of a release in the Temporal UI, as markdown. */
import { describe, expect, test } from 'vitest';
import type { AlertNotice, ReleaseStatus } from '../../src/domain/release/types.ts';
import { currentDetails } from '../../src/domain/release/view.ts';
import { at, ended, releaseStatus } from './support/cli.ts';

const page = (changes: Partial<ReleaseStatus> = {}): string => currentDetails(releaseStatus(changes));

const alert: AlertNotice = {
  fingerprint: 'f',
  status: 'firing',
  labels: { alertname: 'HighErrorRate' },
  annotations: { summary: '12% *errors*' },
  startsAt: at(30),
};
const problem = { pod: 'web-bbb-1', container: 'web', reason: 'CrashLoopBackOff', message: 'no config' };

describe('the page of a release', () => {
  test('at a gate: where it is, how it is, the JSON to paste, what happens by itself, steps, story', () => {
    expect(page()).toBe(`### Waiting for approval, step 2 of 3: gate half \\(1 approval\\)

- **Healthy:** all 5 pods are ready, no alert, no pod problem
- stable: 4 of 4 pods ready, \`shop/web:v1\` (aaa)
- canary: 1 of 1 pod ready, \`shop/web:v2\` (bbb)

**Wanted from you:** 1 approval of gate \`half\`. *More Actions* › *Send an Update* › \`approve\` or \`reject\`, with this as Data; R then shows what became of it:

\`\`\`json
{
  "gate": "half",
  "revision": "bbb",
  "by": "YOUR NAME",
  "why": "YOUR REASON"
}
\`\`\`

**If you do nothing:** at 03:57:00 UTC on 23 Nov the gate expires and the release is rolled back.

1. weight 25 % \\(1 new, 4 old\\): done
2. **gate half \\(1 approval\\): now**
3. promote to 100 %

25 % is 20 % with 4 pods.

- 02:56:00 UTC on 23 Nov: weight 25 % \\(1 new, 4 old\\)
- 02:57:00 UTC on 23 Nov: gate half \\(1 approval\\)`);
  });

  test('at 100 %: what became of every step, also when a person skipped some', () => {
    const at100 = { phase: 'guarding' as const, step: null, gate: null };
    expect(page(at100)).toContain(
      '1. weight 25 % \\(1 new, 4 old\\): done\n2. gate half \\(1 approval\\): done',
    );
    expect(page({ ...at100, skippedFrom: 2 })).toContain(
      '2. gate half \\(1 approval\\): skipped\n3. promote to 100 %: done',
    );
  });

  test('at a gate that one of two has approved: who, why, and how many more', () => {
    const gate = {
      name: 'half',
      revision: 'bbb',
      approvals: [{ by: 'ann', why: 'fine', at: at(10) }],
      needed: 2,
      fourEyes: true,
      expires: at(-60),
    };
    expect(page({ gate })).toContain(
      '1 more approval of gate `half`, at least one by somebody other than ci, after ann (fine).',
    );
  });

  test('paused: by whom, why, and the two ways on', () => {
    const paused = { by: 'bob', why: 'lunch', since: at(60) };
    const text = page({ phase: 'paused', paused });
    expect(text).toContain('bob paused this at 02:59:00 UTC on 23 Nov (lunch)');
    expect(text).toContain('› `resume` or `abort`, with this as Data');
    expect(text).toContain('{\n  "by": "YOUR NAME",\n  "why": "YOUR REASON"\n}');
    expect(text).toContain('**If you do nothing:** it stays paused');
  });

  test('a pod that is not ready, a pod problem or an alert is never called healthy', () => {
    const canary = { hash: 'bbb', pods: 2, ready: 1, image: 'shop/web:v2', weight: 20 };
    expect(page({ canary })).toContain('- **Not all healthy yet:** 1 of 6 pods not ready');
    for (const trouble of [{ problems: [problem] }, { alerts: [alert] }]) {
      expect(page(trouble)).toContain('- **Not healthy:**\n- ');
      expect(page(trouble)).not.toContain('**Healthy');
    }
    expect(page({ problems: [problem] })).toContain('- web\\-bbb\\-1: CrashLoopBackOff no config\n');
  });

  test('hauled back: the reason first, and what spoke against it', () => {
    const text = currentDetails({ ...ended('rolled-back', 'alert HighErrorRate fired'), alerts: [alert] });
    expect(text).toMatch(/^### Rolled back\n\nalert HighErrorRate fired\n\n/);
    expect(text).toContain('- **What spoke against it:**\n- alert HighErrorRate: 12% \\*errors\\*\n');
    expect(text).toContain('- canary: no pods, `shop/web:v2` (bbb)');
    expect(text).not.toContain('Wanted from you');
  });

  test('failed: what a person has to do now', () => {
    expect(currentDetails(ended('failed', 'stable never came back'))).toContain(
      'slipway restore deployment shop/web\n',
    );
  });

  test('refused by preflight: says that nothing was touched, and asks for nothing', () => {
    const refused: ReleaseStatus = {
      ...ended('failed', 'preflight refused: the quota is too small'),
      canary: { hash: null, pods: 0, ready: 0, image: 'shop/web:v2', weight: 0 },
      findings: [{ check: 'quota', level: 'error', message: 'the quota is too small', fix: 'raise it' }],
    };
    const text = currentDetails(refused);
    expect(text).toMatch(/^### Refused by preflight: nothing was touched\n/);
    expect(text).toContain('- error: the quota is too small; raise it');
    // Nobody has looked at the pods, so nothing is claimed of them.
    expect(text).not.toMatch(/slipway restore|Healthy|pods ready/);
  });

  test('before anything is known it claims nothing about health', () => {
    const nothing = { hash: null, pods: 0, ready: 0, image: '' };
    const early = { plan: null, step: null, gate: null, timeline: [], deadline: null, next: null };
    expect(page({ phase: 'preflight', ...early, stable: nothing, canary: { ...nothing, weight: 0 } })).toBe(
      '### Checking before anything is touched',
    );
  });

  test('an empty line stands before every list: the UI shows the marks of a list after text', () => {
    const full = page({ alerts: [alert], problems: [problem], paused: null });
    const bare = full.split('\n').filter((line, i, all) => {
      const before = all[i - 1] ?? '';
      return /^(- |\d+\. )/.test(line) && before !== '' && !/^(- |\d+\. )/.test(before);
    });
    expect(bare).toEqual([]);
  });
});
