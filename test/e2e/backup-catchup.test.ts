import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { BackupLab } from './backup.support.ts';
import { eventually } from './support/eventually.ts';

// Temporal's schedules count in minutes, so an outage that misses two runs lasts as long: only when asked for.
test.skipIf(!process.env['SLIPWAY_SLOW_TESTS'])(
  'after an outage that missed two runs exactly one is made up for, the last, under its planned time',
  async () => {
    const lab = await BackupLab.open();
    try {
      await lab.mongo.use((client) => client.db('shop').collection('orders').insertOne({ n: 1 }));
      const policy = lab.policy('minutely');
      policy.spec.schedule = { cron: '* * * * *', timezone: 'UTC' };
      await lab.client.backups.apply(policy);
      const first = await eventually(
        'the first run',
        async () => (await lab.client.backups.describe('minutely')).recent[0],
        75_000,
      );
      // A scheduler that is killed in the middle of a run takes a minute to notice, longer than this schedule's window.
      await lab.client.backups.follow({ id: first.id, run: null }, { timeoutMs: 20_000, pollMs: 200 });
      await delay(5_000);
      await lab.temporal.kill();
      const planned = Date.parse(first.at) + 2 * 60_000;
      // Of a run a minute only the last 59 s are made up for; the server needs some of them to find its feet.
      await delay(planned + 2_000 - Date.now());
      await lab.temporal.up();
      const recent = await eventually('the run made up for', async () => {
        const { recent: found } = await lab.client.backups.describe('minutely');
        return found.length > 1 && found;
      });
      expect(recent.map(({ at }) => Date.parse(at))).toEqual([planned, Date.parse(first.at)]);
      const { missedCatchup } = await lab.client.backups.describe('minutely');
      expect(missedCatchup).toBe(1);
    } finally {
      await lab.close();
    }
  },
);
