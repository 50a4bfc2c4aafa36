/**
 * What runs in the containers of Jobs: bash with coreutils, findutils and gzip, and mongodump and mongorestore for the
 * dump, all of which the image mongo:6.0 has. What a script has to tell, it prints as lines that begin with `slipway:`;
 * domain/backup-job/log.ts reads them.
 *
 * The same rules as for Slipway's own engine: a file without a manifest is no backup, and the manifest is written last,
 * after the archive was read back. The names of notes, archives and manifests are the same, too.
 */
import type { BackupPolicy } from '../../specs/backup.types.ts';
import { configuration, connection, jobOf, quote, secretOf } from './pod.ts';

/** Exit codes that no retry cures; the Job ends at once with them. The last three are the shell's. */
export const JOB_EXIT = {
  refused: 77,
  empty: 78,
  notExecutable: 126,
  notFound: 127,
  notStarted: 128,
} as const;

/** Whose dump it is, and its wanted id; when that is taken, `-2`, `-3` … is added. */
export interface DumpRun {
  id: string;
  /** Workflow id and run id, of letters, digits and `.:/_-`. */
  owner: string;
}

/** A text of JSON that stands between double quotes in it, as grep -F must find it. */
function member(name: string, value: string): string {
  return quote(`${JSON.stringify(name)}:${JSON.stringify(value)}`);
}

