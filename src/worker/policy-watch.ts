/**
 * Keeps the metrics of all applied policies true, whether or not they have run since this worker started: which policies there
 * are is read from Temporal every minute, what lies at their destinations every five. What cannot be read keeps its last
 * figures, which grow old and so lead to the alarm.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { BackupMetrics, PolicyFacts } from '../activities/backup/metrics.ts';
import type { Survey } from '../activities/backup/survey.ts';
import { type DescribedPolicy, ForeignSchedule } from '../client/backup/policies.ts';
import { messageOf } from '../client/connection.ts';
import { SlipwayClient, SlipwayError } from '../client.ts';
import type { Logger } from '../observability/logging.ts';
import type { BackupPolicy } from '../specs/backup.types.ts';
import { milliseconds } from '../specs/duration.ts';

const READ_EVERY_MS = 60_000;
const SURVEY_EVERY_MS = 300_000;
/** A destination that could not be read is tried again sooner. */
const RETRY_EVERY_MS = 60_000;
/** Longest wait for a destination: others want their turn. One that answers later is heard all the same. */
const SURVEY_MS = 60_000;
/** The pause between two looks at what is due. */
const TICK_MS = 2_000;
/** So many past runs of a policy are asked for the newest backup, where the destination cannot be. */
const RUNS_ASKED = 50;

interface Watch {
  client: Pick<SlipwayClient, 'backups' | 'close'>;
  survey: (policy: BackupPolicy) => Promise<Survey>;
  metrics: Pick<BackupMetrics, 'applied' | 'surveyed'>;
  logger: Pick<Logger, 'warn'>;
  /** Ends it. */
  signal: AbortSignal;
}

/** A policy that is applied, and when its destination is to be looked at next, on the clock of this process. */
interface Applied {
  policy: BackupPolicy;
  due: number;
  underWay: boolean;
}

/** Runs until the signal is aborted. Never throws: what goes wrong is logged, once for each reason. */
export async function watchPolicies(watch: Watch): Promise<void> {
  const { client, signal } = watch;
  const applied = new Map<string, Applied>();
  try {
    // Temporal may be away while a destination answers, and the other way round.
    await Promise.all([readAgainAndAgain(watch, applied), surveyAgainAndAgain(watch, applied)]);
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    await client.close();
  }
}

async function readAgainAndAgain(watch: Watch, applied: Map<string, Applied>): Promise<void> {
  const { signal } = watch;
  const said = sayer(watch);
  while (!signal.aborted) {
    await said('which backup policies are applied cannot be read', '', () => read(watch, applied));
    await delay(READ_EVERY_MS, undefined, { signal });
  }
}

async function read({ client, metrics }: Watch, applied: Map<string, Applied>): Promise<void> {
  const { backups } = client;
  const facts = new Map<string, PolicyFacts>();
  const policies = new Map<string, BackupPolicy>();
  for (const { name } of await backups.policies()) {
    const found = await backups.describe(name).catch(unlessNoPolicy);
    if (!found) continue;
    policies.set(name, found.policy);
    facts.set(name, factsOf(found));
  }
  metrics.applied(facts, await backups.deleted(), Date.now());
  for (const name of applied.keys()) if (!policies.has(name)) applied.delete(name);
  for (const [name, policy] of policies) {
    const same = JSON.stringify(applied.get(name)?.policy) === JSON.stringify(policy);
    // One that is new or another is looked at anew, whatever is under way for the one before.
    if (!same) applied.set(name, { policy, due: 0, underWay: false });
  }
}

/** Deleted a moment ago, or a Schedule of another's making under such a name. */
function unlessNoPolicy(error: unknown): null {
  if (error instanceof ForeignSchedule) return null;
  if (error instanceof SlipwayError && error.code === 'no-policy') return null;
  throw error;
}

function factsOf({ policy, createdAt, paused }: DescribedPolicy): PolicyFacts {
  const { alarm, pointInTime } = policy.spec;
  return {
    alarmSeconds: alarm ? milliseconds(alarm.noVerifiedBackupFor) / 1_000 : null,
    sliceEverySeconds: pointInTime ? milliseconds(pointInTime.sliceEvery) / 1_000 : null,
    appliedAt: createdAt,
    paused,
  };
}

async function surveyAgainAndAgain(watch: Watch, applied: ReadonlyMap<string, Applied>): Promise<void> {
  const { signal, metrics } = watch;
  const said = sayer(watch);
  while (!signal.aborted) {
    for (const [name, each] of applied) {
      if (signal.aborted) return;
      if (each.underWay || each.due > performance.now()) continue;
      each.underWay = true;
      const looking = said('the backups of a policy cannot be read', name, async () => {
        const found = await look(watch, each.policy);
        if (found && applied.get(name) === each) metrics.surveyed(name, found);
      }).then((good) => {
        each.underWay = false;
        each.due = performance.now() + (good ? SURVEY_EVERY_MS : RETRY_EVERY_MS);
      });
      const enough = new AbortController();
      const patience = delay(SURVEY_MS, undefined, { signal: AbortSignal.any([signal, enough.signal]) });
      await Promise.race([looking, patience.catch(() => undefined)]);
      enough.abort();
    }
    await delay(TICK_MS, undefined, { signal });
  }
}

/** `undefined`: nothing is known, which is not the same as that there is none. */
async function look({ client, survey }: Watch, policy: BackupPolicy): Promise<Survey | undefined> {
  if (!('job' in policy.spec.destination)) return await survey(policy);
  // The claim is out of reach, and a Job every five minutes would be too much: what the runs have said must do.
  const runs = await client.backups.runs(policy.metadata.name, RUNS_ASKED);
  const verified = runs.flatMap(({ lastVerified }) => lastVerified ?? []).sort();
  const at = verified.at(-1);
  return at === undefined
    ? undefined
    : { newest: { at, size: null, bytes: null }, lastDrill: null, slices: null };
}

/** Does something and logs why it failed, but each reason once in a row. Answers whether it went well. */
function sayer({ logger, signal }: Watch) {
  const last = new Map<string, string>();
  return async (what: string, policy: string, work: () => Promise<void>): Promise<boolean> => {
    try {
      await work();
      last.delete(policy);
      return true;
    } catch (error) {
      const reason = messageOf(error);
      if (!signal.aborted && last.get(policy) !== reason)
        logger.warn({ ...(policy === '' ? {} : { policy }), reason }, what);
      last.set(policy, reason);
      return false;
    }
  };
}
