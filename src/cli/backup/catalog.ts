/** `backup list|show|slices|verify`: read from the destination itself. */
import { drillRecords } from '../../backups/notes.ts';
import { reachOf } from '../../backups/slices.ts';
import { consistencyText, dataTime, madeBefore, unreadable } from '../../backups/verified.ts';
import { bytesText, counted } from '../../domain/amounts.ts';
import { momentLabel } from '../../domain/point-in-time/moment.ts';
import { type CatalogEntry, listBackups, readManifest, verifyBackup } from '../../mongodb/backup/catalog.ts';
import type { BackupPolicy } from '../../specs/backup.types.ts';
import type { BackupManifest } from '../../specs/manifest.ts';
import type { Storage } from '../../storage/storage.ts';
import { EXIT } from '../exit.ts';
import { badInput, Failure } from '../failure.ts';
import { type Format, printData } from '../output.ts';
import { drillCell, drillRows } from '../render/drill.ts';
import { stamp, table } from '../render/text.ts';
import type { Session } from '../session.ts';
import { type Claim, listClaim, showClaim, verifyClaim } from './claim.ts';
import { atPlace, type PlaceFlags, whoseDirectory } from './place.ts';
import { reachLines, reachRow } from './slices.ts';

export interface CatalogFlags extends PlaceFlags {
  output?: Format;
}

export async function list(session: Session, flags: CatalogFlags): Promise<void> {
  const onClaim = (claim: Claim) => listClaim(session, claim, flags);
  await atPlace(session, flags, onClaim, async ({ storage, policy, keys }) => {
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
    if (rows.length === 0)
      return session.err(
        `There are no backups at ${storage.location}${policy ? whoseDirectory(policy) : ''}.`,
      );
    const header = ['BACKUP', 'STATE', 'DATA OF', 'DOCUMENTS', 'SIZE', 'DRILL'];
    const wide = flags.output === 'wide';
    if (wide) header.push('ARCHIVE', 'CONSISTENCY', 'KEY');
    const cells = rows.map(({ id, state, at, documents, size, drill, archive, consistency, keyId }) => [
      id,
      state,
      at === null ? '-' : stamp(at),
      String(documents ?? '-'),
      size === null ? '-' : bytesText(size),
      drillCell(drill),
      ...(wide ? [archive ?? '-', consistency ?? '-', keyId ?? '-'] : []),
    ]);
    for (const line of table([header, ...cells])) session.out(line);
    for (const { id, before } of rows)
      if (before !== null)
        session.out(`${id} holds what ${before} replaced; it comes back only by its name.`);
    for (const { id, reason } of rows) if (reason !== null) session.err(`${id}: ${reason}`);
    const locked = keys && unreadable(verifiedOf(entries), keys);
    if (locked) session.err(`Warning: ${locked}.`);
    if (policy)
      for (const line of reachLines(await reachOf(storage, policy.metadata.name))) session.out(line);
  });
}

function verifiedOf(entries: readonly CatalogEntry[]): BackupManifest[] {
  return entries.flatMap((entry) => (entry.state === 'verified' ? [entry.manifest] : []));
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
      before: null,
      keyId: null,
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
    before: madeBefore(manifest),
    keyId: manifest.archive.encryption?.keyId ?? null,
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
      ...drillRows(drill),
      ...reachRow(id, await reachOf(storage, manifest.policy)),
      ...warnings.map((text) => ['Warning', text]),
    ];
    for (const line of table(rows)) session.out(line);
    session.out('');
    const cells = manifest.namespaces.map(({ db, name, type, documents, bytes }) => [
      `${db}.${name}`,
      type,
      type === 'timeseries' ? counted(documents, 'bucket') : String(documents),
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
  return await atPlace(session, flags, onClaim, async ({ storage, policy, keys }) => {
    const all = await listBackups(storage, policy?.metadata.name);
    const wanted = flags.all
      ? all.map(({ id }) => id)
      : ids.length > 0
        ? ids
        : [await latest(storage, policy)];
    const results: { backup: string; whole: boolean; reason: string | null }[] = [];
    for (const id of wanted) {
      try {
        await verifyBackup(storage, id, { key: keys?.find });
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
