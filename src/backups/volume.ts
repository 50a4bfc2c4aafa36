/**
 * The backups on a claim of the cluster, which neither a worker nor the command can read: short Jobs list, check and
 * delete them, in the image and under the security context of the dump, but without its password.
 */
import type { DrillRecord } from '../domain/backup/drill.types.ts';
import type { PruneSummary } from '../domain/backup/types.ts';
import { jobOf } from '../domain/backup-job/pod.ts';
import { hasBeginning, told } from '../domain/backup-job/log.ts';
import {
  deleteScript,
  lookScript,
  noteScript,
  releaseScript,
  type StoredArchive,
  verifyScript,
} from '../domain/backup-job/script.ts';
import {
  type Candidate,
  type Clock,
  decideRetention,
  type Hold,
  type Verdict,
} from '../domain/backup/retention.ts';
import type { KubeClient } from '../kubernetes/client.ts';
import type { BackupPolicy } from '../specs/backup.types.ts';
import { type JobBackup, parseJobManifest } from '../specs/job-manifest.ts';
import { JobFailedError, runErrand } from './job-runner.ts';
import { drillRecordName, holdName, type HoldNote } from './notes.ts';

const MANIFEST_ENDING = '.manifest.json';
/** A script is one argument of a process, which may have 128 KiB. */
const BATCH = 250;
const HOLD_PART = '.hold-';
const DRILL_ENDING = drillRecordName('');

interface VolumeFile {
  /** As `find` names it: `f` a file, `l` a link, `d` a folder. */
  type: string;
  size: number;
  /** Milliseconds. */
  modified: number;
}

/** Something on the claim that has a manifest. */
export type VolumeEntry =
  | { id: string; state: 'verified'; manifest: JobBackup }
  /** The manifest is there, its archive is not, or has another size. */
  | { id: string; state: 'damaged'; manifest: JobBackup; reason: string }
  | { id: string; state: 'invalid'; reason: string };

/** What a short Job saw on the claim, at one moment. */
export interface Volume {
  location: string;
  files: ReadonlyMap<string, VolumeFile>;
  /** Everything that has a manifest, oldest first. */
  entries: VolumeEntry[];
  holds: { name: string; id: string; claimant: string; until: string }[];
  /** How the last drills went, by backup. */
  drills: ReadonlyMap<string, DrillRecord>;
  /** The clock of the node that the Job ran on, milliseconds. */
  clock: number;
}

/** The claim, as messages name it. */
export function claimText(policy: BackupPolicy): string {
  const { namespace, pvc } = jobOf(policy);
  return `PVC ${namespace}/${pvc}`;
}

/** Reads the claim by a short Job. Throws JobFailedError, KubeError, or the signal's reason. */
export async function lookAtVolume(
  client: KubeClient,
  policy: BackupPolicy,
  signal?: AbortSignal,
): Promise<Volume> {
  const log = await runErrand(client, policy, 'look', lookScript(policy), signal);
  if (hasBeginning(log)) return readVolume(claimText(policy), log);
  throw new JobFailedError(
    'failed',
    `${claimText(policy)} holds more files than the log of a container can list; move some away`,
  );
}

/** What the script that looks has printed. */
export function readVolume(location: string, log: string): Volume {
  const files = new Map<string, VolumeFile>();
  for (const line of told(log, 'file')) {
    const [type = '', size, modified, name = ''] = line.split(' ');
    files.set(name, { type, size: Number(size), modified: Number(modified) * 1_000 });
  }
  const texts = new Map<string, string>();
  for (const line of told(log, 'json')) {
    const [name = '', content = ''] = line.split(' ');
    texts.set(name, Buffer.from(content, 'base64').toString('utf8'));
  }
  const entries = [...files]
    .filter(([name]) => name.endsWith(MANIFEST_ENDING))
    .map(([name, { type }]) => entryOf(name.slice(0, -MANIFEST_ENDING.length), type, texts.get(name), files))
    .sort((a, b) => startOf(a).localeCompare(startOf(b)));
  const clock = Number(told(log, 'clock').at(-1)) * 1_000;
  return { location, files, entries, holds: [...texts].flatMap(holdOf), drills: drillsOf(texts), clock };
}

function startOf(entry: VolumeEntry): string {
  return 'manifest' in entry ? entry.manifest.startedAt : '';
}

