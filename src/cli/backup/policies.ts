/** `backup apply|policies|describe|pause|resume|delete|validate|schema`. */
import { backupPolicyJsonSchema } from '../../specs/backup.ts';
import type {
  BackupPolicy,
  Destination,
  JobDestination,
  PointInTime,
  Retention,
} from '../../specs/backup.types.ts';
import type { ListedRun, RunView } from '../../client/backup.ts';
import type { ListedPolicy } from '../../client/backup/policies.ts';
import { SlipwayError } from '../../client/errors.ts';
import { changedLines, changeNotes, keyText, policyNotes } from '../../domain/backup/policy-view.ts';
import { slicesId } from '../../domain/backup/names.ts';
import { rangeText } from '../../domain/point-in-time/reach.ts';
import type { SlicesStatus } from '../../domain/point-in-time/types.ts';
import { runsBetween, scheduleTimes } from '../../domain/backup/schedule.ts';
import { withClient } from '../connect.ts';
import { badInput, required } from '../failure.ts';
import { whoami } from '../identity.ts';
import { type Format, printData, printJson } from '../output.ts';
import { span, stamp, table } from '../render/text.ts';
import type { ConnectFlags, Session } from '../session.ts';
import { readPolicy } from './policy-file.ts';

const SHOWN_RUNS = 5;
const YEAR_MS = 366 * 86_400_000;

export interface PolicyFlags extends ConnectFlags {
  output?: Format;
}

export interface FileFlags extends PolicyFlags {
  file?: string;
}

export interface SteerPolicyFlags extends ConnectFlags {
  why?: string;
  by?: string;
}

export async function apply(session: Session, flags: FileFlags): Promise<void> {
  const policy = await readPolicy(session, flags.file);
  const { name } = policy.metadata;
  await withClient(session, flags, async (client) => {
    const before = await client.backups.policy(name).catch(unlessUnknown);
    const result = await client.backups.apply(policy, whoami(session.env));
    const { next, paused } = await client.backups.describe(name);
    if (await printData(session, flags.output, { name, result, next, paused })) return;
    if (flags.output === 'name') return session.out(name);
    session.out(`Backup policy ${name} ${result}.`);
    for (const line of before ? changedLines(before, policy) : []) session.out(`  ${line}`);
    const notes = [...(before ? changeNotes(before, policy) : []), ...policyNotes(policy, session.now())];
    for (const note of notes) session.out(`  Note: ${note}`);
    session.out(paused ? '  It is paused.' : `  Next run:  ${next === null ? 'none' : stamp(next)}`);
    const { pointInTime } = policy.spec;
    if (pointInTime)
      session.out(`  Oplog:     a slice every ${pointInTime.sliceEvery}, by workflow ${slicesId(name)}`);
    session.out(`  Run now:   slipway backup run --policy ${name} --wait`);
  });
}

function unlessUnknown(error: unknown): null {
  if (error instanceof SlipwayError && error.code === 'no-policy') return null;
  throw error;
}

export async function policies(session: Session, flags: PolicyFlags): Promise<void> {
  const found = await withClient(session, flags, async ({ backups }) => {
    const all: (ListedPolicy & { lastVerified: string | null })[] = [];
    for (const each of await backups.policies())
      all.push({ ...each, lastVerified: newestVerified(await backups.runs(each.name)) });
    return all;
  });
  if (await printData(session, flags.output, found)) return;
  if (flags.output === 'name') {
    for (const { name } of found) session.out(name);
    return;
  }
  if (found.length === 0) return session.err('No backup policy is applied.');
  const rows = found.map(({ name, paused, next, lastVerified }) => [
    name,
    paused ? 'paused' : 'active',
    next === null ? '-' : `in ${span(Date.parse(next) - session.now())}`,
    lastVerified === null ? 'never' : `${span(session.now() - Date.parse(lastVerified))} ago`,
  ]);
  for (const line of table([['POLICY', 'STATE', 'NEXT RUN', 'VERIFIED'], ...rows])) session.out(line);
}

export async function describe(session: Session, name: string, flags: PolicyFlags): Promise<void> {
  const { found, slices, runs } = await withClient(session, flags, async ({ backups }) => ({
    found: await backups.describe(name),
    slices: await backups.slices(name),
    runs: await backups.runs(name),
  }));
  const lastVerified = newestVerified(runs);
  const data = { ...found, lastVerified, runs, slices: slices?.status ?? null };
  if (await printData(session, flags.output, data)) return;
  const { policy, paused, note, nextRuns } = found;
  const running = runs.filter(({ execution }) => execution === 'RUNNING');
  const ended = runs.filter(({ execution }) => execution !== 'RUNNING').slice(0, SHOWN_RUNS);
  const rows = [
    ...policyRows(policy),
    ...slicesRows(policy, slices),
    ['State', paused ? `paused (${note ?? 'no reason given'})` : 'active'],
    [
      paused ? 'Left out while paused' : 'Next runs',
      nextRuns.slice(0, SHOWN_RUNS).map(stamp).join(', ') || '-',
    ],
    ['Newest verified', lastVerified === null ? 'none known' : `data of ${stamp(lastVerified)}`],
    ...runRows('Running', running),
    ...runRows('Last runs', ended),
    [
      'Not made up for',
      `${found.missedCatchup} missed, ${found.skippedOverlap} skipped because one was running`,
    ],
  ];
  for (const line of table(rows)) session.out(line);
}

function newestVerified(runs: ListedRun[]): string | null {
  return (
    runs
      .flatMap(({ lastVerified }) => lastVerified ?? [])
      .sort()
      .at(-1) ?? null
  );
}

