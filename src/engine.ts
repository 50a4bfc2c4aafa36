/**
 * The process that dumps and restores for a worker, one job a process; activities/backup/engine.ts starts it. It dies
 * with its worker: what it leaves then is what a killed worker leaves, and the next attempt sweeps it away.
 */
import module from 'node:module';
import process from 'node:process';

if (process.send) {
  // Compiling all that follows takes longer than to dump a small database; it is done once a machine.
  module.enableCompileCache();
  const { serve } = await import('./engine/serve.ts');
  serve();
} else {
  process.stderr.write('This is a part of `slipway worker`, which starts it when a backup needs it.\n');
  process.exitCode = 2;
}
