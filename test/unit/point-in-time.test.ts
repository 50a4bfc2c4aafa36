/** Which moments can be reached, from what, and which slices may go; for any set of backups and slices. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  compareMoments,
  type Moment,
  momentText,
  parseMoment,
} from '../../src/domain/point-in-time/moment.ts';
import {
  type Base,
  planRecovery,
  reachableRanges,
  type Stretch,
} from '../../src/domain/point-in-time/reach.ts';
import { decideSlices } from '../../src/domain/point-in-time/slice-retention.ts';

const at = (t: number): Moment => ({ t, i: 1 });
const base = (t: number): Base => ({ id: `dump-${t}`, at: at(t) });
const slice = (from: number, to: number, chain = 1): Stretch => ({
  id: `${chain}:${from}-${to}`,
  chain,
  from: at(from),
  to: at(to),
});
const clocks = (time = 10_000_000) => [{ name: 'the worker', time }];
const path = (bases: Base[], slices: Stretch[], target: number) => {
  const found = planRecovery(bases, slices, at(target));
  return typeof found === 'string' ? found : [found.base.id, ...found.slices.map(({ id }) => id)];
};

describe('a time on the command line', () => {
  test('is a time of the clock with its zone, meaning the beginning of its second, or a cluster timestamp', () => {
    expect(parseMoment('2026-11-23T02:00:00Z')).toEqual({ t: Date.UTC(2026, 10, 23, 2) / 1_000, i: 0 });
    expect(parseMoment('2026-11-23T03:00:00+01:00')).toEqual(parseMoment('2026-11-23T02:00:00.000Z'));
    expect(parseMoment('1795436094,38')).toEqual({ t: 1_795_436_094, i: 38 });
  });

  test.each([
    '',
    'yesterday',
    '2026-11-23T02:00:00',
    '2026-11-23T02:00:00.5Z',
    '2026-13-01T00:00:00Z',
    '1795436094,',
    '1795436094,99999999999',
    '9999999999,1',
    '-5,1',
  ])('%j is refused', (text) => expect(parseMoment(text)).toBeUndefined());

  test('survives being written down', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1e8, max: 0xffffffff }),
        fc.integer({ min: 0, max: 0xffffffff }),
        (t, i) => {
          expect(parseMoment(momentText({ t, i }))).toEqual({ t, i });
        },
      ),
    );
  });
});

describe('the way to a moment', () => {
  const slices = [slice(10, 20), slice(20, 30), slice(30, 40)];

  test('leads from the newest backup before it, through slices that follow each other', () => {
    expect(path([base(12), base(25)], slices, 35)).toEqual(['dump-25', '1:20-30', '1:30-40']);
    expect(path([base(12), base(25)], slices, 24)).toEqual(['dump-12', '1:10-20', '1:20-30']);
    expect(path([base(12)], slices, 12)).toEqual(['dump-12']);
  });

  test('is refused with what can be reached instead', () => {
    expect(path([base(12)], slices, 41)).toMatch(
      /^1970\S+ \(41,1\) cannot be reached: the slices do not reach so far yet; reachable is 1970-01-01T00:00:12Z to 1970-01-01T00:00:40Z; the newest backup before it is dump-12 of 1970-01-01T00:00:12Z$/,
    );
    expect(path([base(12)], slices, 11)).toMatch(/there is no backup of that time or before; reachable is/);
    expect(path([], slices, 25)).toMatch(/no moment can be: no backup is followed by slices/);
    expect(path([base(12)], [slice(10, 20), slice(30, 40)], 25)).toMatch(/so far yet/);
    expect(path([base(12), base(33)], [slice(10, 20), slice(30, 40)], 25)).toMatch(
      /no slices lead to it from a backup; reachable is 1970-01-01T00:00:12Z to 1970-01-01T00:00:20Z, 1970-01-01T00:00:33Z to 1970-01-01T00:00:40Z/,
    );
  });

  test('never leads over the seam of two chains', () => {
    const seam = [slice(10, 20, 1), slice(20, 30, 2)];
    expect(path([base(12)], seam, 25)).toMatch(/cannot be reached/);
    expect(path([base(20)], seam, 25)).toEqual(['dump-20', '2:20-30']);
  });

  test('is refused where two histories lead on from one moment, and another backup tells them apart', () => {
    const histories = [slice(10, 40, 1), slice(20, 50, 2)];
    expect(path([base(25)], histories, 30)).toMatch(/cannot be reached/);
    expect(path([base(12), base(25)], histories, 30)).toEqual(['dump-12', '1:10-40']);
    expect(path([base(25)], histories, 45)).toEqual(['dump-25', '2:20-50']);
  });

  test('is not led astray by slices that were stored twice', () => {
    const twice = [slice(10, 20), slice(10, 24), slice(20, 22), slice(24, 30), slice(20, 40)];
    expect(path([base(12)], twice, 29)).toEqual(['dump-12', '1:10-24', '1:20-40']);
  });

  const history = fc
    .record({
      cuts: fc.uniqueArray(fc.integer({ min: 1, max: 200 }), { minLength: 2, maxLength: 30 }),
      lost: fc.array(fc.nat(30), { maxLength: 3 }),
      twice: fc.array(fc.tuple(fc.nat(30), fc.nat(30)), { maxLength: 4 }),
      seam: fc.integer({ min: 1, max: 260 }),
      bases: fc.uniqueArray(fc.integer({ min: 1, max: 200 }), { maxLength: 6 }),
    })
    .map(({ cuts, lost, twice, seam, bases }) => {
      const ends = [...cuts].sort((a, b) => a - b);
      const whole = ends.slice(1).map((to, i) => slice(ends[i] ?? 0, to, to > seam ? 2 : 1));
      const kept = whole.filter((_, i) => !lost.includes(i));
      const more = twice.flatMap(([from, to]) => {
        const [a, b] = [kept[Math.min(from, to)], kept[Math.max(from, to)]];
        return a &&
          b &&
          a.chain === b.chain &&
          whole.indexOf(b) - whole.indexOf(a) === kept.indexOf(b) - kept.indexOf(a)
          ? [slice(a.from.t, b.to.t, a.chain)]
          : [];
      });
      return { bases: bases.map(base), slices: [...kept, ...more] };
    });

  /** Whether every moment after `from` until `to` is in slices of one chain: by trying all of them. */
  const covered = (slices: Stretch[], from: number, to: number) =>
    [1, 2].some((chain) => {
      const own = slices.filter((each) => each.chain === chain);
      const holds = own.some((each) => each.from.t <= from && each.to.t >= from);
      for (let t = from + 1; t <= to; t++)
        if (!own.some((each) => each.from.t < t && each.to.t >= t)) return false;
      return holds;
    });

  test('is there exactly when every moment from some backup on is in slices of one chain, and holds all of them', () => {
    fc.assert(
      fc.property(history, fc.integer({ min: 1, max: 210 }), ({ bases, slices }, target) => {
        const found = planRecovery(bases, slices, at(target));
        const possible = bases.filter(
          ({ at: { t } }) => t === target || (t < target && covered(slices, t, target)),
        );
        if (typeof found === 'string') {
          expect(possible).toEqual([]);
          return;
        }
        expect(found.base.at.t).toBe(Math.max(...possible.map(({ at: { t } }) => t)));
        expect(found.base.at.t === target || covered(found.slices, found.base.at.t, target)).toBe(true);
        // None of them could be left out at the end, and each leads farther.
        for (const [i, each] of found.slices.entries()) {
          const before = found.slices[i - 1];
          if (before) expect(compareMoments(each.to, before.to)).toBeGreaterThan(0);
          if (before) expect(compareMoments(before.to, at(target))).toBeLessThan(0);
        }
      }),
      { numRuns: 1_000 },
    );
  });

  test('exists for exactly the moments that the reachable ranges name', () => {
    fc.assert(
      fc.property(history, fc.integer({ min: 1, max: 210 }), ({ bases, slices }, target) => {
        const ranges = reachableRanges(bases, slices);
        const named = ranges.some(({ from, to }) => from.t <= target && target <= to.t);
        const alone = bases.some(({ at: { t } }) => t === target);
        expect(typeof planRecovery(bases, slices, at(target)) !== 'string').toBe(named || alone);
      }),
      { numRuns: 1_000 },
    );
  });

  test('stays possible, to every moment after the line, when retention has deleted what it may', () => {
    fc.assert(
      fc.property(
        history,
        fc.option(fc.integer({ min: 0, max: 150 })),
        fc.integer({ min: 1, max: 210 }),
        ({ bases, slices }, keepFor, target) => {
          const keepForMs = keepFor === null ? null : keepFor * 1_000;
          const { delete: doomed, kept } = decideSlices({ bases, slices, keepForMs, clocks: clocks() });
          const left = slices.filter(({ id }) => !doomed.includes(id));
          expect(left).toHaveLength(kept);
          const newest = Math.max(...slices.map(({ to }) => to.t), 0);
          if (keepFor !== null && target < newest - keepFor) return;
          const before = planRecovery(bases, slices, at(target));
          if (typeof before === 'string') return;
          expect(planRecovery(bases, left, at(target))).toEqual(before);
        },
      ),
      { numRuns: 1_000 },
    );
  });
});

