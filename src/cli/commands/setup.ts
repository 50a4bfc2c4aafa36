/** `slipway setup`: makes a Temporal namespace fit. Idempotent. */
import { type Command, InvalidArgumentError } from 'commander';
import { parseDuration } from '../../specs/duration.ts';
import { connectOptions, withClient } from '../connect.ts';
import { type Format, outputOption, printData } from '../output.ts';
import type { Context } from '../session.ts';
import type { ConnectFlags } from '../session.ts';

interface SetupFlags extends ConnectFlags {
  retention: string;
  output?: Format;
}

export function addSetupCommand(program: Command, { session }: Context): void {
  connectOptions(
    program
      .command('setup')
      .description('make the Temporal namespace fit: search attributes and retention; repeat it at will'),
  )
    .option('--retention <duration>', 'keep finished releases at least this long', retentionFlag, '30d')
    .addOption(outputOption(['json', 'yaml']))
    .addHelpText('after', '\nExample:\n  $ slipway setup --retention 90d')
    .action(async (flags: SetupFlags) => {
      await withClient(session, flags, async (client) => {
        const result = await client.setup({ retention: flags.retention });
        const view = client.savedViewUrl();
        if (await printData(session, flags.output, { ...result, savedViewUrl: view })) return;
        const { added, retention } = result;
        session.out(
          added.length > 0 ? `Search attributes added: ${added.join(', ')}.` : 'Search attributes are there.',
        );
        if (retention) session.out(`Retention raised from ${retention.from} to ${retention.to}.`);
        else session.out(`Retention is ${flags.retention} or longer.`);
        if (view) session.out(`Awaiting approval, in the Temporal UI: ${view}`);
      });
    });
}

/** Temporal keeps nothing for less than a day. */
function retentionFlag(text: string): string {
  const ms = parseDuration(text);
  if (ms === undefined || ms < 86_400_000)
    throw new InvalidArgumentError('Allowed: a duration of at least 1d, such as 30d.');
  return text;
}
