/** From the flags of `slipway restore` to a restore, and decisions on one. */
import type {
  BackupChoice,
  RestoreInput,
  RestoreOrigin,
  RestoreStatus,
} from '../../domain/backup/restore.types.ts';
import { MOMENT_FORM, momentClock, momentText, parseMoment } from '../../domain/point-in-time/moment.ts';
import { parseDuration } from '../../specs/duration.ts';
import type { BackupPolicy } from '../../specs/backup.types.ts';
import { policyOf } from '../backup/policy-file.ts';
import { type RunFlags, startedOrFollowed } from '../backup/run.ts';
import { withClient } from '../connect.ts';
import { EXIT } from '../exit.ts';
import { badInput, Failure } from '../failure.ts';
import { whoami } from '../identity.ts';
import type { ConnectFlags, Session } from '../session.ts';

export interface RestoreDataFlags extends RunFlags {
  backup?: string;
  latest?: boolean;
  at?: string;
  archive?: string;
  intoEnv?: string;
  database?: string[];
  collection?: string[];
  nsFrom?: string[];
  nsTo?: string[];
  users?: boolean;
  backupBefore: boolean;
  dryRun?: boolean;
  yes?: boolean;
  approvalExpires: string;
}

export interface DecideRestoreFlags extends ConnectFlags {
  why: string;
  plan?: string;
  by?: string;
}

export async function restoreDataCommand(session: Session, flags: RestoreDataFlags): Promise<number> {
  checkFlags(flags);
  const named = flags.policy !== undefined || flags.file !== undefined;
  const policy = named ? await policyOf(session, flags) : null;
  const input = inputOf(flags, policy, flags.by ?? whoami(session.env));
  return await withClient(session, flags, async (client) => {
    const ref = await client.backups.startRestore(input);
    return await startedOrFollowed(session, client, ref, flags);
  });
}

function checkFlags(flags: RestoreDataFlags): void {
  const { archive, policy, file, backup, latest, at, nsFrom = [], nsTo = [] } = flags;
  const choices = [
    backup !== undefined && '--backup',
    latest && '--latest',
    at !== undefined && '--at',
  ].filter(Boolean);
  if (choices.length > 1) throw badInput(`${choices.join(' and ')}: give one of them`);
  if (archive !== undefined && choices.length > 0)
    throw badInput(`--archive: does not go with ${choices[0]}`);
  if (archive !== undefined && !archive.startsWith('/')) {
    throw badInput(`--archive: found "${archive}"; allowed: an absolute path on the worker's machine`);
  }
  if (archive === undefined && policy === undefined && file === undefined) {
    throw badInput('--policy NAME, --file FILE or --archive FILE is missing; see slipway restore --help');
  }
  if (archive !== undefined && policy === undefined && file === undefined && flags.intoEnv === undefined) {
    throw badInput('--into-env NAME or --policy NAME is missing: which server is restored to?');
  }
  if (nsFrom.length !== nsTo.length) {
    throw badInput(
      `--ns-from is given ${nsFrom.length} times and --ns-to ${nsTo.length} times; each needs its counterpart`,
    );
  }
  for (const [i, from] of nsFrom.entries()) checkRename(from, nsTo[i] ?? '');
  if (flags.intoEnv !== undefined && !/^[A-Za-z_][A-Za-z0-9_]*$/.test(flags.intoEnv)) {
    throw badInput('--into-env: allowed: the name of an environment variable of the worker (not its value)');
  }
  if ((parseDuration(flags.approvalExpires) ?? 0) <= 0) {
    throw badInput(
      `--approval-expires: found "${flags.approvalExpires}"; allowed: a duration such as 30m or 24h`,
    );
  }
  for (const name of flags.collection ?? []) {
    if (!/^[^.]+\..+$/.test(name))
      throw badInput(`--collection: found "${name}"; allowed: DATABASE.COLLECTION`);
  }
}

function checkRename(from: string, to: string): void {
  for (const [flag, pattern] of [
    ['--ns-from', from],
    ['--ns-to', to],
  ] as const) {
    if (!pattern.includes('*') && !/^[^.]+\..+$/.test(pattern))
      throw badInput(
        `${flag}: found "${pattern}"; allowed: DATABASE.COLLECTION, with * for any text, such as shop.*`,
      );
  }
  const stars = (pattern: string) => pattern.split('*').length - 1;
  if (stars(from) !== stars(to))
    throw badInput(`--ns-from "${from}" and --ns-to "${to}" need the same number of *`);
}

function inputOf(flags: RestoreDataFlags, policy: BackupPolicy | null, starter: string): RestoreInput {
  const { nsFrom = [], nsTo = [], intoEnv } = flags;
  const uriFrom = intoEnv === undefined ? policy?.spec.source.uriFrom : { env: intoEnv };
  if (!uriFrom) throw badInput('--into-env NAME is missing');
  // A backup by the policy says nothing of another server.
  const own = policy !== null && intoEnv === undefined;
  return {
    origin: originOf(flags, policy),
    target: { uriFrom },
    selection: {
      databases: flags.database ?? null,
      collections: flags.collection ?? null,
      rename: nsFrom.map((from, i) => ({ from, to: nsTo[i] ?? '' })),
      users: flags.users ?? false,
    },
    dryRun: flags.dryRun ?? false,
    starter,
    approved: flags.yes ?? false,
    backupBefore: flags.backupBefore && own ? policy : null,
    approvalExpires: flags.approvalExpires,
  };
}

function originOf({ archive, backup, at }: RestoreDataFlags, policy: BackupPolicy | null): RestoreOrigin {
  if (archive !== undefined) return { file: archive };
  if (!policy) throw badInput('--policy NAME is missing');
  return { policy, backup: choiceOf(backup, at) };
}

function choiceOf(backup: string | undefined, at: string | undefined): BackupChoice {
  if (backup !== undefined) return { id: backup };
  if (at === undefined) return { latest: true };
  const moment = parseMoment(at);
  if (!moment) throw badInput(`--at: found "${at}"; allowed: ${MOMENT_FORM}`);
  return { at: moment.i === 0 ? momentClock(moment) : momentText(moment) };
}

export async function decideRestore(
  session: Session,
  command: 'approve' | 'reject',
  id: string,
  flags: DecideRestoreFlags,
): Promise<void> {
  await withClient(session, flags, async ({ backups }) => {
    const { status } = await backups.view<RestoreStatus>({ id });
    const plan = flags.plan ?? status?.plan?.digest;
    if (plan === undefined) throw new Failure('refused', EXIT.failed, `${id}: nothing waits for a decision`);
    const decision = { plan, by: flags.by ?? whoami(session.env), why: flags.why };
    if (command === 'approve') await backups.approveRestore({ id, run: null }, decision);
    else await backups.rejectRestore({ id, run: null }, decision);
  });
  session.out(`${id}: ${command === 'approve' ? 'approved' : 'rejected'}.`);
}
