/** `release approve` and `release reject`: people decide at a gate, and see what they decide upon. */
import type { SlipwayClient } from '../../client.ts';
import type { GateStatus, ReleaseStatus } from '../../domain/release/types.ts';
import { withClient } from '../connect.ts';
import { EXIT } from '../exit.ts';
import { badInput, Failure, required } from '../failure.ts';
import { whoami } from '../identity.ts';
import { type Format, printData } from '../output.ts';
import { PHASES } from '../render/status.ts';
import { count, shortImage } from '../render/text.ts';
import type { ConnectFlags, Session } from '../session.ts';
import { parseTarget } from '../target.ts';

export interface DecideFlags extends ConnectFlags {
  namespace?: string;
  gate?: string;
  revision?: string;
  by?: string;
  why?: string;
  output?: Format;
}

export async function decide(
  session: Session,
  decision: 'approve' | 'reject',
  text: string,
  flags: DecideFlags,
): Promise<void> {
  const target = parseTarget(text, flags.namespace);
  const why = required(flags.why, '--why TEXT');
  if (why.trim() === '') throw badInput('--why: is empty; allowed: a sentence for history');
  const by = flags.by ?? whoami(session.env);
  await withClient(session, flags, async (client) => {
    const what = await decided(client, target, flags);
    const tell = flags.output === undefined ? session.out : session.err;
    if (what.open) tell(`${decision === 'approve' ? 'Approving' : 'Rejecting'} as ${by}: ${what.open}`);
    const after = await client[decision](target, {
      gate: what.gate,
      revision: what.revision,
      by,
      why,
    });
    if (await printData(session, flags.output, after)) return;
    if (flags.output === 'name') session.out(`${target.namespace}/${target.name}`);
    else session.out(consequence(decision, after));
  });
}

/** The gate and revision that the command names, or those that are open now. */
async function decided(
  client: SlipwayClient,
  target: { namespace: string; name: string },
  flags: DecideFlags,
): Promise<{ gate: string; revision: string; open: string | null }> {
  if (flags.gate !== undefined && flags.revision !== undefined) {
    return { gate: flags.gate, revision: flags.revision, open: null };
  }
  const { status, source } = await client.status(target.namespace, target.name);
  if (!status.gate) {
    const name = `${target.namespace}/${target.name}`;
    // Temporal's index knows the phase, not the gate.
    if (source === 'index' && status.outcome === null) {
      throw new Failure(
        'no-answer',
        EXIT.failed,
        `no worker says which gate of ${name} is open; is \`slipway worker\` running? Try again, or name --gate and --revision`,
      );
    }
    throw new Failure(
      'refused',
      EXIT.failed,
      `no gate of ${name} is open; it is ${PHASES[status.phase].toLowerCase()}`,
    );
  }
  return {
    gate: flags.gate ?? status.gate.name,
    revision: flags.revision ?? status.gate.revision,
    open: describeGate(status, status.gate),
  };
}

function describeGate(status: ReleaseStatus, gate: GateStatus): string {
  const at = status.step ? `, step ${status.step.index} of ${status.step.total}` : '';
  const { canary } = status;
  return `gate ${gate.name}${at}, ${shortImage(canary.image)} (revision ${gate.revision}), ${canary.ready}/${canary.pods} pods ready`;
}

function consequence(decision: 'approve' | 'reject', { gate, phase }: ReleaseStatus): string {
  if (decision === 'reject') return 'Rejected; the release is rolled back.';
  const left = gate ? gate.needed - gate.approvals.length : 0;
  if (left > 0) return `Approved; ${count(left, 'more approval')} needed.`;
  return phase === 'paused'
    ? 'Approved; the release is paused and goes on after resume.'
    : 'Approved; the release goes on.';
}
