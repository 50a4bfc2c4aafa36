import type { Command } from 'commander';
import { outputOption, printJson } from '../output.ts';
import type { Context } from '../session.ts';
import { VERSION } from '../../version.ts';

export function addVersionCommand(program: Command, { session }: Context): void {
  program
    .command('version')
    .description('print the version of slipway and of Node')
    .addOption(outputOption(['json']))
    .action((flags: { output?: string }) => {
      const versions = { slipway: VERSION, node: process.versions.node };
      if (flags.output === 'json') printJson(session, versions);
      else session.out(`slipway ${versions.slipway} (node ${versions.node})`);
    });
}
