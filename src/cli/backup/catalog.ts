/** `backup list|show|verify|prune`: read from the destination itself, so that they work when all else is gone. */
import { drillRecords } from '../../backups/notes.ts';
import { prune as pruneNow, retentionVerdicts } from '../../backups/retention.ts';
import { openStorage, resolveKey, type SettingsSource } from '../../backups/settings.ts';
import { consistencyText, dataTime, verifiedBackups } from '../../backups/verified.ts';
import { momentLabel } from '../../domain/point-in-time/moment.ts';
import { bytesText, durationText } from '../../domain/backup/view.ts';
import { type CatalogEntry, listBackups, readManifest, verifyBackup } from '../../mongodb/backup/catalog.ts';
import { reachOf, sliceVerdict } from '../../backups/slices.ts';
import type { BackupPolicy } from '../../specs/backup.types.ts';
import { DirectoryStorage } from '../../storage/directory.ts';
import type { EncryptionKey } from '../../storage/encryption.ts';
import type { Storage } from '../../storage/storage.ts';
import { EXIT } from '../exit.ts';
import { badInput, Failure } from '../failure.ts';
import { type Format, printData } from '../output.ts';
import { stamp, table } from '../render/text.ts';
import type { Session } from '../session.ts';
import { atClaim, type Claim, listClaim, pruneClaim, showClaim, verifyClaim } from './claim.ts';
import { policyOf, type WhichPolicy } from './policy-file.ts';
import { reachLines, reachRow, sliceVerdictLines } from './slices.ts';

export interface CatalogFlags extends WhichPolicy {
  directory?: string;
  output?: Format;
}

export interface PruneFlags extends WhichPolicy {
  dryRun?: boolean;
  yes?: boolean;
  output?: Format;
}

interface Place {
  storage: Storage;
  /** `null`: everything in the directory. */
  policy: BackupPolicy | null;
  key: EncryptionKey | undefined;
}

/** Opens the destination as this process sees it: its directory, its variables; or the claim of a destination.job. */
async function atPlace<T>(
  session: Session,
  flags: CatalogFlags,
  useClaim: (claim: Claim) => Promise<T>,
  use: (place: Place) => Promise<T>,
): Promise<T> {
  if (flags.directory !== undefined) {
    if (flags.policy !== undefined || flags.file !== undefined) {
      throw badInput('--directory: does not go with --policy and --file, which say where to look');
    }
    return await use({ storage: new DirectoryStorage(flags.directory), policy: null, key: undefined });
  }
  const policy = await policyOf(session, flags);
  if ('job' in policy.spec.destination) return await atClaim(session, policy, useClaim);
  return await withSettings(session, policy, async (from) => {
    const storage = await openStorage(policy.spec.destination, from);
    try {
      return await use({ storage, policy, key: await resolveKey(policy, from).catch(() => undefined) });
    } finally {
      await storage.close();
    }
  });
}

/** Secrets are read with the person's own kubeconfig, and only when the policy names some. */
async function withSettings<T>(
  session: Session,
  policy: BackupPolicy,
  use: (from: SettingsSource) => Promise<T>,
): Promise<T> {
  const { destination, encryption } = policy.spec;
  if (!JSON.stringify([destination, encryption]).includes('"secret"'))
    return await use({ env: session.env, kube: null });
  const kube = await session.openKube({});
  try {
    return await use({ env: session.env, kube: kube.client });
  } finally {
    kube.close();
  }
}

export async function newestBackup(session: Session, policy: BackupPolicy): Promise<string> {
  return await withSettings(session, policy, async (from) => {
    const storage = await openStorage(policy.spec.destination, from);
    try {
      const [newest] = await verifiedBackups(storage, policy.metadata.name);
      if (newest) return newest.id;
      throw new Failure(
        'no-backup',
        EXIT.failed,
        `policy ${policy.metadata.name} has no verified backup at ${storage.location}`,
      );
    } finally {
      await storage.close();
    }
  });
}