function entryOf(
  id: string,
  type: string,
  text: string | undefined,
  files: ReadonlyMap<string, VolumeFile>,
): VolumeEntry {
  if (type !== 'f' || text === undefined) {
    return { id, state: 'invalid', reason: 'its manifest is no file, or too large to be one' };
  }
  let manifest: JobBackup;
  try {
    manifest = parseJobManifest(text);
    if (manifest.id !== id) throw new Error(`the manifest says it is of ${manifest.id}`);
    if (!manifest.archive.name.startsWith(`${id}.`)) throw new Error('the manifest names a strange archive');
  } catch (error) {
    return { id, state: 'invalid', reason: (error as Error).message };
  }
  const { name, size } = manifest.archive;
  const found = files.get(name);
  if (found?.type === 'f' && found.size === size) return { id, state: 'verified', manifest };
  const reason =
    found?.type === 'f'
      ? `its archive ${name} has ${found.size} bytes instead of ${size}`
      : `its archive ${name} is missing`;
  return { id, state: 'damaged', manifest, reason };
}

/** A record that cannot be read is none: then the next drill comes sooner. */
function drillsOf(texts: ReadonlyMap<string, string>): Map<string, DrillRecord> {
  const drills = new Map<string, DrillRecord>();
  for (const [name, text] of texts) {
    if (!name.endsWith(DRILL_ENDING)) continue;
    try {
      drills.set(name.slice(0, -DRILL_ENDING.length), JSON.parse(text) as DrillRecord);
    } catch {
      continue;
    }
  }
  return drills;
}

/** A hold that cannot be read is one all the same, and for ever. */
function holdOf([name, text]: [string, string]) {
  const at = name.indexOf(HOLD_PART);
  if (at < 0) return [];
  try {
    const { claimant, until } = JSON.parse(text) as { claimant: string; until: string };
    return [{ name, id: name.slice(0, at), claimant, until }];
  } catch {
    return [{ name, id: name.slice(0, at), claimant: 'a note that cannot be read', until: '' }];
  }
}

/** Verified backups of a policy, newest first. */
export function verifiedIn(volume: Volume, policy: string): JobBackup[] {
  return volume.entries
    .flatMap((entry) =>
      entry.state === 'verified' && entry.manifest.policy === policy ? [entry.manifest] : [],
    )
    .reverse();
}

/** Verdicts on everything that lies on the claim. */
export function volumeVerdicts(volume: Volume, policy: BackupPolicy, clocks: readonly Clock[]): Verdict[] {
  const { metadata, spec } = policy;
  const all = allClocks(volume, clocks);
  return decideRetention({
    policy: metadata.name,
    rules: spec.retention,
    timezone: spec.schedule.timezone,
    found: [...volume.entries.map(candidateOf), ...foreignArchives(volume)],
    holds: holdsAt(volume, all).active,
    clocks: all,
  });
}

function allClocks({ clock }: Volume, clocks: readonly Clock[]): Clock[] {
  return [...clocks, { name: 'the node of the Job', time: clock }];
}

function candidateOf(entry: VolumeEntry): Candidate {
  if (!('manifest' in entry)) return { id: entry.id, policy: null, state: 'unreadable', at: '', link: false };
  const { policy, startedAt } = entry.manifest;
  const state = entry.state === 'verified' ? 'verified' : 'failed';
  return { id: entry.id, policy, state, at: startedAt, link: false };
}

/** Shown so that nobody wonders, never deleted. */
function foreignArchives({ files, entries }: Volume): Candidate[] {
  const ours = new Set(
    entries.flatMap((entry) => ('manifest' in entry ? [entry.manifest.archive.name] : [])),
  );
  return [...files]
    .filter(([name, { type }]) => type !== 'd' && !name.endsWith('.json') && !ours.has(name))
    .map(([name, { type, modified }]) => ({
      id: name,
      policy: null,
      state: 'unverified' as const,
      at: new Date(modified).toISOString(),
      link: type === 'l',
    }));
}

/** Holds that count, and the names of those that have run out by every clock. */
function holdsAt({ holds }: Volume, clocks: readonly Clock[]): { active: Hold[]; expired: string[] } {
  const now = Math.min(...clocks.map(({ time }) => time));
  const isOver = ({ until }: { until: string }) => Date.parse(until) <= now;
  return {
    active: holds
      .filter((note) => !isOver(note))
      .map(({ id, claimant, until }) => ({ id, reason: `${claimant}, until ${until}` })),
    expired: holds.filter(isOver).map(({ name }) => name),
  };
}

