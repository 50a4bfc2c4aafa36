import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Candidate, decideRetention, type RetentionInput } from '../../src/domain/backup/retention.ts';
import type { Retention } from '../../src/specs/backup.types.ts';

const DAY = 86_400_000;
const NOW = Date.parse('2026-11-23T03:00:00Z');
const worker = (time = NOW) => [{ name: 'the worker', time }];

function backup(at: string, change: Partial<Candidate> = {}): Candidate {
  const id = `dump-${at.replaceAll(/[-:]/g, '').replace('T', '-').slice(0, 15)}.gz`;
  return { id, policy: 'shop', state: 'verified', at, link: false, ...change };
}

/** One a day at 02:00 UTC, newest first. */
function nightly(count: number, newest = '2026-11-23T02:00:00Z'): Candidate[] {
  return Array.from({ length: count }, (_, i) =>
    backup(new Date(Date.parse(newest) - i * DAY).toISOString()),
  );
}

function decide(change: Partial<RetentionInput>) {
  return decideRetention({
    policy: 'shop',
    rules: { days: 7, keepAtLeast: 3 },
    timezone: 'UTC',
    found: [],
    holds: [],
    clocks: worker(),
    ...change,
  });
}

const kept = (change: Partial<RetentionInput>) =>
  decide(change)
    .filter(({ verdict }) => verdict === 'keep')
    .map(({ id }) => id);
const reasonOf = (change: Partial<RetentionInput>, id: string) =>
  decide(change)
    .find((each) => each.id === id)
    ?.reasons.join('; ');

describe('retention', () => {
  test("the seed's rule keeps the backups of seven days and deletes older ones, each with a reason", () => {
    const verdicts = decide({ found: nightly(10) });
    expect(verdicts.map(({ verdict }) => verdict)).toEqual([...Array(8).fill('keep'), 'delete', 'delete']);
    expect(verdicts[0]?.reasons).toEqual(['the newest verified backup', 'within 7d of the newest']);
    expect(verdicts[8]?.reasons).toEqual(['no rule keeps it; 8d older than the newest']);
  });

  test('when backups stop, nothing more expires', () => {
    const later = worker(NOW + 400 * DAY);
    expect(kept({ found: nightly(8), clocks: later })).toHaveLength(8);
  });

  test('failed and unverified backups never push a good one out', () => {
    const bad = nightly(30).map((each, i) => ({
      ...each,
      state: i % 2 ? ('failed' as const) : ('unverified' as const),
    }));
    const good = nightly(3, '2026-10-01T02:00:00Z');
    expect(kept({ found: [...bad, ...good], rules: { last: 3, keepAtLeast: 1 } })).toEqual(
      expect.arrayContaining(good.map(({ id }) => id)),
    );
  });

  test('an unproven backup goes only when enough proven ones are newer', () => {
    const stale = backup('2026-11-20T02:30:00Z', { state: 'unverified' });
    expect(kept({ found: [...nightly(2), stale] })).toContain(stale.id);
    expect(kept({ found: [...nightly(3), stale] })).not.toContain(stale.id);
  });

  test('the only verified backup stays, however old', () => {
    const only = backup('2019-01-01T02:00:00Z');
    expect(kept({ found: [only], rules: { hourly: 1, keepAtLeast: 1 } })).toEqual([only.id]);
  });

  test('a backup dated in the future neither counts nor goes', () => {
    const future = backup('2036-01-01T02:00:00Z');
    const verdicts = decide({ found: [future, ...nightly(8)] });
    expect(verdicts.every(({ verdict }) => verdict === 'keep')).toBe(true);
    expect(verdicts[0]?.reasons).toEqual(['dated in the future; look at the clocks']);
  });

  test('a worker whose clock jumped ahead deletes nothing', () => {
    const jumped = { name: 'the worker', time: NOW + 3_650 * DAY };
    const found = [backup(new Date(jumped.time).toISOString()), ...nightly(20)];
    const clocks = [jumped, { name: 'Temporal', time: NOW }, { name: 'MongoDB', time: NOW + 100 }];
    const verdicts = decide({ found, clocks });
    expect(verdicts.every(({ verdict }) => verdict === 'keep')).toBe(true);
    expect(verdicts.at(-1)?.reasons[0]).toBe(
      'the clocks of Temporal and the worker are 3650d apart, so nothing is deleted',
    );
  });

  test('files of others, of other policies, links and broken manifests are left alone', () => {
    const old = '2020-01-01T02:00:00Z';
    const found = [
      ...nightly(3),
      backup(old, { id: 'a', policy: null }),
      backup(old, { id: 'b', policy: 'other' }),
      backup(old, { id: 'c', link: true }),
      backup(old, { id: 'd', state: 'unreadable' }),
      backup('yesterday', { id: 'e' }),
      backup(old, { id: 'f' }),
    ];
    const rules = { last: 3, keepAtLeast: 1 };
    expect(decide({ found, rules }).filter(({ verdict }) => verdict === 'delete')).toEqual([
      expect.objectContaining({ id: 'f' }),
    ]);
    expect(reasonOf({ found, rules }, 'b')).toBe('belongs to policy other');
  });

  test('a running restore holds its archive', () => {
    const [, , , old] = nightly(4);
    const holds = [{ id: old?.id ?? '', reason: 'restore of ann' }];
    expect(kept({ found: nightly(4), rules: { last: 1, keepAtLeast: 1 }, holds })).toContain(old?.id);
  });

  test('grandfather, father, son: the newest of each of the last so many days, weeks, months and years', () => {
    const found = nightly(800);
    const ids = kept({ found, rules: { daily: 2, weekly: 3, monthly: 3, yearly: 3, keepAtLeast: 1 } });
    expect(ids.map((id) => id.slice(5, 13))).toEqual([
      '20261123',
      '20261122',
      '20261115',
      '20261031',
      '20260930',
      '20251231',
      '20241231',
    ]);
  });

  test('days are those of the time zone of the policy', () => {
    const found = [backup('2026-11-22T22:30:00Z'), backup('2026-11-22T23:30:00Z')];
    const rules = { daily: 2, keepAtLeast: 1 };
    expect(kept({ found, rules })).toHaveLength(1);
    expect(kept({ found, rules, timezone: 'Europe/Berlin' })).toHaveLength(2);
  });
});

