/** `release pause`, `resume`, `promote` and `abort`. */
import type { SlipwayClient } from '../../client.ts';
import type { ReleaseStatus } from '../../domain/release/types.ts';
import { withClient } from '../connect.ts';
import { explain, required } from '../failure.ts';
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
    const status = await send(client, name, target, command);
    if (status === null) {
      if (!(await printData(session, flags.output, { aborted: false, reason: 'nothing in progress' }))) {
        session.out(`Nothing to abort: no release of ${target.namespace}/${target.name} is in progress.`);
      }
      return;
    }
    if (await printData(session, flags.output, status)) return;
    const full = `${target.namespace}/${target.name}`;
    if (flags.output === 'name') session.out(full);
    else session.out(`${DONE[name]} Follow it: slipway release watch ${full}`);
  });
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
