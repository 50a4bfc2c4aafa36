/** `slipway backup ...`: the definitions; actions live in backup/ and are loaded when they run. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { CatalogFlags } from '../backup/catalog.ts';
import type { ManifestFlags } from '../backup/manifest.ts';
import type { FileFlags, PolicyFlags, SteerPolicyFlags } from '../backup/policies.ts';
import type { PruneFlags } from '../backup/prune.ts';
import type { RunFlags, ThrottleFlags, WatchRunFlags } from '../backup/run.ts';
import { connectOptions } from '../connect.ts';
import { outputOption } from '../output.ts';
import type { Context } from '../session.ts';
import { durationFlag } from './release.ts';

export const BACKUP_EXIT_CODES = `
Exit codes with --wait: 0 done without a problem, 1 failed, or done with problems (a failed drill, say), 2 bad input,
4 cancelled or rejected by a person, 6 still running at --timeout or when detached.`;

export function addBackupCommands(program: Command, context: Context): void {
  const group = program.command('backup').description('MongoDB backups that are known to restore');
  addPolicies(group, context);
  addRuns(group, context);
  addCatalog(group, context);
  addFiles(group, context);
}

function fileOption(what = 'the backup policy, YAML or JSON; - reads standard input'): Option {
  return new Option('-f, --file <file>', what);
}

/** How a command is used, below its options. */
export function exampleText(...lines: string[]): string {
  return `\nExample${lines.length === 1 ? '' : 's'}:\n${lines.map((line) => `  $ ${line}`).join('\n')}`;
}

export function byOption(): Option {
  return new Option('--by <who>', 'who gives the command (default: SLIPWAY_USER, the CI user, or user@host)');
}

/** A policy is named, or given as a file; with a file no Temporal is needed where only the destination is read. */
export function policyOptions(command: Command): Command {
  return connectOptions(
    command
      .option('-p, --policy <name>', 'name of an applied policy')
      .addOption(fileOption('the policy as a file instead, so that no Temporal is needed')),
  );
}

function addPolicies(group: Command, { session }: Context): void {
  connectOptions(group.command('apply').description('create or update the schedule of a policy'))
    .addOption(fileOption())
    .addOption(outputOption(['json', 'yaml', 'name']))
    .addHelpText('after', '\nExample:\n  $ slipway backup apply -f examples/policies/ecommerce-mongodb.yaml')
    .action(async (flags: FileFlags) => {
      const { apply } = await import('../backup/policies.ts');
      await apply(session, flags);
    });
  connectOptions(group.command('policies').description('policies that are applied, and when they run next'))
    .addOption(outputOption(['json', 'yaml', 'name']))
    .addHelpText('after', exampleText('slipway backup policies'))
    .action(async (flags: PolicyFlags) => {
      const { policies } = await import('../backup/policies.ts');
      await policies(session, flags);
    });
  connectOptions(
    group
      .command('describe')
      .description('a policy, its schedule and its last runs')
      .argument('<policy>', 'name of the policy'),
  )
    .addOption(outputOption(['json', 'yaml']))
    .addHelpText('after', exampleText('slipway backup describe ecommerce-mongodb'))
    .action(async (name: string, flags: PolicyFlags) => {
      const { describe } = await import('../backup/policies.ts');
      await describe(session, name, flags);
    });
  for (const [name, what] of [
    ['pause', 'stop planned runs; a run that is under way goes on'],
    ['resume', 'let planned runs start again'],
  ] as const) {
    connectOptions(group.command(name).description(what).argument('<policy>', 'name of the policy'))
      .option('--why <text>', 'why; the schedule keeps it')
      .addOption(byOption())
      .addHelpText(
        'after',
        exampleText(
          `slipway backup ${name} ecommerce-mongodb --why "${name === 'pause' ? 'incident 4711' : 'incident is over'}"`,
        ),
      )
      .action(async (policy: string, flags: SteerPolicyFlags) => {
        const { steer } = await import('../backup/policies.ts');
        await steer(session, name, policy, flags);
      });
  }
  connectOptions(
    group
      .command('delete')
      .description('remove a policy; its backups stay')
      .argument('<policy>', 'name of the policy'),
  )
    .option('-y, --yes', 'do not ask')
    .addHelpText('after', exampleText('slipway backup delete ecommerce-mongodb'))
    .action(async (policy: string, flags: PolicyFlags & { yes?: boolean }) => {
      const { remove } = await import('../backup/policies.ts');
      await remove(session, policy, flags);
    });
}

