/** From arguments to an exit code. Loads nothing but the command definitions; what a command needs, it loads itself. */
import type { Command, CommanderError } from 'commander';
import { EXIT } from './exit.ts';
import { explain } from './failure.ts';
import { processSession } from './io.ts';
import { buildProgram } from './program.ts';
import type { Session } from './session.ts';

/** Runs one command line (without node and script) and returns its exit code. Never throws. */
export async function main(args: string[], session: Session = processSession()): Promise<number> {
  let exit: number = EXIT.ok;
  const program = buildProgram(session, (code) => {
    exit = code;
  });
  try {
    await program.parseAsync(args, { from: 'user' });
    return exit;
  } catch (error) {
    return report(error, args, session, program);
  }
}

/** Commander's word for help and version that were asked for, and for help that is shown in place of a missing command. */
const PRINTED = new Set(['commander.helpDisplayed', 'commander.version', 'commander.help']);

function report(error: unknown, args: string[], session: Session, program: Command): number {
  if (isCommanderError(error) && PRINTED.has(error.code)) {
    return error.exitCode === 0 ? EXIT.ok : EXIT.badInput;
  }
  const { code, message, exit, details } = explain(error);
  const [first = '', ...more] = message.split('\n');
  const help = code === 'usage' ? ` (see ${commandOf(program, args)} --help)` : '';
  session.err(`slipway: ${first}${help}`);
  for (const line of more) session.err(line);
  if (session.env['SLIPWAY_DEBUG'] && error instanceof Error) session.err(error.stack ?? '');
  if (wantsJson(args)) {
    session.out(
      JSON.stringify({ error: { code, message, ...(details === undefined ? {} : { details }) } }, null, 2),
    );
  }
  return exit;
}

function isCommanderError(error: unknown): error is CommanderError {
  return (
    error instanceof Error &&
    'exitCode' in error &&
    'code' in error &&
    String(error.code).startsWith('commander.')
  );
}

/** Also true for a command line that could not be parsed. */
function wantsJson(args: string[]): boolean {
  return args.some(
    (arg, i) =>
      arg === '-ojson' ||
      arg === '--output=json' ||
      ((arg === '-o' || arg === '--output') && args[i + 1] === 'json'),
  );
}

/** The deepest command that the arguments name, e.g. `slipway release start`. */
function commandOf(program: Command, args: string[]): string {
  let command = program;
  const names = [program.name()];
  for (const arg of args) {
    const next = command.commands.find((each) => each.name() === arg);
    if (!next) continue;
    command = next;
    names.push(arg);
  }
  return names.join(' ');
}