export async function list(session: Session, flags: CatalogFlags): Promise<void> {
  const onClaim = (claim: Claim) => listClaim(session, claim, flags);
  await atPlace(session, flags, onClaim, async ({ storage, policy }) => {
    const entries = (await listBackups(storage, policy?.metadata.name)).reverse();
    const drills = await drillRecords(
      storage,
      entries.map(({ id }) => id),
    );
    const rows = entries.map((entry) => ({ ...factsOf(entry), drill: drills.get(entry.id) ?? null }));
    if (await printData(session, flags.output, rows)) return;
    if (flags.output === 'name') {
      for (const { id } of rows) session.out(id);
      return;
    }
    if (rows.length === 0) return session.err(`There are no backups at ${storage.location}.`);
    const header = ['BACKUP', 'STATE', 'DATA OF', 'DOCUMENTS', 'SIZE', 'DRILL'];
    const cells = rows.map(({ id, state, at, documents, size, drill }) => [
      id,
      state,
      at === null ? '-' : stamp(at),
      String(documents ?? '-'),
      size === null ? '-' : bytesText(size),
      drill === null ? '-' : drill.passed ? `passed in ${durationText(drill.restoreMs)}` : 'failed',
    ]);
    for (const line of table([header, ...cells])) session.out(line);
    for (const { id, reason } of rows) if (reason !== null) session.err(`${id}: ${reason}`);
    if (policy)
      for (const line of reachLines(await reachOf(storage, policy.metadata.name))) session.out(line);
  });
}

function factsOf(entry: CatalogEntry) {
  const reason = 'reason' in entry ? entry.reason : null;
  if (!('manifest' in entry))
    return {
      id: entry.id,
      state: entry.state,
      at: null,
      policy: null,
      documents: null,
      bytes: null,
      size: null,
      archive: null,
      consistency: null,
      reason,
    };
  const { manifest } = entry;
  return {
    id: entry.id,
    state: entry.state,
    at: dataTime(manifest),
    policy: manifest.policy,
    documents: manifest.documents,
    bytes: manifest.bytes,
    size: manifest.archive.size,
    archive: manifest.archive.name,
    consistency: consistencyText(manifest),
    reason,
  };
}

export async function show(session: Session, wanted: string, flags: CatalogFlags): Promise<void> {
  const onClaim = (claim: Claim) => showClaim(session, wanted, claim, flags);
  await atPlace(session, flags, onClaim, async ({ storage, policy }) => {
    const id = wanted === 'latest' ? await latest(storage, policy) : wanted;
    const manifest = await known(storage, id, () => readManifest(storage, id));
    const drill = (await drillRecords(storage, [id])).get(id) ?? null;
    if (await printData(session, flags.output, { ...manifest, drill })) return;
    const { archive, source, warnings } = manifest;
    const rows = [
      ['Backup', `${id} of policy ${manifest.policy}`],
      [
        'Archive',
        `${archive.name} at ${storage.location}, ${bytesText(archive.size)}, ${archive.compression}${archive.encryption ? `, key ${archive.encryption.keyId}` : ''}`,
      ],
      ['SHA-256', archive.sha256],
      ['Server', `${source.serverVersion}, ${source.topology}`],
      ['Consistency', consistencyText(manifest)],
      ['Verified', stamp(manifest.verifiedAt)],
      ['Holds', `${manifest.documents} documents, ${bytesText(manifest.bytes)}`],
      ...(drill
        ? [['Drill', drill.passed ? `passed in ${durationText(drill.restoreMs)}` : `failed: ${drill.reason}`]]
        : []),
      ...reachRow(id, await reachOf(storage, manifest.policy)),
      ...warnings.map((text) => ['Warning', text]),
    ];
    for (const line of table(rows)) session.out(line);
    session.out('');
    const cells = manifest.namespaces.map(({ db, name, type, documents, bytes }) => [
      `${db}.${name}`,
      type,
      String(documents),
      bytesText(bytes),
    ]);
    for (const line of table([['NAMESPACE', 'KIND', 'DOCUMENTS', 'BSON'], ...cells])) session.out(line);
  });
}

/** `backup slices`: what can be reached, and where the gaps are. */
export async function slices(session: Session, flags: CatalogFlags): Promise<void> {
  const onClaim = () => {
    throw badInput('a policy with destination.job has no slices of the oplog');
  };
  await atPlace(session, flags, onClaim, async ({ storage, policy }) => {
    if (!policy) throw badInput('--policy NAME or --file FILE is missing: whose slices?');
    const reach = await reachOf(storage, policy.metadata.name);
    if (await printData(session, flags.output, reach)) return;
    if (reach.slices === 0) return session.err(`There are no slices of the oplog at ${storage.location}.`);
    const { reached, slices: count } = reach;
    session.out(`${count} slices, up to ${reached ? momentLabel(reached) : '-'}, at ${storage.location}`);
    for (const line of reachLines(reach)) session.out(line);
  });
}