/** Keeps retention away from a backup until a time. Repeating it moves the time. Throws as {@link lookAtVolume} does. */
export async function holdOnVolume(
  client: KubeClient,
  policy: BackupPolicy,
  id: string,
  note: HoldNote,
  signal?: AbortSignal,
): Promise<void> {
  const script = noteScript(policy, id, holdName(id, note.claimant), JSON.stringify(note));
  await runErrand(client, policy, 'note', script, signal);
}

/** Writes down how a drill of a backup went; the last one counts. Throws as {@link lookAtVolume} does. */
export async function recordDrillOnVolume(
  client: KubeClient,
  policy: BackupPolicy,
  record: DrillRecord,
  signal?: AbortSignal,
): Promise<void> {
  const { backup } = record;
  const script = noteScript(policy, backup, drillRecordName(backup), JSON.stringify(record));
  await runErrand(client, policy, 'note', script, signal);
}

/** Lets retention go again. One that is not there is no error. Throws as {@link lookAtVolume} does. */
export async function releaseOnVolume(
  client: KubeClient,
  policy: BackupPolicy,
  id: string,
  claimant: string,
  signal?: AbortSignal,
): Promise<void> {
  await runErrand(client, policy, 'release', releaseScript(policy, holdName(id, claimant)), signal);
}

/** Decides on the claim as it is now, and deletes what no rule keeps. Throws as {@link lookAtVolume} does. */
export async function pruneVolume(
  client: KubeClient,
  policy: BackupPolicy,
  clocks: readonly Clock[],
  signal?: AbortSignal,
): Promise<PruneSummary> {
  const volume = await lookAtVolume(client, policy, signal);
  const verdicts = volumeVerdicts(volume, policy, clocks);
  const byId = new Map(volume.entries.map((entry) => [entry.id, entry]));
  const doomed = verdicts.flatMap(({ id, verdict }) => {
    const entry = byId.get(id);
    return verdict === 'delete' && entry && 'manifest' in entry ? [storedOf(entry.manifest)] : [];
  });
  const [newest] = verifiedIn(volume, policy.metadata.name);
  if (doomed.length === 0 || !newest) return { kept: verdicts.length, deleted: [], problems: [] };
  const { expired } = holdsAt(volume, allClocks(volume, clocks));
  const deleted: string[] = [];
  const problems: string[] = [];
  for (const batch of inBatches(doomed)) {
    const script = deleteScript(policy, storedOf(newest), batch, expired.slice(0, BATCH));
    const log = await runErrand(client, policy, 'delete', script, signal);
    deleted.push(...told(log, 'deleted'));
    problems.push(...told(log, 'kept'));
  }
  return { kept: verdicts.length - deleted.length, deleted, problems };
}

function storedOf({ id, archive }: JobBackup): StoredArchive {
  return { id, archive: archive.name, size: archive.size, sha256: archive.sha256 };
}

function inBatches(all: readonly StoredArchive[]): StoredArchive[][] {
  const count = Math.ceil(all.length / BATCH);
  return Array.from({ length: count }, (_, i) => all.slice(i * BATCH, (i + 1) * BATCH));
}

/** What reading one archive to its end has shown. */
export interface Checked {
  backup: string;
  whole: boolean;
  reason: string | null;
}

/** Reads archives on the claim from end to end. Throws as {@link lookAtVolume} does. */
export async function verifyVolume(
  client: KubeClient,
  policy: BackupPolicy,
  backups: readonly JobBackup[],
  signal?: AbortSignal,
): Promise<Checked[]> {
  const found: string[] = [];
  for (const batch of inBatches(backups.map(storedOf))) {
    const log = await runErrand(client, policy, 'verify', verifyScript(policy, batch), signal);
    found.push(...told(log, 'checked'));
  }
  return backups.map(({ id }) => {
    const said =
      found.find((line) => line.startsWith(`${id} `))?.slice(id.length + 1) ?? 'it was not checked';
    return { backup: id, whole: said === 'whole', reason: said === 'whole' ? null : said };
  });
}
