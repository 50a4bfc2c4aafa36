/**
 * What could stand at the end of a half-typed command line, in the protocol of cobra's shell scripts: a candidate and
 * its description per line, then `:DIRECTIVE`.
 */
import type { Command, Option } from 'commander';
import type { ListedRelease } from '../client.ts';
import type { Session } from './session.ts';

const DIRECTIVE = { files: ':0', noFiles: ':4' } as const;
/** A shell that waits for its Tab waits for nothing else. */
const NAMES_WITHIN_MS = 1_000;
const MOST_NAMES = 100;

interface Candidate {
  value: string;
  description: string;
}

/** `words` are those after `slipway`; the last one is being typed and may be empty. */
export async function complete(program: Command, words: string[], session: Session): Promise<string[]> {
  const last = words.at(-1) ?? '';
  // bash makes three words of --output=json.
  const typed = last === '=' ? '' : last;
  const { command, args, pending } = walk(program, words.slice(0, -1));
  if (pending) return lines(optionValues(pending), typed, pending.attributeName() === 'file');
  const inline = /^(--[\w-]+)=(.*)$/.exec(typed);
  if (inline) {
    const option = command.options.find(({ long }) => long === inline[1]);
    const values = option ? optionValues(option) : [];
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

function optionValues(option: Option): Candidate[] {
  return (option.argChoices ?? []).map((value) => ({ value, description: '' }));
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
  const argument = command.registeredArguments[args.length];
  if (!argument) return [];
  if (argument.argChoices) return argument.argChoices.map((value) => ({ value, description: '' }));
  if (argument.name() !== 'namespace/name' || command.parent?.name() !== 'release') return [];
  return await runningReleases(words, session);
}

/** Names of running releases, or nothing when Temporal does not answer in time. */
async function runningReleases(words: string[], session: Session): Promise<Candidate[]> {
  const valueOf = (...names: string[]) => {
    const at = words.findIndex((word) => names.includes(word));
    return at < 0 ? undefined : words[at + 1];
  };
  const address = valueOf('--address');
  const namespace = valueOf('-n', '--namespace');
  const releases = await listWithin(NAMES_WITHIN_MS, session, {
    ...(address === undefined ? {} : { address }),
    ...(namespace === undefined ? {} : { namespace }),
  });
  return releases.map((each) => ({
    value: namespace === undefined ? `${each.namespace}/${each.workload}` : each.workload,
    description: `${each.phase ?? 'running'}: ${each.image}`,
  }));
}

async function listWithin(
  ms: number,
  session: Session,
  where: { address?: string; namespace?: string },
): Promise<ListedRelease[]> {
  const { address, namespace } = where;
  const started = session.now();
  let timer: NodeJS.Timeout | undefined;
  try {
    const client = await session.connect({
      connectWithin: ms,
      ...(address === undefined ? {} : { address }),
    });
    const late = new Promise<[]>((resolve) => {
      timer = setTimeout(() => resolve([]), Math.max(0, ms - (session.now() - started)));
    });
    const listed = client.list({ limit: MOST_NAMES, ...(namespace === undefined ? {} : { namespace }) });
    try {
      return await Promise.race([listed.catch(() => []), late]);
    } finally {
      await client.close();
    }
  } catch {
    return [];
  } finally {
    clearTimeout(timer);
  }
}

function lines(candidates: Candidate[], typed: string, files: boolean): string[] {
  const fitting = candidates.filter(({ value }) => value.startsWith(typed));
  const shown = fitting.map(({ value, description }) => `${value}\t${description.replaceAll(/\s+/g, ' ')}`);
  return [...shown, files ? DIRECTIVE.files : DIRECTIVE.noFiles];
}
