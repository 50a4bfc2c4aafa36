/** `backup run|watch|drill|throttle|cancel`, and how backups, restores and drills are followed. */
import type { RunRef, RunView } from '../../client/backup.ts';
import type { SlipwayClient } from '../../client.ts';
import type { DrillStatus } from '../../domain/backup/drill.types.ts';
import type { RestoreStatus } from '../../domain/backup/restore.types.ts';
import type { BackupStatus } from '../../domain/backup/types.ts';
import { withClient } from '../connect.ts';
import { EXIT } from '../exit.ts';
import { badInput, Failure } from '../failure.ts';
import { whoami } from '../identity.ts';
import { type Format, printData } from '../output.ts';
import { approvalLines, progressText, resultLines } from '../render/backup.ts';
import type { ConnectFlags, Session } from '../session.ts';
import { policyOf, readPolicy, type WhichPolicy } from './policy-file.ts';

/** Without a terminal a line is printed when something changes, and at least this often. */
const LINE_EVERY_MS = 10_000;

export interface RunFlags extends WhichPolicy {
  by?: string;
  wait?: boolean;
  /** Milliseconds. */
  timeout?: number;
  output?: Format;
}

export interface WatchRunFlags extends ConnectFlags {
  timeout?: number;
  output?: Format;
}

export interface ThrottleFlags extends ConnectFlags {
  mbPerSecond: number | 'none';
  by?: string;
}

type AnyStatus = BackupStatus | RestoreStatus | DrillStatus;

export async function run(session: Session, flags: RunFlags): Promise<number> {
  const policy = flags.file === undefined ? null : await readPolicy(session, flags.file);
  return await withClient(session, flags, async (client) => {
    const wanted = policy ?? (await client.backups.policy(nameOf(flags)));
    const ref = await client.backups.run(wanted, flags.by ?? whoami(session.env));
    return await startedOrFollowed(session, client, ref, flags);
  });
}

function nameOf({ policy }: WhichPolicy): string {
  if (policy === undefined) throw badInput('--policy NAME or --file FILE is missing');
  return policy;
}

export async function drill(session: Session, flags: RunFlags & { backup?: string }): Promise<number> {
  const policy = await policyOf(session, flags);
  const { newestBackup } = await import('./place.ts');
  const backup = flags.backup ?? (await newestBackup(session, policy));
  return await withClient(session, flags, async (client) => {
    const ref = await client.backups.startDrill(policy, backup, flags.by ?? whoami(session.env));
    return await startedOrFollowed(session, client, ref, flags);
  });
}

/** After a start: says how to follow, or follows. Returns the exit code. */
export async function startedOrFollowed(
  session: Session,
  client: SlipwayClient,
  ref: RunRef,
  flags: Pick<RunFlags, 'wait' | 'timeout' | 'output'>,
): Promise<number> {
  if (flags.timeout !== undefined && !flags.wait) throw badInput('--timeout: only goes with --wait');
  const url = client.workflowUrl(ref.id, ref.run);
  if (!flags.wait) {
    if (await printData(session, flags.output, { ...ref, url })) return EXIT.ok;
    if (flags.output === 'name') session.out(ref.id);
    else {
      session.out(`${ref.id} started.`);
      session.out(`  Follow it:    slipway backup watch ${ref.id}`);
      if (url) session.out(`  Temporal UI:  ${url}`);
    }
    return EXIT.ok;
  }
  return await followed(session, client, ref, flags);
}

export async function watch(session: Session, id: string, flags: WatchRunFlags): Promise<number> {
  return await withClient(session, flags, (client) => followed(session, client, { id, run: null }, flags));
}

async function followed(
  session: Session,
  client: SlipwayClient,
  ref: RunRef,
  { timeout, output }: Pick<RunFlags, 'timeout' | 'output'>,
): Promise<number> {
  const { signal, stop } = session.interrupted();
  const show = output === undefined ? progressLines(session) : () => undefined;
  // Whoever looks on from elsewhere, or wants to stop it, needs the id.
  if (output === undefined) session.out(ref.id);
  let view: RunView<AnyStatus>;
  try {
    view = await client.backups.follow<AnyStatus>(ref, {
      onView: show,
      signal,
      ...(timeout === undefined ? {} : { timeoutMs: timeout }),
    });
  } finally {
    stop();
  }
  if (!(await printData(session, output, view.status ?? view))) {
    if (output === 'name') session.out(ref.id);
    else for (const line of resultLines(view)) session.out(line);
  }
  if (view.execution === 'RUNNING') {
    session.err(`${ref.id} goes on; come back with: slipway backup watch ${ref.id}`);
    return EXIT.stillRunning;
  }
  return exitOfRun(view);
}

function exitOfRun({ execution, status }: RunView<AnyStatus>): number {
  if (execution === 'CANCELLED' || execution === 'TERMINATED') return EXIT.stopped;
  if (execution !== 'COMPLETED') return EXIT.failed;
  if (status?.phase === 'rejected') return EXIT.stopped;
  return status && 'problems' in status && status.problems.length > 0 ? EXIT.failed : EXIT.ok;
}

/** What happened as it happens, and the progress now and then. */
function progressLines(session: Session): (view: RunView<AnyStatus>) => void {
  let last = '';
  let shownAt = 0;
  let told = 0;
  let asked = false;
  return (view) => {
    for (const { at, text } of 'timeline' in (view.status ?? {})
      ? (view.status as BackupStatus).timeline.slice(told)
      : []) {
      session.out(`${at.slice(11, 19)} ${text}`);
      told++;
    }
    if (!asked) {
      const lines = approvalLines(view);
      asked = lines.length > 0;
      for (const line of lines) session.out(line);
    }
    const text = view.execution === 'RUNNING' ? progressText(view) : '';
    if (text === '' || text === last || session.now() - shownAt < LINE_EVERY_MS) return;
    last = text;
    shownAt = session.now();
    session.out(`${new Date(shownAt).toISOString().slice(11, 19)} ${text}`);
  };
}

export async function throttle(session: Session, policy: string, flags: ThrottleFlags): Promise<void> {
  const mbPerSecond = flags.mbPerSecond === 'none' ? null : flags.mbPerSecond;
  await withClient(session, flags, async ({ backups }) => {
    const running = await backups.running(policy);
    const [ref] = running;
    if (!ref) throw new Failure('no-run', EXIT.failed, `no backup of policy ${policy} is running`);
    for (const each of running)
      await backups.throttle(each, { mbPerSecond, by: flags.by ?? whoami(session.env) });
    session.out(
      `${running.map(({ id }) => id).join(', ')}: ${mbPerSecond === null ? 'no limit' : `at most ${mbPerSecond} MB/s`}.`,
    );
  });
}

export async function cancel(session: Session, id: string, flags: ConnectFlags): Promise<void> {
  await withClient(session, flags, (client) => client.backups.cancel({ id, run: null }));
  session.out(`${id} was asked to stop; it cleans up first.`);
}