/** Dumps, reads back, publishes, writes the manifest. Finds its own finished work when it runs twice. */
export function dumpScript(policy: BackupPolicy, { id, owner }: DumpRun): string {
  const job = jobOf(policy);
  const secret = secretOf(policy);
  const { compression, source } = policy.spec;
  const packed = compression === 'gzip';
  const gzip = packed ? ' --gzip' : '';
  const [database] = source.databases ?? [];
  const server = `--config=/tmp/mongo.yaml ${connection(secret)}`;
  return `umask 077
shopt -s nullglob
cd ${quote(job.mountPath)}
password="\${MONGO_PASSWORD%$'\\n'}"
password="\${password%$'\\r'}"
unset MONGO_PASSWORD
policy=${quote(policy.metadata.name)} owner=${quote(owner)} id=${quote(id)} ending=${packed ? 'gz' : 'archive'}

# What mongodump says may hold parts of a connection string.
q="'"
hidden=("$password" "\${password//$q/$q$q}")
case "$password" in
  *://*@*)
    part="\${password#*://}"; part="\${part%@*}"; part="\${part#*:}"
    hidden+=("$part" "$(printf '%b' "\${part//%/\\\\x}")") ;;
esac
say() {
  local line each
  while IFS= read -r line || [ -n "$line" ]; do
    for each in "\${hidden[@]}"; do
      [ -z "$each" ] || line="\${line//"$each"/[secret]}"
    done
    printf '%s\\n' "$line"
    case "$line" in
      *AuthenticationFailed*|*'Authentication failed'*|*'(Unauthorized)'*|*'not authorized'*) : > /tmp/refused ;;
    esac
  done
}

${sweepFunction(member('policy', policy.metadata.name))}

main() {
  local number=1 wanted="$id" own note started begun dumped stored stream again size bytes partial json tool
  command -v mongodump mongorestore > /dev/null || { echo 'the image has no mongodump and mongorestore'; return 127; }
  sweep
  while :; do
    if [ -f "$id.manifest.json" ] && grep -qF -- ${member('owner', owner)} "$id.manifest.json"; then
      finish "$(cat -- "$id.manifest.json")"
      return 0
    fi
    if [ ! -e "$id.manifest.json" ] && [ ! -e "$id.gz" ] && [ ! -e "$id.archive" ]; then
      note="$id.running.json"
      started="$(date -u +%Y-%m-%dT%H:%M:%SZ)"
      if (set -C; printf '{"policy":"%s","owner":"%s","archive":"%s","startedAt":"%s"}' "$policy" "$owner" "$id.$ending" "$started" > "$note") 2> /tmp/why; then
        break
      fi
      [ -s "$note" ] || { cat /tmp/why; rm -f -- "$note"; return 1; }
    fi
    number=$((number + 1))
    [ "$number" -lt 1000 ] || { echo "no free name for $wanted"; return 1; }
    id="$wanted-$number"
  done
  partial=".$id.$HOSTNAME.partial"
  trap 'kill $(jobs -p) 2> /dev/null || :; sweep' EXIT
  ${configuration(secret, 'password')}
  # No pipe to head, which may end before mongodump does: that would be an error of the pipe.
  tool="$(mongodump --version)"
  tool="\${tool%%$'\\n'*}"
  tool="\${tool//[^A-Za-z0-9.:+_ -]/}"

  begun="$(date +%s%3N)"
  : > "$partial"
  while sleep 2 > /dev/null 2>&1; do printf 'slipway:progress dumping %s\\n' "$(stat -c %s -- "$partial" 2> /dev/null || echo 0)"; done &
  # To standard output, for there a full disk is noticed: with a file of its own mongodump has ended well all the same.
  { mongodump ${server}${database === undefined ? '' : ` --db=${quote(database)}`}${gzip} --archive 2>&3 | tee -- "$partial" | sha256sum > /tmp/stream; } 3>&1 | count
  kill $! 2> /dev/null || :
  dumped="$(date +%s%3N)"
  stored="$(date -u +%Y-%m-%dT%H:%M:%SZ)"
  printf 'slipway:progress proving %s\\n' "$(stat -c %s -- "$partial")"

  sync -- "$partial"
  size="$(stat -c %s -- "$partial")"
  read -r stream _ < /tmp/stream
  again="$(sha256sum < "$partial")"
  again="\${again%% *}"
  [ "$stream" = "$again" ] || { echo 'read back, the archive is not what mongodump wrote'; return 1; }
  bytes="$(${packed ? 'gzip -dc -- "$partial" | wc -c' : 'echo "$size"'})"
  # With nothing selected it is read to its end: what is cut off or out of order is found, and nothing is written.
  mongorestore ${server}${gzip} --archive="$partial" --nsInclude='nothing.nothing' || { echo 'read back, the archive is damaged'; return 1; }

  read -r namespaces documents own < /tmp/count
  # An empty backup would be the newest, and retention would let go of those that hold the data.
  [ "$${database === undefined ? 'own' : 'namespaces'}" -gt 0 ] || { echo 'mongodump found nothing that the policy takes: is it gone, or misspelt? Older backups stay'; return ${JOB_EXIT.empty}; }
  json="$(printf '{"kind":"slipway-job-backup","version":1,"id":"%s","policy":"%s","owner":"%s","archive":{"name":"%s","size":%s,"sha256":"%s","compression":"${packed ? 'gzip' : 'none'}"},"namespaces":%s,"documents":%s,"bytes":%s,"startedAt":"%s","storedAt":"%s","verifiedAt":"%s","dumpMs":%s,"proveMs":%s,"tool":"%s"}' \\
    "$id" "$policy" "$owner" "$id.$ending" "$size" "$again" "$namespaces" "$documents" "$bytes" "$started" "$stored" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$((dumped - begun))" "$(($(date +%s%3N) - dumped))" "$tool")"
  mv -n -- "$partial" "$id.$ending"
  [ ! -e "$partial" ] || { echo "$id.$ending is there already"; return 1; }
  partial=".$id.manifest.$HOSTNAME.partial"
  printf '%s\\n' "$json" > "$partial"
  sync -- "$partial"
  mv -n -- "$partial" "$id.manifest.json"
  [ ! -e "$partial" ] || { echo "$id.manifest.json is there already"; return 1; }
  sync -- .
  rm -f -- "$note"
  finish "$json"
}

# Passes on what mongodump says, and notes what it has dumped.
count() {
  local line namespaces=0 documents=0 own=0
  while IFS= read -r line || [ -n "$line" ]; do
    printf '%s\\n' "$line"
    if [[ "$line" =~ done\\ dumping\\ .*\\ \\(([0-9]+)\\ documents?\\)$ ]]; then
      namespaces=$((namespaces + 1)); documents=$((documents + BASH_REMATCH[1]))
      [[ "$line" =~ done\\ dumping\\ [^a-z]?(admin|config)\\. ]] || own=$((own + 1))
    fi
  done
  echo "$namespaces $documents $own" > /tmp/count
}

finish() {
  printf 'slipway:result %s\\n' "$1"
  printf '%s' "$1" > /dev/termination-log
}

set +e
(set -e; main) 2>&1 | say
code=$?
[ "$code" = 0 ] || [ ! -e /tmp/refused ] || code=${JOB_EXIT.refused}
exit "$code"`;
}

/** Removes what killed runs have left whose notes hold the text: unfinished files, and archives without a manifest. */
function sweepFunction(text: string): string {
  return `sweep() {
  local note left
  for note in *.running.json; do
    [ -f "$note" ] && [ ! -L "$note" ] || continue
    grep -qF -- ${text} "$note" || continue
    left="\${note%.running.json}"
    rm -f -- ".$left."*.partial
    [ -e "$left.manifest.json" ] || rm -f -- "$left.gz" "$left.archive"
    rm -f -- "$note"
    printf 'slipway:swept %s\\n' "$left"
  done
}`;
}

/** For a run that was given up; another of the same policy may be at work by now. */
export function sweepScript(policy: BackupPolicy, owner: string): string {
  return `shopt -s nullglob
cd ${quote(jobOf(policy).mountPath)}
${sweepFunction(member('owner', owner))}
sweep
echo slipway:end`;
}

/** Larger ones are not of this kind; they are told as unreadable. */
const LARGEST_MANIFEST = 65_536;

