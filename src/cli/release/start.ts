/** `release start`: from a file to a running release, and to its end with `--wait`. */
import type { SlipwayClient } from '../../client.ts';
import type { ReleaseStatus } from '../../domain/release/types.ts';
import { EXIT } from '../exit.ts';
import { badInput } from '../failure.ts';
import { whoami } from '../identity.ts';
import { withClient } from '../connect.ts';
import { type Format, printData } from '../output.ts';
import { renderPlan } from '../render/plan.ts';
import type { ConnectFlags, Session } from '../session.ts';
import { follow } from './follow.ts';
import { readRelease, type SpecFlags } from './spec.ts';

/** Preflight reads a few objects; without a worker it never ends. */
const DRY_RUN_MS = 60_000;

export interface StartFlags extends SpecFlags, ConnectFlags {
  by?: string;
  wait?: boolean;
  /** Milliseconds. */
  timeout?: number;
  id?: string;
  onConflict: 'fail' | 'supersede' | 'queue';
  dryRun?: boolean;
  output?: Format;
}

/** Returns the exit code. */
export async function start(session: Session, flags: StartFlags): Promise<number> {
  if (flags.timeout !== undefined && !flags.wait) throw badInput('--timeout: only goes with --wait');
  if (flags.wait && flags.dryRun)
    throw badInput('--wait: does not go with --dry-run, which always waits for its findings');
  if (flags.id !== undefined && flags.id.trim() === '') {
    throw badInput('--id: is empty; allowed: a text of 1 to 200 characters. Is the CI variable set?');
  }
  const release = await readRelease(session, flags);
  const input = {
    release,
    starter: flags.by ?? whoami(session.env),
    key: flags.id ?? null,
    dryRun: flags.dryRun ?? false,
  };
  return await withClient(session, flags, async (client) => {
    const started = await client.startRelease({ input, onConflict: flags.onConflict });
    const { namespace, name } = release.metadata;
    if (flags.dryRun) return await dryRun(session, flags, client, started);
    const target = `${namespace}/${name}`;
    const url = client.workflowUrl(started.id, started.run);
    if (!flags.wait) {
      const data = { namespace, workload: name, ...started, url };
      if (await printData(session, flags.output, data)) return EXIT.ok;
      if (flags.output === 'name') session.out(target);
      else announce(session, target, started, url);
      return EXIT.ok;
    }
    if (flags.output === undefined) session.out(startedLine(target, started));
    return await follow(session, client, started, {
      target,
      timeoutMs: flags.timeout,
      output: flags.output,
    });
  });
}

type Started = Awaited<ReturnType<SlipwayClient['startRelease']>>;

function startedLine(target: string, { attached, queued }: Started): string {
  if (attached) return `Found the release of ${target} that was started with this --id.`;
  return queued ? `Release of ${target} stands in line.` : `Release of ${target} started.`;
}

function announce(session: Session, target: string, started: Started, url: string | null): void {
  session.out(startedLine(target, started));
  session.out(`  Follow it:    slipway release watch ${target}`);
  session.out(`  Put it back:  slipway release abort ${target} --why "..."`);
  if (url) session.out(`  Temporal UI:  ${url}`);
}

async function dryRun(
  session: Session,
  flags: StartFlags,
  client: SlipwayClient,
  started: Started,
): Promise<number> {
  const view = await client.waitForOutcome(started, { timeoutMs: DRY_RUN_MS });
  const status = view?.status;
  if (!status || view.execution === 'running') {
    session.err(
      `slipway: the dry run did not end within ${DRY_RUN_MS / 1_000} s; is \`slipway worker\` running?`,
    );
    return EXIT.stillRunning;
  }
  if (!(await printData(session, flags.output, status))) {
    for (const line of renderPlan(status, session.colors)) session.out(line);
  }
  return refused(status) ? EXIT.failed : EXIT.ok;
}

function refused(status: ReleaseStatus): boolean {
  return status.outcome === 'failed' || status.findings.some(({ level }) => level === 'error');
}
