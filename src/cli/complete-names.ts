/** Names that only Temporal knows, for completion: releases, policies, and what is under way. */
import type { Command } from 'commander';
import type { SlipwayClient } from '../client.ts';
import { bytesText, counted } from '../domain/amounts.ts';
import type { Session } from './session.ts';

/** A shell that waits for its Tab waits for nothing else. */
const NAMES_WITHIN_MS = 1_000;
const MOST_NAMES = 100;
/** Each is read by itself. */
const MOST_BACKUPS = 15;

export interface Candidate {
  value: string;
  description: string;
}

/** What the command line says already. */
interface Typed {
  namespace: string | undefined;
  policy: string | undefined;
}

/** What to ask Temporal for. */
type Names = (client: SlipwayClient, typed: Typed) => Promise<Candidate[]>;

const releases: Names = async (client, { namespace }) => {
  const found = await client.list({ limit: MOST_NAMES, ...(namespace === undefined ? {} : { namespace }) });
  return found.map((each) => ({
    value: namespace === undefined ? `${each.namespace}/${each.workload}` : each.workload,
    description: `${each.phase ?? 'running'}: ${each.image}`,
  }));
};

const policies: Names = async (client) => {
  const found = await client.backups.policies();
  return found.map(({ name, paused, next }) => ({
    value: name,
    description: paused ? 'paused' : `next run ${next ?? 'never'}`,
  }));
};

/** Temporal answers at once; the destination itself may be a claim that only a pod can look at. */
const backups: Names = async (client, { policy }) => {
  if (policy === undefined) return [];
  const found = await client.backups.taken(policy, MOST_BACKUPS);
  return found.map(({ id, at, documents, size }) => ({
    value: id,
    description: `data of ${at}, ${counted(documents, 'document')}, ${bytesText(size)}`,
  }));
};

const underWay =
  (...kinds: ('backup' | 'restore' | 'drill')[]): Names =>
  async (client) => {
    const found = await client.backups.underWay(kinds, MOST_NAMES);
    return found.map(({ id, phase, startedAt }) => ({
      value: id,
      description: `${phase ?? 'running'} since ${startedAt}`,
    }));
  };

/** What could stand for an argument of this name. */
export function argumentNames(command: Command, argument: string): Names | undefined {
  const group = command.parent?.name();
  if (argument === 'namespace/name') return group === 'release' ? releases : undefined;
  if (argument === 'policy') return policies;
  if (argument !== 'id') return undefined;
  return group === 'restore' ? underWay('restore') : underWay('backup', 'restore', 'drill');
}

/** What could stand for the value of this flag. */
export function optionNames(option: string): Names | undefined {
  if (option === 'backup') return backups;
  return option === 'policy' ? policies : undefined;
}

/** The names, or none when Temporal does not answer in time. */
export async function runningNames(
  names: Names | undefined,
  words: string[],
  session: Session,
): Promise<Candidate[]> {
  if (!names) return [];
  const valueOf = (...flags: string[]) => {
    const at = words.findIndex((word) => flags.includes(word));
    if (at >= 0) return words[at + 1] === '=' ? words[at + 2] : words[at + 1];
    const inline = words.find((word) => flags.some((flag) => word.startsWith(`${flag}=`)));
    return inline?.slice(inline.indexOf('=') + 1);
  };
  const typed = { namespace: valueOf('-n', '--namespace'), policy: valueOf('-p', '--policy') };
  const address = valueOf('--address');
  const started = session.now();
  let timer: NodeJS.Timeout | undefined;
  try {
    const client = await session.connect({
      connectWithin: NAMES_WITHIN_MS,
      ...(address === undefined ? {} : { address }),
    });
    const late = new Promise<[]>((resolve) => {
      timer = setTimeout(() => resolve([]), Math.max(0, NAMES_WITHIN_MS - (session.now() - started)));
    });
    try {
      return await Promise.race([names(client, typed).catch(() => []), late]);
    } finally {
      await client.close();
    }
  } catch {
    return [];
  } finally {
    clearTimeout(timer);
  }
}