function addRuns(group: Command, { session, exit }: Context): void {
  policyOptions(group.command('run').description('back up now, also while the policy is paused'))
    .addOption(byOption())
    .option('--wait', 'follow it to its end; the exit code is its outcome')
    .option(
      '--timeout <duration>',
      'with --wait: stop waiting after this time, exit 6; the backup goes on',
      durationFlag,
    )
    .addOption(outputOption(['json', 'yaml', 'name']))
    .addHelpText(
      'after',
      `\nExample:\n  $ slipway backup run --policy ecommerce-mongodb --wait\n${BACKUP_EXIT_CODES}`,
    )
    .action(async (flags: RunFlags) => {
      const { run } = await import('../backup/run.ts');
      exit(await run(session, flags));
    });
  connectOptions(
    group
      .command('watch')
      .description('follow a backup, restore or drill to its end')
      .argument('<id>', 'id of its workflow'),
  )
    .option('--timeout <duration>', 'stop watching after this time, exit 6', durationFlag)
    .addOption(outputOption(['json', 'yaml']))
    .addHelpText('after', exampleText('slipway backup watch backup.ecommerce-mongodb-2026-11-23T01:00:00Z'))
    .action(async (id: string, flags: WatchRunFlags) => {
      const { watch } = await import('../backup/run.ts');
      exit(await watch(session, id, flags));
    });
  policyOptions(
    group.command('drill').description('restore a backup into a scratch place and compare it, now'),
  )
    .option('--backup <id>', 'the backup (default: the newest verified one)')
    .addOption(byOption())
    .option('--wait', 'follow it to its end; the exit code is its outcome')
    .option('--timeout <duration>', 'with --wait: stop waiting after this time, exit 6', durationFlag)
    .addOption(outputOption(['json', 'yaml', 'name']))
    .addHelpText(
      'after',
      `${exampleText('slipway backup drill --policy ecommerce-mongodb --wait')}\n${BACKUP_EXIT_CODES}`,
    )
    .action(async (flags: RunFlags & { backup?: string }) => {
      const { drill } = await import('../backup/run.ts');
      exit(await drill(session, flags));
    });
  connectOptions(
    group
      .command('throttle')
      .description('limit how fast a running backup reads')
      .argument('<policy>', 'name of the policy'),
  )
    .requiredOption(
      '--mb-per-second <number>',
      'megabytes of BSON a second; none takes the limit away',
      limitFlag,
    )
    .addOption(byOption())
    .addHelpText(
      'after',
      exampleText(
        'slipway backup throttle ecommerce-mongodb --mb-per-second 20',
        'slipway backup throttle ecommerce-mongodb --mb-per-second none',
      ),
    )
    .action(async (policy: string, flags: ThrottleFlags) => {
      const { throttle } = await import('../backup/run.ts');
      await throttle(session, policy, flags);
    });
  connectOptions(
    group
      .command('cancel')
      .description('stop a backup, restore or drill; it cleans up after itself')
      .argument('<id>', 'id of its workflow'),
  )
    .addHelpText('after', exampleText('slipway backup cancel backup.ecommerce-mongodb-2026-11-23T01:00:00Z'))
    .action(async (id: string, flags: PolicyFlags) => {
      const { cancel } = await import('../backup/run.ts');
      await cancel(session, id, flags);
    });
}

/** Commander takes null for no value at all, so the word stays. */
function limitFlag(text: string): number | 'none' {
  if (text === 'none') return text;
  const limit = /^\d{1,6}(\.\d+)?$/.test(text) ? Number(text) : 0;
  if (!(limit > 0 && limit <= 100_000))
    throw new InvalidArgumentError('Allowed: a number above 0, up to 100000, or none.');
  return limit;
}

