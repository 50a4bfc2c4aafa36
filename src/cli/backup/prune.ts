/** `backup prune`: every line with its reason, then the question, then the deletion. */
import { prune as pruneNow, retentionVerdicts } from '../../backups/retention.ts';
import { sliceVerdict } from '../../backups/slices.ts';
import { verifiedBackups } from '../../backups/verified.ts';
import { lookAtVolume, pruneVolume, volumeVerdicts } from '../../backups/volume.ts';
import type { Verdict } from '../../domain/backup/retention.ts';
import type { PruneSummary } from '../../domain/backup/types.ts';
import type { BackupPolicy } from '../../specs/backup.types.ts';
import type { Storage } from '../../storage/storage.ts';
import { EXIT } from '../exit.ts';
import { badInput } from '../failure.ts';
import { type Format, printData } from '../output.ts';
import { table } from '../render/text.ts';
import type { Session } from '../session.ts';
import type { Claim } from './claim.ts';
import { atPlace } from './place.ts';
import type { WhichPolicy } from './policy-file.ts';
import { sliceVerdictLines } from './slices.ts';

export interface PruneFlags extends WhichPolicy {
  dryRun?: boolean;
  yes?: boolean;
  output?: Format;
}

/** What would go and what would stay, and how to let it go. */
interface Pruning {
  location: string;
  verdicts: Verdict[];
  /** What is said below the table. */
  notes: string[];
  /** Slices of the oplog that would go. */
  slices: number;
  prune(): Promise<PruneSummary>;
}

/** Exit code 1 when something could not be deleted. */
export async function prune(session: Session, flags: PruneFlags): Promise<number> {
  return await atPlace(
    session,
    flags,
    async (claim) => await carryOut(session, flags, await ofClaim(session, claim)),
    async ({ storage, policy }) =>
      policy ? await carryOut(session, flags, await ofStorage(session, storage, policy)) : EXIT.badInput,
  );
}

async function ofStorage(session: Session, storage: Storage, policy: BackupPolicy): Promise<Pruning> {
  const clocks = [{ name: 'this machine', time: session.now() }];
  const verdicts = await retentionVerdicts(storage, policy, clocks);
  const gone = new Set(doomedOf(verdicts).map(({ id }) => id));
  const stay = (await verifiedBackups(storage, policy.metadata.name)).filter(({ id }) => !gone.has(id));
  const slices = await sliceVerdict(storage, policy, stay, clocks);
  return {
    location: storage.location,
    verdicts,
    notes: sliceVerdictLines(slices),
    slices: slices.delete.length,
    prune: () => pruneNow(storage, policy, clocks),
  };
}

async function ofClaim(session: Session, { client, policy, signal }: Claim): Promise<Pruning> {
  const volume = await lookAtVolume(client, policy, signal);
  const clocks = [
    { name: 'this machine', time: session.now() },
    { name: 'the API server', time: client.now() },
  ];
  return {
    location: volume.location,
    verdicts: volumeVerdicts(volume, policy, clocks),
    notes: [],
    slices: 0,
    prune: () => pruneVolume(client, policy, clocks, signal),
  };
}

async function carryOut(session: Session, flags: PruneFlags, pruning: Pruning): Promise<number> {
  const { location, verdicts, notes, slices } = pruning;
  const say = flags.output === undefined ? session.out : () => undefined;
  const rows = verdicts.map(({ id, verdict, reasons }) => [id, verdict, reasons.join('; ')]);
  for (const line of [...table([['BACKUP', 'VERDICT', 'REASON'], ...rows]), ...notes]) say(line);
  const what = countText(doomedOf(verdicts).length, slices);
  if (flags.dryRun || what === null) {
    await printData(session, flags.output, verdicts);
    say(what === null ? 'There is nothing to delete.' : `${what} would be deleted; this was a dry run.`);
    return EXIT.ok;
  }
  if (!flags.yes) {
    const sure = await session.confirm(`Delete ${what} at ${location}?`);
    if (sure === undefined) throw badInput('--yes is missing: nobody is there to ask');
    if (!sure) return EXIT.ok;
  }
  const summary = await pruning.prune();
  await printData(session, flags.output, summary);
  say(`Deleted ${countText(summary.deleted.length, summary.slices?.deleted ?? 0) ?? 'nothing'}.`);
  for (const problem of summary.problems) session.err(problem);
  return summary.problems.length === 0 ? EXIT.ok : EXIT.failed;
}

function doomedOf(verdicts: Verdict[]): Verdict[] {
  return verdicts.filter(({ verdict }) => verdict === 'delete');
}

/** `null`: nothing. */
function countText(backups: number, slices: number): string | null {
  const parts = [
    ...(backups > 0 ? [`${backups} backup${backups === 1 ? '' : 's'}`] : []),
    ...(slices > 0 ? [`${slices} slice${slices === 1 ? '' : 's'} of the oplog`] : []),
  ];
  return parts.length === 0 ? null : parts.join(' and ');
}
