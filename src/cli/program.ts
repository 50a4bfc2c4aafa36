/** The command tree. Definitions are plain and cheap; every action imports its own code when it runs. */
import { Command } from 'commander';
import { addBackupCommands } from './commands/backup.ts';
import { addCompletionCommands } from './commands/completion.ts';
import { addGatewayCommand } from './commands/gateway.ts';
import { addReleaseCommands } from './commands/release.ts';
import { addRestoreCommands } from './commands/restore.ts';
import type { Context, Session } from './session.ts';
import { addSetupCommand } from './commands/setup.ts';
import { VERSION } from '../version.ts';
import { addVersionCommand } from './commands/version.ts';
import { addWorkerCommand } from './commands/worker.ts';

export function buildProgram(session: Session, exit: Context['exit']): Command {
  const context: Context = { session, exit };
  const program = new Command('slipway')
    .description('Launches releases on Kubernetes and hauls bad ones back. Runs on Temporal.')
    .version(VERSION, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'show help')
    // Flags after a subcommand's name are its own: `restore` has flags, and subcommands with flags of the same names.
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({
      writeOut: (text) => session.write(text),
      writeErr: (text) => session.err(text.trimEnd()),
      // Errors are told once, by main().
      outputError: () => undefined,
      getOutHelpWidth: () => Math.min(session.terminal.columns, 110),
      getErrHelpWidth: () => Math.min(session.terminal.columns, 110),
    })
    .configureHelp({ sortSubcommands: false, showGlobalOptions: false })
    .addHelpText(
      'after',
      `
First steps:
  $ slipway setup                                    once per Temporal namespace
  $ slipway worker                                   runs the releases
  $ slipway release start -f release.yaml --wait     launch
  $ slipway release list                             what is going on

Temporal is found by TEMPORAL_ADDRESS, TEMPORAL_PROFILE and the other standard variables, Kubernetes by KUBECONFIG.`,
    );
  addReleaseCommands(program, context);
  addBackupCommands(program, context);
  addRestoreCommands(program, context);
  addWorkerCommand(program, context);
  addGatewayCommand(program, context);
  addSetupCommand(program, context);
  addCompletionCommands(program, context);
  addVersionCommand(program, context);
  return program;
}