const candidate = fc.record({
  id: fc.integer({ min: 0, max: 10_000 }).map((n) => `dump-${n}.gz`),
  policy: fc.oneof({ weight: 6, arbitrary: fc.constant('shop') }, fc.constantFrom('other', null)),
  state: fc.oneof(
    { weight: 5, arbitrary: fc.constant('verified' as const) },
    fc.constantFrom('unverified' as const, 'failed' as const, 'unreadable' as const),
  ),
  at: fc.oneof(
    {
      weight: 12,
      arbitrary: fc
        .integer({ min: -2_000 * 24, max: 48 })
        .map((h) => new Date(NOW + h * 3_600_000).toISOString()),
    },
    fc.constant('never'),
  ),
  link: fc.oneof({ weight: 8, arbitrary: fc.constant(false) }, fc.constant(true)),
});
const amount = fc.option(fc.integer({ min: 1, max: 20 }), { nil: undefined });
const input: fc.Arbitrary<RetentionInput> = fc
  .record({
    found: fc.uniqueArray(candidate, { selector: ({ id }) => id, maxLength: 60 }),
    rules: fc.record({
      days: amount,
      last: amount,
      hourly: amount,
      daily: amount,
      weekly: amount,
      monthly: amount,
      yearly: amount,
      keepAtLeast: fc.integer({ min: 1, max: 10 }),
    }),
    timezone: fc.constantFrom('UTC', 'Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe'),
    holdEvery: fc.integer({ min: 2, max: 20 }),
  })
  .map(({ found, rules, timezone, holdEvery }) => ({
    policy: 'shop',
    rules: JSON.parse(JSON.stringify(rules)) as Retention,
    timezone,
    found,
    holds: found.filter((_, i) => i % holdEvery === 1).map(({ id }) => ({ id, reason: 'restore' })),
    clocks: worker(),
  }));

const ours = ({ policy, state, at, link }: Candidate) =>
  policy === 'shop' && state === 'verified' && !link && Date.parse(at) <= NOW + 3_600_000;
const deleted = (given: RetentionInput) =>
  new Set(
    decideRetention(given)
      .filter(({ verdict }) => verdict === 'delete')
      .map(({ id }) => id),
  );

describe('retention, whatever it is given', () => {
  test('gives one verdict with a reason for every backup, in any order of the listing', () => {
    fc.assert(
      fc.property(input, (given) => {
        const verdicts = decideRetention(given);
        expect(verdicts.map(({ id }) => id).sort()).toEqual(given.found.map(({ id }) => id).sort());
        expect(
          verdicts.every(({ reasons }) => reasons.length > 0 && reasons.every((text) => text.length > 0)),
        ).toBe(true);
        expect(decideRetention({ ...given, found: given.found.toReversed() })).toEqual(verdicts);
      }),
    );
  });

  test('never deletes the newest verified backup, nor more than leaves keepAtLeast of them', () => {
    fc.assert(
      fc.property(input, (given) => {
        const gone = deleted(given);
        const verified = given.found.filter(ours);
        const newest = Math.max(...verified.map(({ at }) => Date.parse(at)));
        const left = verified.filter(({ id }) => !gone.has(id));
        expect(left.length).toBeGreaterThanOrEqual(Math.min(given.rules.keepAtLeast, verified.length));
        if (verified.length > 0) expect(left.some(({ at }) => Date.parse(at) === newest)).toBe(true);
        else expect(gone.size).toBe(0);
      }),
    );
  });

  test('never deletes what is held, foreign, linked, unreadable, undated or of the future', () => {
    fc.assert(
      fc.property(input, (given) => {
        const gone = deleted(given);
        for (const each of given.found) {
          const future = !(Date.parse(each.at) <= NOW + 3_600_000);
          const held = given.holds.some(({ id }) => id === each.id);
          if (each.policy !== 'shop' || each.link || each.state === 'unreadable' || future || held) {
            expect(gone.has(each.id)).toBe(false);
          }
        }
      }),
    );
  });

  test('judges verified backups as if nothing else were there', () => {
    fc.assert(
      fc.property(input, (given) => {
        const all = deleted(given);
        const alone = deleted({ ...given, found: given.found.filter(ours) });
        for (const { id } of given.found.filter(ours)) expect(all.has(id)).toBe(alone.has(id));
      }),
    );
  });

  test('has nothing more to delete when run again at once or after years', () => {
    fc.assert(
      fc.property(input, fc.integer({ min: 0, max: 5_000 }), (given, days) => {
        const gone = deleted(given);
        const found = given.found.filter(({ id, at }) => !gone.has(id) && Date.parse(at) <= NOW);
        expect(deleted({ ...given, found, holds: given.holds, clocks: worker(NOW) }).size).toBe(0);
        const later = deleted({ ...given, found, clocks: worker(NOW + days * DAY) });
        expect(later.size).toBe(0);
      }),
    );
  });
});
