/** The linter holds the arrows between the rooms of src/: whatever the table does not allow fails. */
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Name, ROOMS } from '../../oxlint.config.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const OXLINT = join(ROOT, 'node_modules', 'oxlint', 'bin', 'oxlint');
const NAMES = Object.keys(ROOMS) as Name[];
const FOLDERS = ['lab', 'test', 'bench', 'examples', 'scripts'];

interface Statement {
  text: string;
  allowed: boolean;
}

/** One of every kind of import, of every room and of all that is closed to this one. */
function statementsOf(name: Name, file: string): Statement[] {
  const { may, types = [], without } = ROOMS[name];
  const path = (target: string): string => {
    const found = relative(dirname(file), target);
    return found.startsWith('.') ? found : `./${found}`;
  };
  const rooms = NAMES.filter((each) => each !== name).flatMap((each) => {
    const targets = [`src/${each}.ts`, `src/${each}/any.ts`, `src/${each}/deep/any.ts`].map(path);
    const run = may.includes(each);
    return targets.flatMap((target) => [
      { text: `export * from '${target}';`, allowed: run },
      { text: `await import('${target}');`, allowed: run },
      { text: `export type { It } from '${target}';`, allowed: run || types.includes(each) },
    ]);
  });
  const packages = without.map((each) => each.replace('*/**', 'fs/promises').replace(/\*+$/, 'client'));
  const closed = [...packages, ...FOLDERS.map((folder) => path(`${folder}/any.ts`))];
  return [...rooms, ...closed.map((target) => ({ text: `import '${target}';`, allowed: false }))];
}

const FILES = NAMES.flatMap((name) =>
  [`src/${name}.ts`, `src/${name}/one.ts`, `src/${name}/deep/two.ts`].map((file) => ({
    name,
    file,
    statements: statementsOf(name, file),
  })),
);

let house: string;
/** By file, the lines that the linter refuses. */
const refused = new Map<string, number[]>();

beforeAll(() => {
  // Inside the checkout, so that the configuration finds its packages.
  mkdirSync(join(ROOT, '.cache'), { recursive: true });
  house = mkdtempSync(join(ROOT, '.cache', 'arrows-'));
  copyFileSync(join(ROOT, 'oxlint.config.ts'), join(house, 'oxlint.config.ts'));
  for (const { file, statements } of FILES) {
    mkdirSync(dirname(join(house, file)), { recursive: true });
    writeFileSync(join(house, file), `${statements.map(({ text }) => text).join('\n')}\n`);
  }
  const args = [OXLINT, '-A', 'all', '-D', 'no-restricted-imports', '--format', 'json'];
  const { stdout, stderr } = spawnSync(process.execPath, [...args, ...FILES.map(({ file }) => file)], {
    cwd: house,
    encoding: 'utf8',
    maxBuffer: 64 << 20,
  });
  if (!stdout.startsWith('{')) throw new Error(stdout + stderr);
  const { diagnostics } = JSON.parse(stdout) as {
    diagnostics: { filename: string; labels: { span: { line: number } }[] }[];
  };
  for (const { filename, labels } of diagnostics)
    refused.set(filename, [...(refused.get(filename) ?? []), labels[0]?.span.line ?? 0]);
});
afterAll(() => rmSync(house, { recursive: true, force: true }));

test.each(FILES)('$file imports what the table allows $name, and nothing else', ({ file, statements }) => {
  const wanted = statements.flatMap(({ allowed }, at) => (allowed ? [] : [at + 1]));
  expect(refused.get(file)?.sort((a, b) => a - b)).toEqual(wanted);
});
