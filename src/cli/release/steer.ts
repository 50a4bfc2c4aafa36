/** `release pause`, `resume`, `promote` and `abort`. */
import type { SlipwayClient } from '../../client.ts';
import type { QueueStatus, ReleaseStatus } from '../../domain/release/types.ts';
import { withClient } from '../connect.ts';
import { EXIT } from '../exit.ts';
import { explain, Failure, required } from '../failure.ts';
import { whoami } from '../identity.ts';
import { type Format, printData } from '../output.ts';
import type { ConnectFlags, Session } from '../session.ts';
import { parseTarget, type TargetName } from '../target.ts';

export type SteerName = 'pause' | 'resume' | 'promote' | 'abort';

export interface SteerFlags extends ConnectFlags {
  namespace?: string;
  by?: string;
  why?: string;
  output?: Format;
}

export interface AbortFlags extends SteerFlags {
  id?: string;
}

/** Who overrides a release says why. */
const OVERRIDES: readonly SteerName[] = ['promote', 'abort'];

const DONE: Record<SteerName, string> = {
  pause: 'Paused: every clock stands still, guards stay on.',
  resume: 'Resumed.',
  promote: 'Skipping what remains; going to 100 %.',
  abort: 'Aborting: the stable version is being put back.',
};

export async function steer(
  session: Session,
  name: SteerName,
  text: string,
  flags: SteerFlags,
): Promise<void> {
  const target = parseTarget(text, flags.namespace);
  if (OVERRIDES.includes(name)) required(flags.why, '--why TEXT');
  const command = {
    by: flags.by ?? whoami(session.env),
    ...(flags.why === undefined ? {} : { why: flags.why }),
  };
  await withClient(session, flags, async (client) => {
    await say(session, name, target, flags, await send(client, name, target, command));
  });
}

/** `abort --id`: the release with this key and no other, whether it runs or stands in line. */
export async function abortById(session: Session, text: string, flags: AbortFlags): Promise<void> {
  const target = parseTarget(text, flags.namespace);
  const id = required(flags.id, '--id KEY');
  const command = { by: flags.by ?? whoami(session.env), why: required(flags.why, '--why TEXT') };
  await withClient(session, flags, async (client) => {
    const line = await withdrawn(client, target, { ...command, id });
    if (!line) return await abortRunning(session, client, target, { ...flags, id }, command);
    if (await printData(session, flags.output, line)) return;
    const full = `${target.namespace}/${target.name}`;
    if (flags.output === 'name') session.out(full);
    else session.out(`Taken out of the line of ${full}; nothing had been changed.`);
  });
}

/** `null`: it does not stand in line. */
async function withdrawn(
  client: SlipwayClient,
  target: TargetName,
  command: { id: string; by: string; why: string },
): Promise<QueueStatus | null> {
  // Who is not there need not be asked for: without a line there is nobody to ask.
  const waiting = await client.waiting(target.namespace, target.name);
  if (!waiting?.some(({ key }) => key === command.id)) return null;
  return await client.withdraw(target, command);
}

async function abortRunning(
  session: Session,
  client: SlipwayClient,
  target: TargetName,
  flags: AbortFlags & { id: string },
  command: { by: string; why: string },
): Promise<void> {
  const full = `${target.namespace}/${target.name}`;
  const { status } = await client.status(target.namespace, target.name);
  if (status.key !== flags.id) {
    throw new Failure(
      'no-release',
      EXIT.failed,
      `no release of ${full} with the id "${flags.id}" runs or stands in line; see slipway release status ${full}`,
    );
  }
  const sent = status.outcome === null ? await client.abort(target, command, { run: status.run }) : null;
  await say(session, 'abort', target, flags, sent);
}

async function say(
  session: Session,
  name: SteerName,
  target: TargetName,
  flags: SteerFlags,
  status: ReleaseStatus | null,
): Promise<void> {
  const full = `${target.namespace}/${target.name}`;
  if (status === null) {
    if (!(await printData(session, flags.output, { aborted: false, reason: 'nothing in progress' })))
      session.out(`Nothing to abort: no release of ${full} is in progress.`);
    return;
  }
  if (await printData(session, flags.output, status)) return;
  if (flags.output === 'name') session.out(full);
  else session.out(`${DONE[name]} Follow it: slipway release watch ${full}`);
}

/** `null`: there was nothing to abort, which is what whoever aborts wants. */
async function send(
  client: SlipwayClient,
  name: SteerName,
  target: TargetName,
  command: { by: string; why?: string },
): Promise<ReleaseStatus | null> {
  try {
    return await client[name](target, command);
  } catch (error) {
    if (name === 'abort' && explain(error).code === 'no-release') return null;
    throw error;
  }
}