function runRows(title: string, runs: ListedRun[]): string[][] {
  if (runs.length === 0) return [[title, '-']];
  return runs.map(({ id, phase, execution }, i) => [
    i === 0 ? title : '',
    `${id}  ${execution === 'TERMINATED' || execution === 'TIMED_OUT' ? execution.toLowerCase() : (phase ?? execution.toLowerCase())}`,
  ]);
}

function slicesRows({ spec }: BackupPolicy, view: RunView<SlicesStatus> | null): string[][] {
  if (!spec.pointInTime) return [];
  if (!view || view.execution !== 'RUNNING')
    return [['Oplog slices', 'not running; slipway backup apply starts them again']];
  if (!view.status) return [['Oplog slices', 'no worker answers']];
  const { phase, reachedAt, problem, gaps } = view.status;
  const why = problem === null ? '' : `: ${problem.text}`;
  return [
    ['Oplog slices', `${phase}${why}; they reach to ${reachedAt ?? 'nothing yet'}`],
    ...gaps.map(({ after, until, reason }) => ['Gap', `${rangeText({ from: after, to: until })}: ${reason}`]),
  ];
}

function policyRows({ metadata, spec }: BackupPolicy): string[][] {
  const { source, schedule, destination, compression, retention, drill, alarm } = spec;
  const from =
    'env' in source.uriFrom
      ? `variable ${source.uriFrom.env}`
      : `Secret ${source.uriFrom.secret.namespace}/${source.uriFrom.secret.name}`;
  const what = source.databases ?? (source.include.length > 0 ? source.include : ['everything']);
  return [
    ['Policy', metadata.name],
    [
      'Source',
      `${what.join(', ')}${source.exclude.length > 0 ? ` without ${source.exclude.join(', ')}` : ''}, by ${from}`,
    ],
    ['Schedule', `${'at' in schedule ? `every day at ${schedule.at}` : schedule.cron}, ${schedule.timezone}`],
    ['Destination', destinationText(destination)],
    ...('job' in destination ? [['Job', jobText(destination.job)]] : []),
    ['Compression', `${compression}${spec.encryption ? ', encrypted' : ''}`],
    ...encryptionRows(spec.encryption),
    ['Retention', retentionText(retention)],
    ['Drill', drill ? `every ${drill.every}` : 'never'],
    ['Point in time', pointInTimeText(spec.pointInTime)],
    ['Alarm', alarm ? `no verified backup for ${alarm.noVerifiedBackupFor}` : 'none'],
  ];
}

function encryptionRows(encryption: BackupPolicy['spec']['encryption']): string[][] {
  if (!encryption) return [];
  const older = encryption.olderKeys ?? [];
  return [
    ['Key', keyText(encryption.keyFrom)],
    ...(older.length > 0 ? [['Older keys', older.map(keyText).join(', ')]] : []),
  ];
}

function destinationText(destination: Destination): string {
  if ('directory' in destination) return `directory ${destination.directory} of the worker`;
  if ('s3' in destination) return `s3://${destination.s3.bucket}/${destination.s3.prefix}`;
  return `PVC ${destination.job.pvc} in namespace ${destination.job.namespace}, by a Job`;
}

function pointInTimeText(pointInTime: PointInTime | null | undefined): string {
  if (!pointInTime) return 'only the moments of backups';
  const { sliceEvery, keepFor } = pointInTime;
  return `a slice of the oplog every ${sliceEvery}, kept ${keepFor === null ? 'as long as the backups' : `for ${keepFor}`}`;
}

function jobText({ image, deadline, backoffLimit, history, ttl }: JobDestination): string {
  const again = backoffLimit === 0 ? 'one attempt' : `up to ${backoffLimit + 1} attempts`;
  return `${image}, ${again} within ${deadline}; ${history.successful} good and ${history.failed} failed Jobs stay, for ${ttl}`;
}

function retentionText({ keepAtLeast, ...rules }: Retention): string {
  const kept = Object.entries(rules).map(([rule, count]) => `${rule} ${count}`);
  return `${kept.join(', ')}; never fewer than ${keepAtLeast}`;
}

export async function steer(
  session: Session,
  command: 'pause' | 'resume',
  policy: string,
  flags: SteerPolicyFlags,
): Promise<void> {
  const by = flags.by ?? whoami(session.env);
  await withClient(session, flags, async ({ backups }) => {
    if (command === 'pause') await backups.pause(policy, by, required(flags.why, '--why TEXT'));
    else await backups.resume(policy, by, flags.why);
  });
  session.out(`Backup policy ${policy} ${command === 'pause' ? 'is paused' : 'runs again'}.`);
}

export async function remove(
  session: Session,
  policy: string,
  flags: PolicyFlags & { yes?: boolean },
): Promise<void> {
  if (!flags.yes) {
    const sure = await session.confirm(
      `Remove backup policy ${policy}? Its backups stay, no new ones are made.`,
    );
    if (sure === undefined) throw badInput('--yes is missing: nobody is there to ask');
    if (!sure) return session.err('Nothing was removed.');
  }
  await withClient(session, flags, (client) => client.backups.delete(policy, whoami(session.env)));
  session.out(`Backup policy ${policy} removed.`);
}

export async function validate(session: Session, flags: FileFlags): Promise<void> {
  const policy = await readPolicy(session, flags.file);
  if (await printData(session, flags.output, policy)) return;
  if (flags.output === 'name') return session.out(policy.metadata.name);
  const now = session.now();
  const runs = runsBetween(scheduleTimes(policy.spec.schedule, now), now, now + YEAR_MS, SHOWN_RUNS);
  for (const line of table([
    ...policyRows(policy),
    ['Next runs', runs.map(stamp).join(', ') || 'none within a year'],
    ...policyNotes(policy, now).map((note) => ['Note', note]),
  ]))
    session.out(line);
}

export function schema(session: Session): void {
  printJson(session, backupPolicyJsonSchema());
}
