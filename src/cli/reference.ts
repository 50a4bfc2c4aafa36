/** The help of every command as one Markdown text; docs/cli.md holds it, and a test compares them. */
import type { Command } from 'commander';
import picocolors from 'picocolors';
import { buildProgram } from './program.ts';
import type { Session } from './session.ts';

const WIDTH = 100;

export function cliReference(): string {
  let text = '';
  const program = buildProgram(
    paper((more) => (text += more)),
    () => undefined,
  );
  const helpOf = (command: Command): string => {
    text = '';
    command.outputHelp();
    return text.trim();
  };
  return commandsOf(program)
    .map((command) => `### ${nameOf(command)}\n\n\`\`\`text\n${helpOf(command)}\n\`\`\`\n`)
    .join('\n');
}

/** Commands that do something, in the order of the help. */
function commandsOf(command: Command): Command[] {
  const visible = command
    .createHelp()
    .visibleCommands(command)
    .filter((each) => each.name() !== 'help');
  return visible.flatMap((each) => (each.commands.length > 0 ? commandsOf(each) : [each]));
}

function nameOf(command: Command): string {
  return command.parent ? `${nameOf(command.parent)} ${command.name()}` : command.name();
}

/** A session that can only be written to. */
function paper(write: (text: string) => void): Session {
  const refuse = () => {
    throw new Error('help needs no server');
  };
  return {
    write,
    out: write,
    err: write,
    env: {},
    readStdin: refuse,
    terminal: { live: false, columns: WIDTH, rows: WIDTH, onResize: () => () => undefined },
    colors: picocolors.createColors(false),
    now: () => 0,
    confirm: refuse,
    interrupted: refuse,
    connect: refuse,
    openKube: refuse,
  };
}
