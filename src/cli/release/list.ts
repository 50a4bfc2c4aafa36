/** `release list`. */
import type { Phase } from '../../domain/release/types.ts';
import { nearest } from '../../specs/errors.ts';
import { withClient } from '../connect.ts';
import { badInput } from '../failure.ts';
import { type Format, printData } from '../output.ts';
import { renderList } from '../render/lists.ts';
import { PHASES } from '../render/status.ts';
import type { ConnectFlags, Session } from '../session.ts';

export interface ListFlags extends ConnectFlags {
  namespace?: string;
  phase?: string;
  all?: boolean;
  limit: number;
  output?: Format;
}

export async function list(session: Session, flags: ListFlags): Promise<void> {
  const phase = flags.phase === undefined ? undefined : knownPhase(flags.phase);
  await withClient(session, flags, async (client) => {
    const releases = await client.list({
      ...(phase === undefined ? {} : { phase }),
      ...(flags.namespace === undefined ? {} : { namespace: flags.namespace }),
      all: flags.all ?? false,
      limit: flags.limit,
    });
    if (await printData(session, flags.output, releases)) return;
    if (flags.output === 'name') {
      for (const { namespace, workload } of releases) session.out(`${namespace}/${workload}`);
      return;
    }
    if (releases.length === 0) session.err(flags.all ? 'There are no releases.' : 'No release is running.');
    const { colors } = session;
    for (const line of renderList(releases, { colors, now: session.now(), wide: flags.output === 'wide' }))
      session.out(line);
    const url = client.savedViewUrl();
    if (url && releases.some((each) => each.phase === 'awaiting-approval'))
      session.out(`\nAwaiting approval, in the Temporal UI: ${url}`);
  });
}

function knownPhase(text: string): Phase {
  if (Object.hasOwn(PHASES, text)) return text as Phase;
  const known = Object.keys(PHASES);
  const near = nearest(text, known);
  throw badInput(
    `--phase: found "${text}"; ${near ? `did you mean ${near}?` : `allowed: ${known.join(', ')}`}`,
  );
}