describe('the retention of slices', () => {
  const slices = [slice(10, 20), slice(20, 30), slice(30, 40), slice(40, 50)];
  const decide = (bases: Base[], keepFor: number | null = null, time?: number) =>
    decideSlices({
      bases,
      slices,
      keepForMs: keepFor === null ? null : keepFor * 1_000,
      clocks: clocks(time),
    });

  test('deletes what lies before the oldest backup that stays', () => {
    expect(decide([base(33), base(45)])).toMatchObject({ delete: ['1:10-20', '1:20-30'], kept: 2 });
    expect(decide([base(33)]).reason).toContain('the first is dump-33');
  });

  test('keeps the slice that holds the moment of the backup itself, at its very end too', () => {
    expect(decide([base(30)]).delete).toEqual(['1:10-20']);
  });

  test('reaches back as far as it should, from the backup at or before that', () => {
    expect(decide([base(12), base(33), base(45)], 10).delete).toEqual(['1:10-20', '1:20-30']);
    expect(decide([base(12), base(33), base(45)], 20).delete).toEqual([]);
    expect(decide([base(45)], 30).delete).toEqual(['1:10-20', '1:20-30', '1:30-40']);
  });

  test('deletes nothing without a backup, when clocks disagree, or when something is dated in the future', () => {
    expect(decide([])).toMatchObject({
      delete: [],
      reason: 'there is no verified backup, so every slice stays',
    });
    expect(decide([base(33)], null, -3_600_000).delete).toEqual([]);
    const jumped = [...clocks(0), { name: 'MongoDB', time: 9e9 }];
    expect(decideSlices({ bases: [base(33)], slices, keepForMs: null, clocks: jumped }).reason).toMatch(
      /clocks of/,
    );
    expect(decide([base(9_999_999)]).delete).toEqual([]);
  });
});
