import { once } from 'node:events';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { quoted } from '../../src/client/attributes.ts';
import { connectSettings } from '../../src/client/connection.ts';
import { SlipwayClient, Unreachable } from '../../src/client.ts';
import { uiLinks } from '../../src/client/links.ts';
import { announcement, versionOf } from '../../src/domain/release/announcement.ts';
import { escapeMarkdown } from '../../src/domain/page.ts';
import { whyUnreachable } from '../../src/client/reach.ts';
import type { Release } from '../../src/specs/release.types.ts';
import { releaseInput } from '../e2e/support/inputs.ts';

describe('the announcement of a release', () => {
  const withSpec = (spec: Partial<Release['spec']>, more: { key?: string } = {}) => {
    const input = releaseInput('product-service', more);
    return announcement({
      ...input,
      release: { ...input.release, spec: { ...input.release.spec, ...spec } },
    });
  };

  test('reads like a sentence', () => {
    expect(withSpec({}).summary).toBe('ecommerce/product-service to v1.1.0: cheaper search');
    expect(withSpec({ reason: 'two\nlines' }).summary).toBe('ecommerce/product-service to v1.1.0: two lines');
    expect(announcement(releaseInput('p', { dryRun: true })).summary).toMatch(/^Dry run: ecommerce\/p to /);
  });

  test('says who, why, what, how and what guards it, with nothing taken for markup', () => {
    const { details } = withSpec({ reason: '| [x](http://evil) <b> `{workflowId}`' }, { key: 'job_42' });
    for (const part of [
      "ci@o'brien",
      'ecommerce/product\\-service:v1.1.0',
      'job\\_42',
      '50 %, gate half \\(1 approval, expires after 1h\\), 100 %',
      'alerts with severity=critical',
      'watched 5m after 100 %',
      '\\| \\[x\\]\\(http://evil\\) \\<b\\> \\`\\{workflowId\\}\\`',
    ]) {
      expect(details).toContain(part);
    }
  });

  test('fits into the index whatever it says, and is found whole in the memo', () => {
    const image = `r/${'x'.repeat(600)}:v1`;
    const { summary, searchAttributes, memo } = withSpec({ image, reason: 'y'.repeat(5_000) });
    expect(summary.length).toBeLessThanOrEqual(200);
    for (const value of Object.values(searchAttributes)) expect(value.length).toBeLessThanOrEqual(255);
    expect(memo).toMatchObject({ image, reason: 'y'.repeat(5_000), key: null });
    expect(searchAttributes).not.toHaveProperty('SlipwayKey');
  });

  test.each([
    ['a/b:v1', 'v1'],
    ['localhost:5000/a/b', 'localhost:5000/a/b'],
    ['localhost:5000/a/b:v2', 'v2'],
    [`a@sha256:${'0'.repeat(64)}`, `sha256:${'0'.repeat(12)}`],
    [`a:v3@sha256:${'0'.repeat(64)}`, 'v3'],
  ])('calls %s %s', (image, version) => {
    expect(versionOf(image)).toBe(version);
  });

  test('a number at the beginning of a text does not become a list', () => {
    expect(escapeMarkdown('1. first')).toBe('1\\. first');
  });
});

