/** The command as a whole: errors, help, completion, start-up, documentation. */
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { parseAllDocuments } from 'yaml';
import { describe, expect, test } from 'vitest';
import { completionScript } from '../../src/cli/completion-scripts.ts';
import { whoami } from '../../src/cli/identity.ts';
import { cliReference } from '../../src/cli/reference.ts';
import { parseRelease } from '../../src/specs/release.ts';
import { slipway } from './support/cli.ts';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../..', import.meta.url));
const cli = join(root, 'src/cli.ts');
const docs = readFileSync(join(root, 'docs/cli.md'), 'utf8');

describe('a mistyped command line', () => {
  test.each([
    ['relase', "unknown command 'relase'; did you mean release? (see slipway --help)"],
    ['release strat', "unknown command 'strat'; did you mean start? (see slipway release --help)"],
    ['release list --namespce x', "unknown option '--namespce'; did you mean --namespace?"],
    ['release list -o xml', 'Allowed choices are json, yaml, wide, name'],
    ['release list --limit many', 'Allowed: a whole number from 1 to 1000'],
    ['release status', "missing required argument 'namespace/name'"],
    ['release status a/b c/d', 'too many arguments'],
    ['setup --retention 5m', 'Allowed: a duration of at least 1d'],
  ])('%s is told in one line with exit 2', async (line, message) => {
    const { exit, out, err } = await slipway(line);
    expect({ exit, out }).toEqual({ exit: 2, out: '' });
    expect(err).toMatch(/^slipway: /);
    expect(err).toContain(message);
    expect(err.trim().split('\n')).toHaveLength(1);
  });

  test('is an object with -o json, as any other error', async () => {
    const { out } = await slipway('release lst -o json');
    expect(JSON.parse(out)).toMatchObject({ error: { code: 'usage' } });
  });

  test('a group without a command shows its help and is exit 2', async () => {
    const { exit, err } = await slipway('release');
    expect(exit).toBe(2);
    expect(err).toContain('Usage: slipway release');
  });

  test('an unexpected error is one line, its stack only comes when asked for', async () => {
    const boom = { list: () => Promise.reject(new TypeError('x is not a function\nmore')) };
    const short = await slipway('release list', { client: boom });
    expect(short).toEqual({ exit: 1, out: '', err: 'slipway: x is not a function\n' });
    const long = await slipway('release list', { client: boom, env: { SLIPWAY_DEBUG: '1' } });
    expect(long.err).toContain('at ');
  });
});

describe('who gives a command', () => {
  test.each([
    [{ SLIPWAY_USER: 'ada', GITHUB_ACTOR: 'grace' }, 'ada'],
    [{ GITHUB_ACTOR: 'grace' }, 'grace'],
    [{ GITLAB_USER_LOGIN: 'linus', SLIPWAY_USER: ' ' }, 'linus'],
  ])('%j is %s', (env, who) => expect(whoami(env)).toBe(who));

  test('without any of them it is user@host', () => expect(whoami({})).toMatch(/^.+@.+$/));
});

describe('completion', () => {
  const values = async (words: string[], stage = {}) =>
    (await slipway(['complete', '--', ...words], stage)).out
      .split('\n')
      .map((line) => line.split('\t')[0] ?? '');

  test('offers commands, flags and choices', async () => {
    expect(await values(['rel'])).toContain('release');
    expect(await values(['release', 'app'])).toEqual(['approve', ':4', '']);
    expect(await values(['release', 'list', '--ph'])).toEqual(['--phase', ':4', '']);
    expect(await values(['release', 'start', '--on-conflict', 'q'])).toEqual(['queue', ':4', '']);
    expect(await values(['release', 'list', '--output=y'])).toEqual(['--output=yaml', ':4', '']);
  });

  test('leaves the values of --file to the shell', async () => {
    expect(await values(['release', 'start', '-f', ''])).toEqual([':0', '']);
  });

  test('offers running releases', async () => {
    const listed = [{ namespace: 'shop', workload: 'web', phase: 'baking', image: 'shop/web:v2' }];
    const client = { list: () => Promise.resolve(listed) };
    expect(await values(['release', 'status', ''], { client })).toContain('shop/web');
    expect(await values(['release', 'status', '-n', 'shop', ''], { client })).toContain('web');
  });

  test('offers policies, and the runs that a command could be about', async () => {
    const asked: string[][] = [];
    const backups = {
      policies: () => Promise.resolve([{ name: 'shop', paused: false, next: '2026-11-25T01:00:00Z' }]),
      taken: (policy: string) =>
        Promise.resolve([{ id: `dump-of-${policy}`, at: 'today', documents: 2, size: 3_000 }]),
      underWay: (kinds: string[]) => {
        asked.push(kinds);
        return Promise.resolve([{ id: 'restore.shop-1', phase: 'awaiting-approval', startedAt: 'today' }]);
      },
    };
    const client = { backups };
    expect(await values(['backup', 'pause', ''], { client })).toContain('shop');
    expect(await values(['restore', '--policy', 's'], { client })).toContain('shop');
    expect(await values(['backup', 'list', '--policy=s'], { client })).toContain('--policy=shop');
    for (const policy of [['--policy', 'shop'], ['--policy=shop'], ['--policy', '=', 'shop']])
      expect(await values(['restore', ...policy, '--backup', 'd'], { client })).toContain('dump-of-shop');
    expect(await values(['backup', 'drill', '--policy', 'shop', '--backup', ''], { client })).toContain(
      'dump-of-shop',
    );
    expect(await values(['restore', '--backup', ''], { client })).toEqual([':4', '']);
    expect(await values(['restore', 'approve', ''], { client })).toContain('restore.shop-1');
    expect(await values(['backup', 'cancel', 'restore.'], { client })).toContain('restore.shop-1');
    expect(await values(['backup', 'pause', 'shop', ''], { client })).toEqual([':4', '']);
    expect(asked).toEqual([['restore'], ['backup', 'restore', 'drill']]);
  });

  test('a Temporal that is away is no candidate and no error', async () => {
    expect(await slipway(['complete', '--', 'release', 'status', ''])).toEqual({
      exit: 0,
      out: ':4\n',
      err: '',
    });
  });

  test('in bash, Tab completes, and runs nothing that was typed', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'slipway-bash-'));
    const bin = join(folder, 'bin');
    mkdirSync(bin);
    writeFileSync(join(bin, 'slipway'), `#!/bin/sh\nexec "${process.execPath}" "${cli}" "$@"\n`, {
      mode: 0o755,
    });
    writeFileSync(join(folder, 'slipway.bash'), completionScript('bash'));
    const script = `
      source slipway.bash
      COMP_WORDS=(slipway release '$(touch ran)' '--output' '=' 'j'); COMP_CWORD=5; _slipway
      COMP_WORDS=(slipway release list --output = j); COMP_CWORD=5; _slipway; echo "\${COMPREPLY[@]}"
      COMP_WORDS=(slipway release res); COMP_CWORD=2; _slipway; echo "\${COMPREPLY[@]}"
      ls`;
    const env = { ...process.env, PATH: `${bin}:${process.env['PATH']}` };
    const { stdout } = await run('bash', ['-c', script], { cwd: folder, env });
    expect(stdout.split('\n')).toEqual(['json', 'resume', 'bin', 'slipway.bash', '']);
  });
});

