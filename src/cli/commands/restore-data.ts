/** `slipway restore --policy ...`: data from backups; the action lives in restore/data.ts and is loaded when it runs. */
import type { Command } from 'commander';
import { BACKUP_EXIT_CODES, byOption, exampleText, policyOptions } from './backup.ts';
import { connectOptions } from '../connect.ts';
import { outputOption } from '../output.ts';
import type { Context } from '../session.ts';
import { durationFlag } from './release.ts';
import type { DecideRestoreFlags, RestoreDataFlags } from '../restore/data.ts';

const collect = (text: string, before: string[] = []): string[] => [...before, text];

/** Gives `slipway restore` itself an action, beside its subcommands. */
export function addDataRestore(group: Command, { session, exit }: Context): void {
  // Flags after a subcommand's name are the subcommand's.
  group.enablePositionalOptions();
  policyOptions(group)
    .option('--backup <id>', 'this backup of the policy')
    .option('--latest', 'the newest verified backup of the policy that no restore has replaced (the default)')
    .option(
      '--at <time>',
      'everything as it was at this time: 2026-11-23T02:00:00Z, or a cluster timestamp SECONDS,INCREMENT',
    )
    .option(
      '--archive <file>',
      'a mongodump archive that the worker can read, instead of a backup of a policy',
    )
    .option(
      '--into-env <name>',
      "restore to the server in this environment variable of the worker (default: the policy's source)",
    )
    .option('--database <name>', 'only this database; may be repeated', collect)
    .option('--collection <db.name>', 'only this collection; may be repeated', collect)
    .option(
      '--ns-from <pattern>',
      'rename namespaces, as mongorestore does, e.g. shop.*; may be repeated',
      collect,
    )
    .option('--ns-to <pattern>', 'the new name for --ns-from, e.g. shop_old.*; may be repeated', collect)
    .option('--users', 'users and roles too, when the whole server is restored')
    .option('--no-backup-before', 'do not back up what would be replaced')
    .option('--dry-run', 'only say what would be restored and replaced')
    .option('-y, --yes', 'approve the replacing of data with this command')
    .option('--approval-expires <duration>', 'how long to wait for an approval', '24h')
    .addOption(byOption())
    .option('--wait', 'follow it to its end; the exit code is its outcome')
    .option(
      '--timeout <duration>',
      'with --wait: stop waiting after this time, exit 6; the restore goes on',
      durationFlag,
    )
    .addOption(outputOption(['json', 'yaml', 'name']))
    .addHelpText(
      'after',
      `
The archive is verified before anything is touched; documents go into staging collections and are compared; only then
names are swapped. --at takes the newest backup of that time or before and replays the oplog over it, up to the last
write at or before the time (a time of the clock is the beginning of its second); \`slipway backup slices\` shows what
can be reached. Of a policy without \`pointInTime\` it takes the newest backup as it is. Replacing data needs an approval: --yes, \`slipway restore approve\`, or the Update in the Temporal UI.

Examples:
  $ slipway restore --policy ecommerce-mongodb --dry-run --wait
  $ slipway restore --policy ecommerce-mongodb --collection shop.orders --yes --wait
  $ slipway restore --policy ecommerce-mongodb --database shop --ns-from 'shop.*' --ns-to 'shop_yesterday.*' --wait
  $ slipway restore --policy ecommerce-mongodb --at 2026-11-23T11:41:07Z --database shop --dry-run --wait
  $ slipway restore --archive /backup/dump-20261123-020000.gz --into-env MONGODB_URI --wait
${BACKUP_EXIT_CODES}`,
    )
    .action(async (flags: RestoreDataFlags) => {
      const { restoreDataCommand } = await import('../restore/data.ts');
      exit(await restoreDataCommand(session, flags));
    });
  for (const [name, what] of [
    ['approve', 'let a restore replace data'],
    ['reject', 'end a restore that waits for approval; nothing is touched'],
  ] as const) {
    connectOptions(group.command(name).description(what).argument('<id>', 'id of the restore'))
      .requiredOption('--why <text>', 'why; history keeps it')
      .option('--plan <digest>', 'the plan that is decided upon (default: the one that waits)')
      .addOption(byOption())
      .addHelpText(
        'after',
        exampleText(
          `slipway restore ${name} restore.ecommerce-mongodb-2026-11-23T11:41:07Z --why "${name === 'approve' ? 'orders were dropped' : 'wrong backup'}"`,
        ),
      )
      .action(async (id: string, flags: DecideRestoreFlags) => {
        const { decideRestore } = await import('../restore/data.ts');
        await decideRestore(session, name, id, flags);
      });
  }
}