function addCatalog(group: Command, { session, exit }: Context): void {
  const where = (command: Command) =>
    policyOptions(command).option('--directory <path>', 'look into this directory, without any policy');
  where(group.command('list').alias('ls').description('backups at the destination, newest first'))
    .addOption(outputOption(['json', 'yaml', 'wide', 'name']))
    .addHelpText(
      'after',
      '\nExamples:\n  $ slipway backup list --policy ecommerce-mongodb\n  $ slipway backup list --directory /backup',
    )
    .action(async (flags: CatalogFlags) => {
      const { list } = await import('../backup/catalog.ts');
      await list(session, flags);
    });
  where(
    group
      .command('show')
      .description('the manifest of one backup')
      .argument('<backup>', 'id of the backup, or latest'),
  )
    .addOption(outputOption(['json', 'yaml']))
    .addHelpText(
      'after',
      exampleText(
        'slipway backup show latest --policy ecommerce-mongodb',
        'slipway backup show dump-20261123-010000 --directory /backup',
      ),
    )
    .action(async (id: string, flags: CatalogFlags) => {
      const { show } = await import('../backup/catalog.ts');
      await show(session, id, flags);
    });
  policyOptions(
    group
      .command('slices')
      .description('slices of the oplog: which moments can be restored, and where the gaps are'),
  )
    .addOption(outputOption(['json', 'yaml']))
    .addHelpText('after', '\nExample:\n  $ slipway backup slices --policy ecommerce-mongodb')
    .action(async (flags: CatalogFlags) => {
      const { slices } = await import('../backup/catalog.ts');
      await slices(session, flags);
    });
  where(
    group
      .command('verify')
      .description('read backups from end to end and compare them with their manifests')
      .argument('[backup...]', 'ids of backups (default: the newest)'),
  )
    .option('--all', 'every backup')
    .addOption(outputOption(['json', 'yaml']))
    .addHelpText('after', exampleText('slipway backup verify --policy ecommerce-mongodb --all'))
    .action(async (ids: string[], flags: CatalogFlags & { all?: boolean }) => {
      const { verify } = await import('../backup/catalog.ts');
      exit(await verify(session, ids, flags));
    });
  policyOptions(
    group.command('prune').description('delete what retention does not keep; every line has its reason'),
  )
    .option('--dry-run', 'only say what would be deleted')
    .option('-y, --yes', 'do not ask')
    .addOption(outputOption(['json', 'yaml']))
    .addHelpText('after', '\nExample:\n  $ slipway backup prune --policy ecommerce-mongodb --dry-run')
    .action(async (flags: PruneFlags) => {
      const { prune } = await import('../backup/prune.ts');
      exit(await prune(session, flags));
    });
}

function addFiles(group: Command, { session }: Context): void {
  group
    .command('validate')
    .description('check a policy file and print when it runs; needs no server')
    .addOption(fileOption())
    .addOption(outputOption(['json', 'yaml', 'name']))
    .addHelpText('after', exampleText('slipway backup validate -f backup.yaml'))
    .action(async (flags: FileFlags) => {
      const { validate } = await import('../backup/policies.ts');
      await validate(session, flags);
    });
  group
    .command('schema')
    .description('print the JSON Schema of policy files, for editors')
    .addHelpText('after', exampleText('slipway backup schema > backup.schema.json'))
    .action(async () => {
      const { schema } = await import('../backup/policies.ts');
      schema(session);
    });
  group
    .command('manifest')
    .description('print Kubernetes manifests that back up without Slipway')
    .addOption(fileOption('a policy with destination.job'))
    .option('--cronjob', 'the plain CronJob with mongodump, hardened')
    .addHelpText(
      'after',
      '\nExample:\n  $ slipway backup manifest --cronjob -f examples/policies/in-cluster-job.yaml | kubectl apply -f -',
    )
    .action(async (flags: ManifestFlags) => {
      const { manifest } = await import('../backup/manifest.ts');
      await manifest(session, flags);
    });
}
