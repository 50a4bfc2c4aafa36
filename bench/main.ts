// `npm run bench -- NAME [options]`: benchmarks against a running lab or against servers of their own. See docs/benchmarks.md.
import process from 'node:process';
import { Command, InvalidArgumentError, Option } from 'commander';
import type { BackupBenchOptions } from './backup.ts';

const program = new Command('bench')
  .description('Benchmarks; figures and what they mean are in docs/benchmarks.md')
  .showHelpAfterError();

program
  .command('alert-to-rollback')
  .description(
    'from an alert at the gateway to the first rollback write and to canary gone; needs a lab that nobody else uses',
  )
  .option('-n, --runs <count>', 'releases to haul back, in each setting', wholeNumber(1, 10_000), 50)
  .option(
    '--waiting <count>',
    'measure again beside so many other releases that wait at gates',
    wholeNumber(0, 1_000),
    0,
  )
  .addOption(
    new Option('--hold <where>', 'where the alert meets the release')
      .choices(['gate', 'bake'])
      .default('gate'),
  )
  .option('--quiet-for <seconds>', 'how long requests are counted while waiting', wholeNumber(1, 3_600), 20)
  .addOption(new Option('-o, --output <format>', 'table or json').choices(['table', 'json']).default('table'))
  .action(async (options: AlertToRollbackFlags) => {
    const { alertToRollback } = await import('./alert-to-rollback.ts');
    const { renderReport } = await import('./release/report.ts');
    const report = await alertToRollback({ ...options, quietMs: options.quietFor * 1_000 }, (line) =>
      console.error(line),
    );
    console.log(options.output === 'json' ? JSON.stringify(report, null, 2) : renderReport(report));
  });

program
  .command('backup')
  .description('dump and restore beside mongodump and mongorestore, on a mongod of its own')
  .option('--size <megabytes>', 'documents to dump', wholeNumber(1, 1_000_000), 1_000)
  .option('-n, --runs <count>', 'rounds of ours and theirs', wholeNumber(1, 100), 1)
  .option('--collections <count>', 'small collections for a second part', wholeNumber(0, 100_000), 10_000)
  .addOption(
    new Option('--destination <where>', 'where our archives go; s3 is a server of its own')
      .choices(['directory', 's3'])
      .default('directory'),
  )
  .option('--encrypt', 'encrypt our archives', false)
  .action(async (options: BackupBenchOptions) => {
    const { run } = await import('./backup.ts');
    await run(options);
  });

interface AlertToRollbackFlags {
  runs: number;
  waiting: number;
  hold: 'gate' | 'bake';
  quietFor: number;
  output: 'table' | 'json';
}

function wholeNumber(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (value >= least && value <= most) return value;
    throw new InvalidArgumentError(`allowed is a whole number from ${least} to ${most}`);
  };
}

try {
  await program.parseAsync();
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