describe('start-up', () => {
  test.each([
    ['--help'],
    ['--version'],
    ['release', 'start', '--nope'],
    ['release', 'status', 'nameless'],
    ['completion', 'zsh'],
  ])('slipway %s %s %s loads neither Temporal nor Kubernetes nor zod', async (...args) => {
    const spy = `import module from 'node:module'; const seen = [];
        module.registerHooks({ resolve(name, context, next) { const found = next(name, context); seen.push(found.url); return found; } });
        process.on('exit', () => process._rawDebug(JSON.stringify(seen.filter((url) => url.includes('node_modules')))));`;
    const hook = `data:text/javascript,${encodeURIComponent(spy)}`;
    const { stderr } = await run(process.execPath, ['--import', hook, cli, ...args.filter(Boolean)]).catch(
      (error: { stderr: string }) => error,
    );
    const loaded = JSON.parse(stderr.trim().split('\n').at(-1) ?? '') as string[];
    expect(loaded.some((url) => url.includes('/commander/'))).toBe(true);
    expect(loaded.filter((url) => /@temporalio|@grpc|@kubernetes|\/zod\//.test(url))).toEqual([]);
  });

  test('a reader that goes away ends it quietly', async () => {
    const { stdout, stderr } = await run('bash', [
      '-c',
      `"${process.execPath}" "${cli}" release schema | head -c 1`,
    ]);
    expect({ stdout, stderr }).toEqual({ stdout: '{', stderr: '' });
  });
});

describe('docs/cli.md', () => {
  test('has the help of every command as it is (else: node scripts/cli-docs.ts)', () => {
    expect(docs.endsWith(cliReference())).toBe(true);
  });

  test.each(yamlBlocks())('its release file %# is accepted', (text) => {
    expect(parseRelease(text).kind).toBe('Release');
  });

  test('its table of defaults is what the schema fills in', () => {
    const { guards, after } = parseRelease(yamlBlocks()[1] ?? '').spec;
    expect(docs).toContain(`| \`guards.deadline\` | \`${guards.deadline}\` |`);
    expect(docs).toContain(`| \`after.guard\` | \`${after.guard}\` |`);
    expect(docs).toContain(
      `{ readyWithin: ${guards.pods?.readyWithin}, restarts: ${guards.pods?.restarts} }`,
    );
    expect(docs).toContain(`{ match: { severity: [${guards.alerts?.match['severity']?.join(', ')}] } }`);
  });

  test('an example that needs no server does what it says', async () => {
    const line = /\$ slipway (release validate -f \S+)/.exec(docs)?.[1] ?? '';
    const { exit, out } = await slipway(line);
    expect(exit).toBe(0);
    expect(out).toContain(
      'is valid: ecommerce/product-service, canary: 25 %, bake 30s, gate half, 50 %, bake 30s, 100 %',
    );
  });

  function yamlBlocks(): string[] {
    const blocks = [...docs.matchAll(/```yaml\n([^]*?)```/g)].map(([, text = '']) => text);
    return blocks.filter((text) => parseAllDocuments(text)[0]?.get('kind') === 'Release');
  }
});
