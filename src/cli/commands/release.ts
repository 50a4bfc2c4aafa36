/** `slipway release ...`: the definitions; actions live in release/ and are loaded when they run. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { parseDuration } from '../../specs/duration.ts';
import { connectOptions } from '../connect.ts';
import { outputOption } from '../output.ts';
import type { Context } from '../session.ts';
import type { DecideFlags } from '../release/decide.ts';
import type { ListFlags } from '../release/list.ts';
import type { AbortFlags, SteerFlags, SteerName } from '../release/steer.ts';
import type { StartFlags } from '../release/start.ts';
import type { HistoryFlags, StatusFlags, WatchFlags } from '../release/show.ts';
import { withTarget } from '../target.ts';

const EXIT_CODES = `
Exit codes: 0 promoted, 1 could not do it, 2 bad input, 3 rolled back, 4 rejected or aborted by a person,
5 another release in progress (or it superseded this one), 6 still running at --timeout or when detached.`;

export function addReleaseCommands(program: Command, context: Context): void {
  const group = program.command('release').description('start, follow and steer releases');
  addStart(group, context);
  addShow(group, context);
  addDecide(group, context);
  addSteer(group, context);
  addSpec(group, context);
}

/** A duration flag, in milliseconds. */
export function durationFlag(text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined || ms <= 0)
    throw new InvalidArgumentError('Allowed: a duration such as 30s, 5m or 1h30m.');
  return ms;
}

function imagesFlag(text: string, before: Record<string, string> = {}): Record<string, string> {
  const all = { ...before };
  for (const pair of text.split(',')) {
    const at = pair.indexOf('=');
    if (at < 1 || at === pair.length - 1)
      throw new InvalidArgumentError('Allowed: CONTAINER=IMAGE, several joined by commas.');
    const container = pair.slice(0, at);
    if (Object.hasOwn(all, container))
      throw new InvalidArgumentError(`Container ${container} is given twice.`);
    all[container] = pair.slice(at + 1);
  }
  return all;
}

function fileOption(): Option {
  return new Option('-f, --file <file>', 'the release, YAML or JSON; - reads standard input (required)');
}

function byOption(): Option {
  return new Option('--by <who>', 'who gives the command (default: SLIPWAY_USER, the CI user, or user@host)');
}

function addStart(group: Command, { session, exit }: Context): void {
  connectOptions(
    group
      .command('start')
      .description('start a release')
      .addOption(fileOption())
      .option('--image <image>', 'image to launch, in place of spec.image')
      .option('--images <container=image>', 'images by container, over those of spec.images', imagesFlag)
      .option('--reason <text>', 'why, in place of spec.reason')
      .addOption(byOption())
      .option('--wait', 'follow the release to its end; the exit code is its outcome')
      .option(
        '--timeout <duration>',
        'with --wait: stop waiting after this time, exit 6; the release goes on',
        durationFlag,
      )
      .option(
        '--id <key>',
        'idempotency key of the CI job: started again with the same key, it finds its release',
      )
      .addOption(
        new Option('--on-conflict <what>', 'when another release of the workload runs')
          .choices(['fail', 'supersede', 'queue'])
          .default('fail'),
      )
      .option('--dry-run', 'check and print the plan; nothing is touched')
      .addOption(outputOption(['json', 'yaml', 'name'])),
  )
    .addHelpText(
      'after',
      `
Examples:
  $ slipway release start -f release.yaml --wait
  $ slipway release start -f release.yaml --image ecommerce/product-service:v1.1.0 --id "$CI_PIPELINE_ID" --wait --timeout 1h
  $ slipway release start -f release.yaml --dry-run
${EXIT_CODES}`,
    )
    .action(async (flags: StartFlags) => {
      const { start } = await import('../release/start.ts');
      exit(await start(session, flags));
    });
}

