import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { startTimeOf } from '../../lab/processes.ts';

const ORPHANS = fileURLToPath(new URL('../orphans.ts', import.meta.url));

test.runIf(process.platform === 'linux')(
  'what a test has started ends with a run that is killed, and what belongs to a lab stays',
  async () => {
    const script = `
      import { spawn } from 'node:child_process';
      import setup from ${JSON.stringify(ORPHANS)};
      setup();
      const started = ['', 'lab'].map((lab) =>
        spawn('sleep', ['60'], { detached: true, env: { ...process.env, ...(lab && { SLIPWAY_LAB_DAEMON: lab }) } }));
      console.log(JSON.stringify(started.map(({ pid }) => pid)));
      setInterval(() => {}, 1_000);`;
    const { SLIPWAY_TEST_RUN: _, ...env } = process.env;
    const run = spawn(process.execPath, ['--input-type=module', '-e', script], {
      env,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = (await once(run.stdout, 'data')) as [Buffer];
    const [server = 0, daemon = 0] = JSON.parse(line.toString()) as number[];
    try {
      expect([startTimeOf(server), startTimeOf(daemon)]).not.toContain(undefined);
      run.kill('SIGKILL');
      await expect.poll(() => startTimeOf(server), { timeout: 20_000 }).toBeUndefined();
      expect(startTimeOf(daemon)).toBeDefined();
    } finally {
      process.kill(daemon, 'SIGKILL');
    }
  },
);
