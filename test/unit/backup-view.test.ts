import { describe, expect, test } from 'vitest';
import { approvalLines, progressText } from '../../src/cli/render/backup.ts';
import { plannedDocuments, plannedTarget } from '../../src/domain/backup/restore-view.ts';
import { BackupRun } from '../../src/domain/backup/run.ts';
import { backupDetails, restoreDetails } from '../../src/domain/backup/view.ts';
import { RestoreRun } from '../../src/domain/backup/restore-run.ts';
import { restoreOf } from '../restore-input.ts';
import { planOf, policyNamed, summaryOf } from '../workflows/backup.fakes.ts';

const NOW = Date.parse('2026-11-23T01:00:00Z');

describe('the page of a backup', () => {
  const run = () =>
    new BackupRun(
      {
        policy: policyNamed('shop', '  throttle: { mbPerSecond: 20 }'),
        trigger: 'manual',
        starter: 'ann',
        locked: false,
      },
      { id: 'backup.shop-1', run: 'r', scheduledAt: NOW },
      NOW,
    );

  test('says where it is, that nothing was ever verified, and how to change its speed', () => {
    const backup = run();
    backup.enter('dumping', 'dumps', NOW);
    const page = backupDetails(backup.status());
    expect(page).toContain('### Dumping and proving');
    expect(page).toContain('Newest verified backup: **none**');
    expect(page).toContain('20 MB/s');
    expect(page).toContain('{"mbPerSecond":50,"by":"YOUR NAME"}');
  });

  test('shows what was proven, and problems first; a text of others is no markup', () => {
    const backup = run();
    backup.proven(summaryOf('dump-20261123-010000'), NOW);
    backup.problem('the drill failed: <b>*x*</b> | y', NOW);
    backup.finish('verified', null, NOW);
    const page = backupDetails(backup.status());
    expect(page.split('\n')[0]).toBe('### Verified, with problems');
    expect(page).toContain('dump\\-20261123\\-010000.gz');
    expect(page).not.toContain('<b>');
    expect(page).not.toContain('| y |');
  });
});

describe('a namespace of a plan', () => {
  test('of a time-series counts buckets, so that nobody takes them for measurements that are missing', () => {
    expect(plannedDocuments('timeseries', 27)).toBe('27 buckets');
    expect(plannedTarget('timeseries', 500)).toBe('replaces about 500 measurements');
    expect([plannedDocuments('view', 0), plannedTarget('view', 0)]).toEqual(['-', 'replaces the view']);
    expect([plannedDocuments('collection', 1), plannedTarget('collection', 1)]).toEqual([
      '1',
      'replaces about 1 document',
    ]);
    expect(plannedTarget('collection', null)).toBe('new');
  });
});

describe('a run in a terminal', () => {
  const view = { id: 'restore.shop-1', run: 'r', execution: 'RUNNING', progress: null, retrying: null };

  test('that waits for the source says for whom, and how to end that', () => {
    const waiting = { ...view, status: null, waitsFor: ['backup.other-1'] };
    expect(progressText(waiting)).toBe(
      'waits for backup.other-1; slipway backup watch or cancel backup.other-1',
    );
  });

  test('whose worker was killed says so, and what has no bytes shows none', () => {
    const progress = {
      ...{ stage: 'indexing' as const, bytes: 0, totalBytes: 0, documents: 0, rate: 0 },
      ...{ namespace: '', namespaces: 0, totalNamespaces: 9 },
    };
    const retrying = { attempt: 2, why: 'activity Heartbeat timeout' };
    expect(progressText({ ...view, progress, retrying, status: null, waitsFor: [] })).toBe(
      'indexing; 0 of 9 namespaces (attempt 2, because: its worker died, or hung)',
    );
  });

  test('that waits for an approval shows the plan and the commands that decide', () => {
    const policy = policyNamed('shop');
    const restore = new RestoreRun(
      {
        origin: { policy, backup: { latest: true } },
        target: { uriFrom: policy.spec.source.uriFrom },
        selection: { databases: null, collections: null, rename: [], users: false },
        dryRun: false,
        starter: 'ann',
        approved: false,
        backupBefore: policy,
        approvalExpires: '1h',
      },
      view.id,
      view.run,
      NOW,
    );
    expect(approvalLines({ ...view, status: restore.status(), waitsFor: [] })).toEqual([]);
    restore.planned(planOf(2), NOW);
    restore.ask(NOW + 3_600_000, NOW);
    const lines = approvalLines({ ...view, status: restore.status(), waitsFor: [] });
    expect(lines).toContain('  slipway restore approve restore.shop-1 --why "..."');
    expect(lines.join('\n')).toContain('until 2026-11-23T02:00:00Z, then ends and touches nothing');
    expect(lines.join('\n')).toContain('replaces about 2 documents');
  });
});

describe('the page of a restore that waits', () => {
  test('shows the plan, the Update to paste, and what happens if nobody acts', () => {
    const policy = policyNamed('shop');
    const input = restoreOf(policy, { backupBefore: policy });
    const restore = new RestoreRun(input, 'restore.shop-1', 'r', NOW);
    restore.planned(planOf(2), NOW);
    expect(restore.needsApproval).toBe(true);
    restore.ask(NOW + 3_600_000, NOW);
    const page = restoreDetails(restore.status());
    expect(page).toContain('{"plan":"plan-2","by":"YOUR NAME","why":"YOUR REASON"}');
    expect(page).toContain('about 2 documents');
    expect(page).toMatch(
      /\*\*Wanted from you:\*\* ann asks to replace \*\*.+\*\* on the server of variable MONGODB\\_URI by /,
    );
    expect(page).toContain('A backup by policy shop is taken before.');
    const without = new RestoreRun({ ...input, backupBefore: null }, 'restore.shop-2', 'r', NOW);
    without.planned(planOf(2), NOW);
    without.ask(NOW + 3_600_000, NOW);
    expect(restoreDetails(without.status())).toContain('NO backup of what is there now is taken before.');
    expect(page).toContain(
      '**If you do nothing:** at 2026-11-23 02:00:00 UTC it ends and nothing is touched.',
    );
    restore.finish('rejected', 'bob rejected it', NOW);
    expect(restoreDetails(restore.status())).not.toContain('YOUR NAME');
  });
});
