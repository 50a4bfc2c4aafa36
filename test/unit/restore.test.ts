import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { renamer, RestorePlanError, selector } from '../../src/mongodb/restore/plan.ts';
import { parseManifest } from '../../src/specs/manifest.ts';

describe('renaming namespaces', () => {
  it('follows the first pattern that matches, star by star', () => {
    const rename = renamer({
      nsFrom: ['shop.orders', 'shop.*', '*.log_*'],
      nsTo: ['archive.orders', 'shop2.*', 'logs.*_*'],
    });
    expect(['shop.orders', 'shop.a.b', 'web.log_1', 'other.x'].map(rename)).toEqual([
      'archive.orders',
      'shop2.a.b',
      'logs.web_1',
      'other.x',
    ]);
  });

  it('without patterns changes no name', () => {
    fc.assert(fc.property(fc.string(), (name) => renamer({})(name) === name));
  });

  it('takes special characters as themselves', () => {
    const name = fc.string({ minLength: 1 }).filter((text) => !text.includes('*'));
    fc.assert(fc.property(name, name, (from, to) => renamer({ nsFrom: [from], nsTo: [to] })(from) === to));
  });

  it('refuses patterns that do not fit together, and shows them', () => {
    expect(() => renamer({ nsFrom: ['a.*'], nsTo: [] })).toThrow(RestorePlanError);
    expect(() => renamer({ nsFrom: ['a.*'], nsTo: ['b.x'] })).toThrow(
      'nsFrom "a.*" and nsTo "b.x" need the same number of *',
    );
  });

  it('selects by include and exclude', () => {
    const takes = selector({ include: ['shop.*'], exclude: ['*.tmp'] });
    expect(['shop.a', 'shop.tmp', 'x.a'].map(takes)).toEqual([true, false, false]);
  });
});

describe('a manifest', () => {
  const valid = {
    kind: 'slipway-backup',
    version: 1,
    id: 'dump-20261123-020000',
    policy: 'shop',
    owner: 'backup.shop/run',
    archive: {
      name: 'dump-20261123-020000.gz',
      size: 5,
      sha256: 'a'.repeat(64),
      compression: 'gzip',
      preludeSha256: 'b'.repeat(64),
    },
    source: { serverVersion: '6.0.5', topology: 'replicaSet' },
    consistency: { kind: 'snapshot', clusterTime: { t: 1, i: 1 }, except: [] },
    namespaces: [],
    documents: 0,
    bytes: 0,
    warnings: [],
    startedAt: '2026-11-23T02:00:00.000Z',
    storedAt: '2026-11-23T02:00:01.000Z',
    verifiedAt: '2026-11-23T02:00:02.000Z',
    toolVersion: '1',
  };

  it('is read back as it was written', () => {
    expect(parseManifest(JSON.stringify(valid))).toEqual(valid);
  });

  it('with a wrong, missing or unknown field is refused, and the field is named', () => {
    const wrong: [object, RegExp][] = [
      [{ ...valid, id: '../../etc' }, /: id: /],
      [{ ...valid, archive: { ...valid.archive, sha256: 'xyz' } }, /archive\.sha256: 64 hexadecimal digits/],
      [{ ...valid, archive: { ...valid.archive, name: 'a/b.gz' } }, /archive\.name/],
      [{ ...valid, verifiedAt: undefined }, /verifiedAt/],
      [{ ...valid, uri: 'mongodb://user:password@host' }, /uri/],
      [{ ...valid, consistency: { kind: 'maybe' } }, /consistency/],
    ];
    for (const [manifest, message] of wrong)
      expect(() => parseManifest(JSON.stringify(manifest))).toThrow(message);
    expect(() => parseManifest('{')).toThrow('the manifest is not JSON');
  });
});
