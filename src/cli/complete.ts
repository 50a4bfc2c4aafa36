/**
 * What could stand at the end of a half-typed command line, in the protocol of cobra's shell scripts: a candidate and
 * its description per line, then `:DIRECTIVE`.
 */
import type { Command, Option } from 'commander';
import { argumentNames, type Candidate, optionNames, runningNames } from './complete-names.ts';
import type { Session } from './session.ts';

const DIRECTIVE = { files: ':0', noFiles: ':4' } as const;
/** `words` are those after `slipway`; the last one is being typed and may be empty. */
export async function complete(program: Command, words: string[], session: Session): Promise<string[]> {
  const last = words.at(-1) ?? '';
  // bash makes three words of --output=json.
  const typed = last === '=' ? '' : last;
  const { command, args, pending } = walk(program, words.slice(0, -1));
  if (pending) {
    return lines(await optionValues(pending, words, session), typed, pending.attributeName() === 'file');
  }
  const inline = /^(--[\w-]+)=(.*)$/.exec(typed);
  if (inline) {
    const option = command.options.find(({ long }) => long === inline[1]);
    const values = option ? await optionValues(option, words, session) : [];
    return lines(
      values.map((each) => ({ ...each, value: `${inline[1]}=${each.value}` })),
      typed,
      false,
    );
  }
  if (typed.startsWith('-')) return lines(flags(command), typed, false);
  if (command.commands.length > 0) return lines(subcommands(command), typed, false);
  return lines(await argumentValues(command, args, words, session), typed, false);
}

/** Follows the words down the tree; `pending` is a flag that still waits for its value. */
function walk(
  program: Command,
  words: string[],
): { command: Command; args: string[]; pending: Option | undefined } {
  let command = program;
  let args: string[] = [];
  let pending: Option | undefined;
  for (const word of words) {
    if (word === '=') continue;
    if (pending) pending = undefined;
    else if (word.startsWith('-')) {
      const option = command.options.find(({ long, short }) => word === long || word === short);
      pending = option && (option.required || option.optional) ? option : undefined;
    } else {
      const next = command.commands.find((each) => each.name() === word || each.aliases().includes(word));
      if (next) [command, args] = [next, []];
      else args.push(word);
    }
  }
  return { command, args, pending };
}

async function optionValues(option: Option, words: string[], session: Session): Promise<Candidate[]> {
  if (option.argChoices) return option.argChoices.map((value) => ({ value, description: '' }));
  return await runningNames(optionNames(option.attributeName()), words, session);
}

function flags(command: Command): Candidate[] {
  const all = command.options.flatMap(({ long, description, hidden }) =>
    long && !hidden ? [{ value: long, description }] : [],
  );
  return [...all, { value: '--help', description: 'show help' }];
}

function subcommands(command: Command): Candidate[] {
  return command
    .createHelp()
    .visibleCommands(command)
    .map((each) => ({ value: each.name(), description: each.description() }));
}

async function argumentValues(
  command: Command,
  args: string[],
  words: string[],
  session: Session,
): Promise<Candidate[]> {
  const argument = command.registeredArguments.at(args.length) ?? command.registeredArguments.at(-1);
  if (!argument || (args.length >= command.registeredArguments.length && !argument.variadic)) return [];
  if (argument.argChoices) return argument.argChoices.map((value) => ({ value, description: '' }));
  return await runningNames(argumentNames(command, argument.name()), words, session);
}

function lines(candidates: Candidate[], typed: string, files: boolean): string[] {
  const fitting = candidates.filter(({ value }) => value.startsWith(typed));
  const shown = fitting.map(({ value, description }) => `${value}\t${description.replaceAll(/\s+/g, ' ')}`);
  return [...shown, files ? DIRECTIVE.files : DIRECTIVE.noFiles];
}
