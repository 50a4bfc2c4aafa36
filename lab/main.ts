// `npm run lab -- up | down | status | env | restart | parts`
import process from 'node:process';
import { Command, Option } from 'commander';
import { LabError, messageOf } from './errors.ts';

const program = new Command('lab')
  .description('A real local environment: Temporal, a Kubernetes cluster, MongoDB, Prometheus, Alertmanager')
  .showHelpAfterError();

program
  .command('up')
  .description('bring everything up; on a running lab it only looks')
  .addOption(new Option('--nodes <kind>', 'real (Linux as root) or simulated').choices(['real', 'simulated']))
  .option('--with <names...>', 'also start components on demand: s3')
  .action(async (options: { nodes?: 'real' | 'simulated'; with?: string[] }) => {
    const { up } = await import('./up.ts');
    const environment = await up(options);
    const { labPaths } = await import('./paths.ts');
    console.log(
      `The lab is up. Temporal UI ${environment['TEMPORAL_UI_URL']}; for a shell: source ${labPaths().env}`,
    );
  });

program
  .command('down')
  .description('end everything and take it off the machine; data stays for the next up')
  .option('--wipe', "delete the lab's folder too")
  .action(async (options: { wipe?: boolean }) => {
    const { down } = await import('./down.ts');
    await down(options);
    console.log('The lab is down.');
  });

program
  .command('status')
  .description('what runs')
  .option('-o, --output <format>', 'text or json', 'text')
  .action(async ({ output }: { output: string }) => {
    const { status } = await import('./index.ts');
    const found = status();
    if (output === 'json') return console.log(JSON.stringify(found));
    console.log(`${found.phase}, ${found.nodes} nodes, ${found.dir}`);
    for (const { name, pid, alive } of found.components) {
      console.log(`  ${name.padEnd(24)} ${alive ? `pid ${pid}` : 'not running'}`);
    }
    if (found.phase !== 'up' || found.components.some(({ alive }) => !alive)) process.exitCode = 1;
  });

program
  .command('env')
  .description('print export lines for a shell')
  .action(async () => {
    const { readEnv, renderEnvironment } = await import('./environment.ts');
    const values = readEnv();
    if (!values) throw new LabError('the lab is not up: run "npm run lab -- up"');
    process.stdout.write(renderEnvironment(values));
  });

program
  .command('restart <component>')
  .description('end one component and start it again with its data')
  .action(async (name: string) => {
    const { restart } = await import('./index.ts');
    await restart(name);
  });

program
  .command('parts [names...]')
  .description('find or fetch programs, and print their paths; all of them when none is named')
  .action(async (names: string[]) => {
    const { PARTS } = await import('./parts.ts');
    const { provision } = await import('./provision.ts');
    const wanted = names.length > 0 ? names : PARTS.map(({ name }) => name);
    const found = await provision(wanted, {
      onProgress: (part, what) => process.stderr.write(`${part}: ${what}\n`),
    });
    for (const { name, path, from } of Object.values(found)) console.log(`${name}\t${path}\t${from}`);
  });

try {
  await program.parseAsync();
} catch (error) {
  const expected = error instanceof LabError || error instanceof RangeError;
  process.stderr.write(`${expected ? messageOf(error) : ((error as Error).stack ?? messageOf(error))}\n`);
  process.exitCode = 1;
}
