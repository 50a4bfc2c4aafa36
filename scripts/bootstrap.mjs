// The first thing the README's commands run, on whatever Node a machine ships (20 or later): installs the
// dependencies when they are missing or stale, then runs the given TypeScript file with the Node that npm brought.
import { spawnSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { delimiter, join, resolve } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const bin = join(root, 'node_modules', '.bin');

function installed() {
  const marker = join(root, 'node_modules', '.package-lock.json');
  return existsSync(marker) && statSync(marker).mtimeMs >= statSync(join(root, 'package-lock.json')).mtimeMs;
}

function run(command, args, env = process.env) {
  const { status, signal, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit', env });
  if (error) {
    console.error(`${command}: ${error.message}`);
    process.exit(1);
  }
  if (signal) process.kill(process.pid, signal);
  return status ?? 1;
}

const [entry, ...args] = process.argv.slice(2);
if (!entry) {
  console.error('usage: node scripts/bootstrap.mjs FILE [ARG ...]');
  process.exit(2);
}
if (!installed()) {
  console.error('Installing dependencies (npm ci) ...');
  const status = run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error']);
  if (status !== 0) process.exit(status);
}
const bundled = join(bin, 'node');
const node = existsSync(bundled) ? bundled : process.execPath;
process.exit(
  run(node, [resolve(root, entry), ...args], {
    ...process.env,
    PATH: `${bin}${delimiter}${process.env.PATH}`,
  }),
);
