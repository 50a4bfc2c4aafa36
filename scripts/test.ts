/**
 * `npm test`: everything, from format to end to end, on a machine that has nothing but Node and a package registry.
 * Prints one closing line over all suites and ends with 1 when anything failed.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';

interface Suite {
  name: string;
  command: string[];
  /** A vitest project: its own report is counted instead of the suite as one. */
  project?: string;
}

interface Tally {
  passed: number;
  failed: number;
  skipped: number;
}

const SUITES: Suite[] = [
  { name: 'formatting', command: ['biome', 'format', '.'] },
  { name: 'types', command: ['tsc', '--noEmit'] },
  { name: 'lint and the arrows of the house', command: ['oxlint', '--type-aware', '--deny-warnings'] },
  { name: 'build', command: ['node', 'scripts/bundle.ts'] },
  { name: 'parts', command: ['node', 'lab/main.ts', 'parts'] },
  ...['unit', 'workflows', 'replay', 'lab'].map((project) => ({
    name: project,
    command: ['vitest'],
    project,
  })),
  { name: 'demo', command: ['node', 'examples/demo/main.ts'] },
  { name: 'lab up', command: ['node', 'lab/main.ts', 'up'] },
  { name: 'e2e', command: ['vitest'], project: 'e2e' },
  { name: 'lab down', command: ['node', 'lab/main.ts', 'down'] },
];

async function main(): Promise<void> {
  const only = process.argv.slice(2);
  const unknown = only.filter((name) => !SUITES.some((suite) => suite.name === name));
  if (unknown.length > 0) {
    const known = SUITES.map(({ name }) => `"${name}"`).join(', ');
    console.error(`npm test: unknown suite "${unknown[0]}"; allowed: ${known}`);
    process.exit(2);
  }
  const total: Tally = { passed: 0, failed: 0, skipped: 0 };
  for (const suite of SUITES.filter(({ name }) => only.length === 0 || only.includes(name))) {
    console.log(`\n=== ${suite.name}`);
    const started = performance.now();
    const tally = await run(suite);
    total.passed += tally.passed;
    total.failed += tally.failed;
    total.skipped += tally.skipped;
    const seconds = Math.round((performance.now() - started) / 1_000);
    console.log(`=== ${suite.name}: ${tally.failed > 0 ? 'FAILED' : 'ok'} in ${seconds} s`);
  }
  console.log(`\n${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
  process.exitCode = total.failed > 0 ? 1 : 0;
}

/** A check counts as one; a vitest project counts its tests, and one failure more when it ends badly without naming any. */
async function run({ command, project }: Suite): Promise<Tally> {
  if (!project) {
    const ok = await succeeds(command);
    return { passed: ok ? 1 : 0, failed: ok ? 0 : 1, skipped: 0 };
  }
  const folder = mkdtempSync(join(tmpdir(), 'slipway-test-'));
  try {
    const report = join(folder, 'report.json');
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
    const ok = await succeeds(['vitest', 'run', '--project', project, '--passWithNoTests', ...reporters]);
    const tally = read(report);
    return ok || tally.failed > 0 ? tally : { ...tally, failed: 1 };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function read(report: string): Tally {
  try {
    const { numPassedTests, numFailedTests, numPendingTests, numTodoTests } = JSON.parse(
      readFileSync(report, 'utf8'),
    );
    return { passed: numPassedTests, failed: numFailedTests, skipped: numPendingTests + numTodoTests };
  } catch {
    return { passed: 0, failed: 1, skipped: 0 };
  }
}

function succeeds([program = '', ...args]: string[]): Promise<boolean> {
  return new Promise((resolve) => {
    const child = spawn(program, args, { stdio: ['ignore', 'inherit', 'inherit'] });
    child.once('error', (error) => {
      console.error(`${program}: ${error.message}`);
      resolve(false);
    });
    child.once('exit', (code) => resolve(code === 0));
  });
}

await main();
