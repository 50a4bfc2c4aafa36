/** A key that is changed: new backups get the new one, older ones are read with the one that they have. */
import { describe, expect, test } from 'vitest';
import { policyKeys, resolveKey, type SettingsSource } from '../../src/backups/settings.ts';
import { unreadable } from '../../src/backups/verified.ts';
import { changeNotes } from '../../src/domain/backup/policy-view.ts';
import { parseBackupPolicy } from '../../src/specs/backup.ts';
import { decrypt, encrypt, parseKey, WrongKeyError } from '../../src/storage/encryption.ts';

const OLD = '11'.repeat(32);
const NEW = '22'.repeat(32);
const [old, current] = [parseKey(OLD), parseKey(NEW)];
const from = (env: Record<string, string>): SettingsSource => ({ env, kube: null });

const policy = (encryption: string) =>
  parseBackupPolicy(`
apiVersion: slipway/v1
kind: BackupPolicy
metadata: { name: shop }
spec:
  source: { uriFrom: { env: MONGODB_URI } }
  schedule: { at: "02:00" }
  destination: { directory: /backup }
  ${encryption === '' ? '' : `encryption: ${encryption}`}
`);
const rotated = policy('{ keyFrom: { env: NEW }, olderKeys: [{ env: OLD }] }');

describe('the keys of a policy', () => {
  test('are one to write with and all to read with', async () => {
    const env = from({ OLD, NEW });
    expect(await resolveKey(rotated, env)).toEqual(current);
    const keys = await policyKeys(rotated, env);
    expect(keys.find(old.id)).toEqual(old);
    expect(keys.find(current.id)).toEqual(current);
    async function* data() {
      yield Buffer.from('whole');
    }
    for (const key of [old, current]) {
      const parts: Buffer[] = [];
      for await (const part of decrypt(encrypt(data(), key), keys.find)) parts.push(part);
      expect(Buffer.concat(parts).toString()).toBe('whole');
    }
  });

  test('that are missing matter only when they are needed, and are then named by id, with the field and why', async () => {
    const keys = await policyKeys(rotated, from({ NEW }));
    expect(keys).toMatchObject({ complete: false });
    expect(keys.find(current.id)).toEqual(current);
    expect(() => keys.find(old.id)).toThrow(WrongKeyError);
    expect(() => keys.find(old.id)).toThrow(
      `encrypted with key ${old.id}, which is not there (spec.encryption.keyFrom is key ${current.id}; spec.encryption.olderKeys[0]: environment variable OLD of the worker is not set). Say in spec.encryption.olderKeys of policy shop where that key is`,
    );
    const wrong = await policyKeys(rotated, from({ NEW, OLD: 'hunter2' }));
    expect(() => wrong.find(old.id)).toThrow(/olderKeys\[0\]: encryption key: 32 bytes are needed/);
    expect(() => wrong.find(old.id)).not.toThrow(/hunter2/);
    const none = await policyKeys(policy(''), from({}));
    expect(() => none.find(old.id)).toThrow(
      `encrypted with key ${old.id}, which is not there (the policy names no key). Say in spec.encryption.keyFrom`,
    );
  });

  test('are none before a policy names older ones, also in one that was applied when there was no such field', async () => {
    const before = policy('{ keyFrom: { env: NEW } }');
    expect(before.spec.encryption).toEqual({ keyFrom: { env: 'NEW' }, olderKeys: [] });
    delete before.spec.encryption?.olderKeys;
    expect((await policyKeys(before, from({ NEW }))).find(current.id)).toEqual(current);
  });

  test.each([
    ['{ keyFrom: { env: NEW }, olderKeys: { env: OLD } }', 'spec.encryption.olderKeys'],
    ['{ keyFrom: { env: NEW }, olderKeys: [{}] }', 'spec.encryption.olderKeys[0]'],
    ['{ olderKeys: [{ env: OLD }] }', 'spec.encryption.keyFrom'],
  ])('are refused with the field where they are not as they must be: %s', (encryption, field) => {
    expect(() => policy(encryption)).toThrow(field);
  });
});

describe('backups that no key of the policy opens', () => {
  const backup = (id: string, keyId?: string) => ({
    id,
    archive: {
      name: `${id}.gz`,
      size: 1,
      sha256: '',
      preludeSha256: '',
      compression: 'gzip' as const,
      ...(keyId === undefined ? {} : { encryption: { keyId } }),
    },
  });
  const all = [
    backup('dump-3', current.id),
    backup('dump-2', old.id),
    backup('dump-1', old.id),
    backup('dump-0'),
  ];

  test('are told of, from the oldest to the newest, but not where a key could just not be looked up', async () => {
    const without = policy('{ keyFrom: { env: NEW } }');
    expect(unreadable(all, await policyKeys(without, from({ NEW })))).toBe(
      `no key of the policy opens 2 backups, dump-1 to dump-2: encrypted with key ${old.id}. Say in spec.encryption.olderKeys where that key is, as long as they are to be restored`,
    );
    expect(unreadable(all.slice(0, 2), await policyKeys(without, from({ NEW })))).toContain(
      'opens 1 backup dump-2',
    );
    expect(unreadable(all, await policyKeys(rotated, from({ NEW, OLD })))).toBeNull();
    expect(unreadable(all, await policyKeys(rotated, from({ NEW })))).toBeNull();
    expect(unreadable(all, await policyKeys(policy(''), from({})))).toContain('3 backups, dump-1 to dump-3');
  });
});

describe('a policy that is applied anew', () => {
  test('warns of each key that it does not name any more', () => {
    const before = policy('{ keyFrom: { env: OLD }, olderKeys: [{ file: /keys/2024 }] }');
    expect(changeNotes(before, rotated)).toEqual([
      expect.stringContaining('the key from file /keys/2024 is not named any more'),
    ]);
    expect(changeNotes(before, policy(''))).toHaveLength(2);
    expect(changeNotes(before, before)).toEqual([]);
    expect(changeNotes(policy(''), before)).toEqual([]);
  });
});
