/** `slipway completion SHELL` prints the script; the script asks `slipway complete -- WORD ...` for every Tab. */
import { Argument, type Command } from 'commander';
import { completionScript, SHELLS, type Shell } from '../completion-scripts.ts';
import type { Context } from '../session.ts';

export function addCompletionCommands(program: Command, { session }: Context): void {
  program
    .command('completion')
    .description('print the completion script of a shell')
    .addArgument(new Argument('<shell>').choices(SHELLS))
    .addHelpText(
      'after',
      `
Examples:
  $ slipway completion bash > /etc/bash_completion.d/slipway
  $ source <(slipway completion zsh)
  $ slipway completion fish > ~/.config/fish/completions/slipway.fish`,
    )
    .action((shell: Shell) => session.write(completionScript(shell)));
  program
    .command('complete', { hidden: true })
    .argument('[words...]')
    .allowUnknownOption()
    .action(async (words: string[]) => {
      const { complete } = await import('../complete.ts');
      for (const line of await complete(program, words, session)) session.out(line);
    });
}
