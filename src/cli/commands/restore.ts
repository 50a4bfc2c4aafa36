/** `slipway restore ...`: the definitions; actions live in restore/ and are loaded when they run. */
import type { Command } from 'commander';
import { outputOption } from '../output.ts';
import type { Context } from '../session.ts';
import { addDataRestore } from './restore-data.ts';
import type { RestoreDeploymentFlags } from '../restore/deployment.ts';
import { withTarget } from '../target.ts';

export function addRestoreCommands(program: Command, context: Context): void {
  const { session } = context;
  const group = program
    .command('restore')
    .description('put data back from a backup, or a Deployment from its record');
  addDataRestore(group, context);
  withTarget(
    group.command('deployment').description('undo a release from the record on the Deployment itself'),
  )
    .option('--dry-run', 'let the API server check the write and keep nothing')
    .option('-y, --yes', 'do not ask')
    .option('--context <name>', 'context of the kubeconfig')
    .addOption(outputOption(['json', 'yaml']))
    .addHelpText(
      'after',
      `
For the day when Temporal or the worker is away. While they are there, use \`slipway release abort\`: a release that
still runs takes a restore for a change by another hand, and stops.

Examples:
  $ slipway restore deployment ecommerce/product-service --dry-run
  $ slipway restore deployment ecommerce/product-service --yes`,
    )
    .action(async (target: string, flags: RestoreDeploymentFlags) => {
      const { restoreDeploymentCommand } = await import('../restore/deployment.ts');
      await restoreDeploymentCommand(session, target, flags);
    });
}