describe('where Temporal is', () => {
  const file = join(mkdtempSync(join(tmpdir(), 'slipway-client-')), 'temporal.toml');
  writeFileSync(
    file,
    '[profile.default]\naddress = "a:1"\n[profile.prod]\naddress = "b:2"\nnamespace = "shop"\napi_key = "secret"\n',
  );

  test.each([
    [
      { env: {} },
      {
        address: 'localhost:7233',
        namespace: 'default',
        origin: expect.stringContaining('TEMPORAL_ADDRESS'),
      },
    ],
    [{ env: { TEMPORAL_CONFIG_FILE: file } }, { address: 'a:1', origin: 'profile "default"' }],
    [
      { env: { TEMPORAL_CONFIG_FILE: file, TEMPORAL_PROFILE: 'prod' } },
      { address: 'b:2', namespace: 'shop', origin: 'profile "prod"' },
    ],
    [
      { env: { TEMPORAL_CONFIG_FILE: file }, profile: 'prod' },
      { address: 'b:2', connection: { apiKey: 'secret', tls: true } },
    ],
    [
      { env: { TEMPORAL_CONFIG_FILE: file, TEMPORAL_ADDRESS: 'c:3' } },
      { address: 'c:3', origin: 'TEMPORAL_ADDRESS' },
    ],
    [
      { env: { TEMPORAL_ADDRESS: 'c:3' }, address: 'd:4', namespace: 'x' },
      { address: 'd:4', namespace: 'x', origin: '--address' },
    ],
  ])('is told by flags, then variables, then the profile: %#', (options, expected) => {
    expect(connectSettings({ ...options, env: { HOME: '/nonexistent', ...options.env } })).toMatchObject(
      expected,
    );
  });

  test('an unknown profile and an unreadable certificate are settings that cannot be used', () => {
    expect(() => connectSettings({ env: { TEMPORAL_CONFIG_FILE: file }, profile: 'nope' })).toThrow(
      /Profile 'nope' not found/,
    );
    expect(() =>
      connectSettings({
        env: { TEMPORAL_TLS_CLIENT_CERT_PATH: '/no/cert', TEMPORAL_TLS_CLIENT_KEY_PATH: '/no/key' },
      }),
    ).toThrow(/\/no\/cert/);
  });

  test.each(['', 'temporal:', 'temporal:port', '127.0.0.1:99999', 'a b:7233', 'temporal:7233/x'])(
    'an address that can be none is refused at once: "%s"',
    (address) => {
      expect(() => connectSettings({ env: { TEMPORAL_ADDRESS: address } })).toThrow(
        `Temporal's address (from TEMPORAL_ADDRESS): found "${address}"; allowed: host:port`,
      );
    },
  );

  test.each(['temporal', '[::1]:7233', 'temporal.example.com:443', 'dns:///temporal:7233'])(
    'an address may be written as %s',
    (address) => {
      expect(connectSettings({ env: { TEMPORAL_ADDRESS: address } }).address).toBe(address);
    },
  );

  test('a port at which something else answers is told apart from one where nothing listens', async () => {
    const other = createServer((socket) => socket.on('error', () => undefined)).listen(0, '127.0.0.1');
    onTestFinished(() => void other.close());
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;
    expect(await whyUnreachable(`127.0.0.1:${port}`)).toContain('but not as Temporal');
    expect(await whyUnreachable('127.0.0.1:1')).toContain('nothing listens there');
    expect(await whyUnreachable('no-such-host.invalid')).toBe(
      'the host name "no-such-host.invalid" is not known',
    );
  });

  test('a server that is not there is named with the setting that leads to it', async () => {
    const error = await SlipwayClient.connect({
      env: { TEMPORAL_ADDRESS: '127.0.0.1:1' },
      timeoutMs: 300,
    }).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(Unreachable);
    expect(error).toMatchObject({
      code: 'unreachable',
      address: '127.0.0.1:1',
      message: expect.stringMatching(/127\.0\.0\.1:1 \(from TEMPORAL_ADDRESS\): .*nothing listens there/),
    });
  });
});

test('links are encoded', () => {
  const links = uiLinks('http://ui:8233/', 'my ns');
  expect(links.workflowUrl('release.a.b/c', 'r 1')).toBe(
    'http://ui:8233/namespaces/my%20ns/workflows/release.a.b%2Fc/r%201/user-metadata',
  );
  expect(links.workflowUrl('x')).toBe('http://ui:8233/namespaces/my%20ns/workflows/x');
  const url = new URL(links.savedViewUrl());
  expect(url.searchParams.get('savedQuery')).toBe('Releases awaiting approval');
});

test('text in a list filter cannot end the literal', () => {
  expect(quoted("it's \\ fine")).toBe("'it''s \\\\ fine'");
});