/** Lists the volume, and prints every manifest, hold and record of a drill. */
export function lookScript(policy: BackupPolicy): string {
  return `shopt -s nullglob
cd ${quote(jobOf(policy).mountPath)}
echo slipway:begin
find . -mindepth 1 -maxdepth 1 -regextype posix-extended -regex '\\./[A-Za-z0-9][A-Za-z0-9._-]{0,199}' -printf 'slipway:file %y %s %T@ %f\\n'
for name in *.manifest.json *.hold-*.json *.drill.json; do
  if [ ! -f "$name" ] || [ -L "$name" ] || [ "$(stat -c %s -- "$name")" -gt ${LARGEST_MANIFEST} ]; then continue; fi
  printf 'slipway:json %s %s\\n' "$name" "$(base64 -w0 < "$name")"
done
printf 'slipway:clock %s\\n' "$(date +%s)"
echo slipway:end`;
}

export interface StoredArchive {
  id: string;
  archive: string;
  size: number;
  sha256: string;
}

/** Reads archives from end to end and compares them with what was noted when they were proven. */
export function verifyScript(policy: BackupPolicy, backups: readonly StoredArchive[]): string {
  const checks = backups.map(
    ({ id, archive, size, sha256 }) =>
      `check ${quote(id)} ${quote(archive)} ${quote(String(size))} ${quote(sha256)}`,
  );
  return `cd ${quote(jobOf(policy).mountPath)}
check() {
  local found sum
  if [ ! -f "$2" ] || [ -L "$2" ]; then printf 'slipway:checked %s its archive %s is missing\\n' "$1" "$2"; return; fi
  found="$(stat -c %s -- "$2")"
  if [ "$found" != "$3" ]; then printf 'slipway:checked %s it has %s bytes instead of %s\\n' "$1" "$found" "$3"; return; fi
  sum="$(sha256sum < "$2")" || { printf 'slipway:checked %s it cannot be read to its end\\n' "$1"; return; }
  if [ "\${sum%% *}" != "$4" ]; then printf 'slipway:checked %s its SHA-256 is not the one noted when it was stored\\n' "$1"; return; fi
  printf 'slipway:checked %s whole\\n' "$1"
}
${checks.join('\n')}
echo slipway:end`;
}

/**
 * Deletes backups of this policy: first the manifest, so that it is no backup any more, then the archive. Nothing is
 * deleted when the backup that everything was decided by is not there.
 */
export function deleteScript(
  policy: BackupPolicy,
  newest: StoredArchive,
  doomed: readonly StoredArchive[],
  expiredHolds: readonly string[] = [],
): string {
  const job = jobOf(policy);
  const deletions = doomed.map(({ id, archive }) => `remove ${quote(id)} ${quote(archive)}`);
  return `umask 077
shopt -s nullglob
cd ${quote(job.mountPath)}
if [ ! -f ${quote(`${newest.id}.manifest.json`)} ] || [ "$(stat -c %s -- ${quote(newest.archive)})" != ${newest.size} ]; then
  echo ${quote(`${newest.id} is not whole any more, so nothing is deleted`)}
  exit 1
fi
rm -f -- ${expiredHolds.map(quote).join(' ')}
remove() {
  local manifest="$1.manifest.json" holds
  # A restore may have begun since everything was looked at.
  holds=("$1".hold-*.json)
  if [ "\${#holds[@]}" != 0 ]; then printf 'slipway:kept %s a restore holds it\\n' "$1"; return; fi
  if [ ! -f "$manifest" ] || [ -L "$manifest" ] || ! grep -qF -- ${member('policy', policy.metadata.name)} "$manifest"; then
    printf 'slipway:kept %s its manifest is not of this policy any more\\n' "$1"; return
  fi
  printf '{"policy":"%s","owner":"retention","archive":"%s","startedAt":"%s"}' ${quote(policy.metadata.name)} "$2" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" > "$1.running.json" || :
  if rm -- "$manifest" && rm -f -- "$2"; then printf 'slipway:deleted %s\\n' "$1"; else printf 'slipway:kept %s it could not be deleted\\n' "$1"; fi
  rm -f -- "$1.drill.json" "$1.running.json"
}
${deletions.join('\n')}
sync -- .
echo slipway:end`;
}

/** Writes a note beside a backup, unless that has gone by now: a hold, or how a drill went. It replaces one of its name. */
export function noteScript(policy: BackupPolicy, id: string, name: string, note: string): string {
  return `umask 077
cd ${quote(jobOf(policy).mountPath)}
printf '%s' ${quote(note)} > ${quote(`.${name}.partial`)}
sync -- ${quote(`.${name}.partial`)}
mv -f -- ${quote(`.${name}.partial`)} ${quote(name)}
sync -- .
if [ ! -f ${quote(`${id}.manifest.json`)} ]; then rm -f -- ${quote(name)}; echo ${quote(`${id} is not there any more`)}; exit 1; fi
echo slipway:end`;
}

/** One that is not there is no error. */
export function releaseScript(policy: BackupPolicy, name: string): string {
  return `cd ${quote(jobOf(policy).mountPath)}
rm -f -- ${quote(name)} ${quote(`.${name}.partial`)}
echo slipway:end`;
}
