import { describe, expect, test } from 'vitest';
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
    expect(page).toContain('**If you do nothing:** at 2026-11-23 02:00:00 it ends and nothing is touched.');
    restore.finish('rejected', 'bob rejected it', NOW);
    expect(restoreDetails(restore.status())).not.toContain('YOUR NAME');
  });
});