function addShow(group: Command, { session, exit }: Context): void {
  connectOptions(
    withTarget(
      group.command('status').description('where the release of a workload is, and what it wants from you'),
    ),
  )
    .addOption(outputOption(['json', 'yaml', 'name']))
    .addHelpText('after', '\nExample:\n  $ slipway release status ecommerce/product-service')
    .action(async (target: string, flags: StatusFlags) => {
      const { status } = await import('../release/show.ts');
      await status(session, target, flags);
    });
  connectOptions(withTarget(group.command('watch').description('follow a running release to its end')))
    .option('--timeout <duration>', 'stop watching after this time, exit 6', durationFlag)
    .addOption(outputOption(['json', 'yaml', 'name']))
    .addHelpText('after', `\nExample:\n  $ slipway release watch ecommerce/product-service\n${EXIT_CODES}`)
    .action(async (target: string, flags: WatchFlags) => {
      const { watch } = await import('../release/show.ts');
      exit(await watch(session, target, flags));
    });
  connectOptions(group.command('list').alias('ls').description('releases that run'))
    .option('-n, --namespace <namespace>', 'only this Kubernetes namespace')
    .option('--phase <phase>', 'only this phase, e.g. awaiting-approval')
    .option('-a, --all', 'finished ones too')
    .option('--limit <count>', 'at most so many, newest first', countFlag, 50)
    .addOption(outputOption(['json', 'yaml', 'wide', 'name']))
    .addHelpText(
      'after',
      '\nExamples:\n  $ slipway release list\n  $ slipway release list --phase awaiting-approval -o name',
    )
    .action(async (flags: ListFlags) => {
      const { list } = await import('../release/list.ts');
      await list(session, flags);
    });
  connectOptions(
    withTarget(
      group.command('history').description('past releases of a workload: who, what, why, how it ended'),
    ),
  )
    .option('--limit <count>', 'at most so many, newest first', countFlag, 20)
    .addOption(outputOption(['json', 'yaml', 'wide']))
    .addHelpText('after', '\nExample:\n  $ slipway release history ecommerce/product-service')
    .action(async (target: string, flags: HistoryFlags) => {
      const { history } = await import('../release/show.ts');
      await history(session, target, flags);
    });
}

function countFlag(text: string): number {
  const count = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (count < 1 || count > 1_000) throw new InvalidArgumentError('Allowed: a whole number from 1 to 1000.');
  return count;
}

function addDecide(group: Command, { session }: Context): void {
  for (const [name, what] of [
    ['approve', 'open the gate at which a release waits'],
    ['reject', 'refuse at a gate: the release is rolled back'],
  ] as const) {
    connectOptions(withTarget(group.command(name).description(what)))
      .option('--why <text>', 'why; history keeps it (required)')
      .option('--gate <name>', 'the gate (default: the one that is open)')
      .option('--revision <hash>', 'the revision decided upon (default: the one that waits)')
      .addOption(byOption())
      .addOption(outputOption(['json', 'yaml', 'name']))
      .addHelpText(
        'after',
        `\nExample:\n  $ slipway release ${name} ecommerce/product-service --why "${name === 'approve' ? 'error rate is flat' : 'latency doubled'}"`,
      )
      .action(async (target: string, flags: DecideFlags) => {
        const { decide } = await import('../release/decide.ts');
        await decide(session, name, target, flags);
      });
  }
}

const STEER: Record<SteerName, string> = {
  pause: 'stop every clock of a release; guards stay on',
  resume: 'go on after a pause or a hold',
  promote: 'skip what remains and go to 100 %',
  abort: 'stop a release and put the stable version back',
};

function addSteer(group: Command, { session }: Context): void {
  const why = (name: SteerName) =>
    `why; history keeps it${name === 'promote' || name === 'abort' ? ' (required)' : ''}`;
  const example = (name: SteerName) =>
    `  $ slipway release ${name} ecommerce/product-service --why "checkout team asked"`;
  const add = (name: SteerName): Command =>
    connectOptions(withTarget(group.command(name).description(STEER[name])))
      .option('--why <text>', why(name))
      .addOption(byOption())
      .addOption(outputOption(['json', 'yaml', 'name']));
  for (const name of ['pause', 'resume', 'promote'] as const) {
    add(name)
      .addHelpText('after', `\nExample:\n${example(name)}`)
      .action(async (target: string, flags: SteerFlags) => {
        const { steer } = await import('../release/steer.ts');
        await steer(session, name, target, flags);
      });
  }
  add('abort')
    .option('--id <key>', 'only the release with this id; one that stands in line is taken out of it')
    .addHelpText(
      'after',
      `\nExamples:\n${example('abort')}\n${example('abort').replace('--why', '--id "$CI_PIPELINE_ID" --why')}`,
    )
    .action(async (target: string, flags: AbortFlags) => {
      const { abortById, steer } = await import('../release/steer.ts');
      await (flags.id === undefined
        ? steer(session, 'abort', target, flags)
        : abortById(session, target, flags));
    });
}

function addSpec(group: Command, { session }: Context): void {
  group
    .command('validate')
    .description('check a release file; needs no server')
    .addOption(fileOption())
    .option('--image <image>', 'image to launch, in place of spec.image')
    .option('--images <container=image>', 'images by container, over those of spec.images', imagesFlag)
    .option('--reason <text>', 'why, in place of spec.reason')
    .addOption(outputOption(['json', 'yaml', 'name']))
    .addHelpText(
      'after',
      '\nExample:\n  $ slipway release validate -f examples/releases/product-service-v1.1.0.yaml',
    )
    .action(async (flags: StartFlags) => {
      const { validate } = await import('../release/spec.ts');
      await validate(session, flags);
    });
  group
    .command('schema')
    .description('print the JSON Schema of release files, for editors')
    .addHelpText('after', '\nExample:\n  $ slipway release schema > release.schema.json')
    .action(async () => {
      const { schema } = await import('../release/spec.ts');
      schema(session);
    });
}