async function latest(storage: Storage, policy: BackupPolicy | null): Promise<string> {
  const all = await listBackups(storage, policy?.metadata.name);
  const found = all.filter(({ state }) => state === 'verified').at(-1);
  if (!found)
    throw new Failure('no-backup', EXIT.failed, `there is no verified backup at ${storage.location}`);
  return found.id;
}

async function known<T>(storage: Storage, id: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if ((error as Error).name !== 'ObjectNotFoundError') throw error;
    throw new Failure(
      'no-backup',
      EXIT.failed,
      `there is no backup ${id} at ${storage.location}; see slipway backup list`,
    );
  }
}

/** Exit code 1 when one is damaged. */
export async function verify(
  session: Session,
  ids: string[],
  flags: CatalogFlags & { all?: boolean },
): Promise<number> {
  const onClaim = (claim: Claim) => verifyClaim(session, ids, claim, flags);
  return await atPlace(session, flags, onClaim, async ({ storage, policy, key }) => {
    const all = await listBackups(storage, policy?.metadata.name);
    const wanted = flags.all
      ? all.map(({ id }) => id)
      : ids.length > 0
        ? ids
        : [await latest(storage, policy)];
    const results: { backup: string; whole: boolean; reason: string | null }[] = [];
    for (const id of wanted) {
      try {
        await verifyBackup(storage, id, { key });
        results.push({ backup: id, whole: true, reason: null });
      } catch (error) {
        results.push({ backup: id, whole: false, reason: (error as Error).message });
      }
      const last = results.at(-1);
      if (flags.output === undefined) session.out(`${id}: ${last?.reason ?? 'whole'}`);
    }
    await printData(session, flags.output, results);
    return results.every(({ whole }) => whole) ? EXIT.ok : EXIT.failed;
  });
}

export async function prune(session: Session, flags: PruneFlags): Promise<number> {
  const onClaim = (claim: Claim) => pruneClaim(session, claim, flags);
  return await atPlace(session, flags, onClaim, async ({ storage, policy }) => {
    if (!policy) return EXIT.badInput;
    const clocks = [{ name: 'this machine', time: session.now() }];
    const verdicts = await retentionVerdicts(storage, policy, clocks);
    const doomed = verdicts.filter(({ verdict }) => verdict === 'delete');
    const gone = new Set(doomed.map(({ id }) => id));
    const stay = (await verifiedBackups(storage, policy.metadata.name)).filter(({ id }) => !gone.has(id));
    const slices = await sliceVerdict(storage, policy, stay, clocks);
    const data = flags.output !== undefined;
    if (!data) {
      const rows = verdicts.map(({ id, verdict, reasons }) => [id, verdict, reasons.join('; ')]);
      for (const line of table([['BACKUP', 'VERDICT', 'REASON'], ...rows])) session.out(line);
      for (const line of sliceVerdictLines(slices)) session.out(line);
    }
    const what = countText(doomed.length, slices.doomed.length);
    if (flags.dryRun || what === null) {
      await printData(session, flags.output, verdicts);
      if (!data)
        session.out(
          what === null ? 'There is nothing to delete.' : `${what} would be deleted; this was a dry run.`,
        );
      return EXIT.ok;
    }
    if (!flags.yes) {
      const sure = await session.confirm(`Delete ${what} at ${storage.location}?`);
      if (sure === undefined) throw badInput('--yes is missing: nobody is there to ask');
      if (!sure) return EXIT.ok;
    }
    const summary = await pruneNow(storage, policy, clocks);
    if (!(await printData(session, flags.output, summary)))
      session.out(`Deleted ${countText(summary.deleted.length, summary.slices?.deleted ?? 0) ?? 'nothing'}.`);
    for (const problem of summary.problems) session.err(problem);
    return summary.problems.length === 0 ? EXIT.ok : EXIT.failed;
  });
}

/** `null`: nothing. */
function countText(backups: number, slices: number): string | null {
  if (slices === 0) return backups === 0 ? null : String(backups);
  return `${backups} and ${slices} slices of the oplog`;
}
